// SPDX-License-Identifier: GPL-2.0-only
// A fixture: a difference between variants that was found once and must not be forgotten.  Its language is
// described in docs/FIXTURES.md.

import Differential
import Traces

/// A trace with its schedule, and what each variant of a family makes of it.
public struct Fixture: Equatable, Sendable {
    /// What it shows, in one sentence.
    public var shows: String
    public var family: String
    /// The variants that it tells apart.
    public var base: String
    public var patched: String
    /// The one of these that is no variant of the family but a user's C file.
    public var file: CFile?
    public var verdict: Verdict
    /// The variant that takes every decision of the schedule.
    public var scheduledOn: String
    public var provenance: Provenance
    public var trace: Trace
    /// What variants do under the schedule, each variant once.
    public var outcomes: [ExpectedOutcome]

    public init(
        shows: String, family: String, base: String, patched: String, file: CFile? = nil, verdict: Verdict,
        scheduledOn: String, provenance: Provenance, trace: Trace, outcomes: [ExpectedOutcome]
    ) {
        self.shows = shows
        self.family = family
        self.base = base
        self.patched = patched
        self.file = file
        self.verdict = verdict
        self.scheduledOn = scheduledOn
        self.provenance = provenance
        self.trace = trace
        self.outcomes = outcomes
    }

    public var pair: String { "\(base)..\(patched)" }

    /// The variants that something is expected of.
    public var variants: [String] { outcomes.flatMap(\.variants) }

    public func outcome(of variant: String) -> ObservedOutcome? {
        outcomes.first { $0.variants.contains(variant) }?.outcome
    }
}

/// Where a fixture comes from.  It is no part of what a fixture is.
public struct Provenance: Equatable, Sendable {
    /// The seed of the run that found it.
    public var seed: UInt64?
    /// The version of mmdiff that recorded it.
    public var version: String
    /// A digest of the sources of the family's variants.
    public var sources: String
    /// `Link:` and `Fixes:` lines, as in a patch's changelog.
    public var references: [Reference]

    public struct Reference: Equatable, Hashable, Comparable, Sendable {
        public enum Kind: String, CaseIterable, Sendable {
            case link = "Link"
            case fixes = "Fixes"
        }

        public var kind: Kind
        public var text: String

        public init(_ kind: Kind, _ text: String) {
            self.kind = kind
            self.text = text
        }

        public static func < (a: Self, b: Self) -> Bool {
            (a.kind.rawValue, a.text) < (b.kind.rawValue, b.text)
        }
    }

    public init(seed: UInt64? = nil, version: String, sources: String, references: [Reference] = []) {
        self.seed = seed
        self.version = version
        self.sources = sources
        self.references = references
    }
}

/// What some variants do alike.
public struct ExpectedOutcome: Equatable, Sendable {
    public var variants: [String]
    /// Its lines are those by which variants differ.
    public var outcome: ObservedOutcome

    public init(variants: [String], outcome: ObservedOutcome) {
        self.variants = variants
        self.outcome = outcome
    }

    /// Puts variants that did the same together, and of the lines keeps those that tell variants apart.
    public static func grouped(_ observed: [(variant: String, outcome: ObservedOutcome)]) -> [ExpectedOutcome] {
        let tables = observed.map { (values: ValueTable($0.outcome.lines), isAtRest: $0.outcome.state != nil) }
        var seen: Set<String> = []
        var telling: Set<String> = []
        for line in observed.flatMap(\.outcome.lines) where seen.insert(line.path).inserted {
            // Where a run came to no rest there is no state, or each value of the others' would tell them apart.
            let compared = tables.filter { $0.isAtRest || line.isEvent }
            if Set(compared.map { $0.values[line.path] }).count > 1 { telling.insert(line.path) }
        }
        var groups: [ExpectedOutcome] = []
        for (variant, outcome) in observed {
            var outcome = outcome
            outcome.lines = outcome.lines.filter { telling.contains($0.path) }
            if let known = groups.firstIndex(where: { $0.outcome == outcome }) {
                groups[known].variants.append(variant)
            } else {
                groups.append(ExpectedOutcome(variants: [variant], outcome: outcome))
            }
        }
        return groups
    }
}

/// Lines by their paths, for look-ups.
struct ValueTable {
    private let values: [String: String]

    init(_ lines: [ObservedOutcome.Line]) {
        // Things of one kind may have one name, so a path may come again: its values stand together.
        values = Dictionary(lines.map { ($0.path, $0.value) }, uniquingKeysWith: { $0 + ", " + $1 })
    }

    subscript(path: String) -> String? { values[path] }
}
