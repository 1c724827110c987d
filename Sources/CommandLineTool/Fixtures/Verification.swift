// SPDX-License-Identifier: GPL-2.0-only
// Whether fixtures still hold: each is run, and what comes of it is laid beside what is expected.

import Differential
import FixtureStore
import Traces

/// What became of one fixture.
struct Verification: Encodable {
    enum Result: String, Encodable {
        case ok
        /// It holds, but its schedule or the hash of a state had to be read leniently.
        case drifted
        case deviates
        /// It deviates, and the allowlist says that this is known.
        case known
        /// It is no fixture.
        case broken
    }

    var name: String
    var family: String
    var shows = ""
    var result: Result
    /// What deviates or has drifted, line by line.
    var details: [String] = []
}

extension [Verification] {
    /// Takes what is known from what deviates.
    ///
    /// - Returns: what the list says and is not so any more, in words.
    mutating func allow(_ list: Allowlist, on day: Day) -> [String] {
        var stale: [String] = []
        for entry in list.entries where FixtureName(entry.what) != nil {
            let place = "\(Allowlist.fileName):\(entry.line): \(entry.what)"
            guard let number = firstIndex(where: { $0.name == entry.what }) else {
                stale.append("\(place): there is no such fixture")
                continue
            }
            if !entry.counts(on: day) {
                let when = entry.until.map { day > $0 ? "until \($0)" : "from \(entry.since)" } ?? "from \(entry.since)"
                stale.append("\(place): counts only \(when)")
            } else if self[number].result == .deviates {
                self[number].result = .known
                self[number].details = ["known since \(entry.since): \(entry.why)"]
            } else if self[number].holds {
                stale.append("\(place): deviates no more")
            }
        }
        return stale
    }
}

/// Runs fixtures.
struct Verifier {
    var jobs: Int
    /// Accept schedules whose places have moved, and states in which nothing differs that tells variants apart.
    var tolerant: Bool
    /// C files that fixtures are about.
    var files: [HandedFile] = []

    func verify(_ stored: [StoredFixture]) throws -> [Verification] {
        var results = stored.map { stored in
            Verification(name: stored.name.description, family: stored.name.family, result: .ok)
        }
        var readable: [(number: Int, fixture: Fixture)] = []
        for (number, stored) in stored.enumerated() {
            do {
                let fixture = try stored.fixture()
                results[number].shows = fixture.shows
                try fixture.checkNames()
                readable.append((number, fixture))
            } catch {
                (results[number].result, results[number].details) = (.broken, [oneLine(error)])
            }
        }
        try files.checkUsed(by: readable.map(\.fixture))
        let observed = try FixtureRunner(jobs: jobs).observe(readable.map { toObserve($0.fixture) })
        for ((number, fixture), observed) in zip(readable, observed) {
            judge(fixture, observed, &results[number])
        }
        return results
    }

    private func toObserve(_ fixture: Fixture) -> TraceToObserve {
        var item = TraceToObserve(fixture, files, realigned: tolerant)
        item.paths = fixture.paths
        return item
    }

    private func judge(_ fixture: Fixture, _ observed: ObservedTrace, _ result: inout Verification) {
        result.details = observed.moved.map { "the schedule has drifted: \($0)" }
        if !result.details.isEmpty { result.result = .drifted }
        if let file = fixture.file { result.details += remarks(on: file, files.file(of: fixture)) }
        for on in observed.variants {
            guard let outcome = on.outcome else {
                result.result = .deviates
                result.details.append("\(on.variant): \(on.problem ?? "no outcome")")
                continue
            }
            let expected = fixture.outcome(of: on.variant)!
            if on.variant == fixture.scheduledOn, !on.missing.isEmpty {
                result.result = .deviates
                result.details += on.missing.map {
                    "\(on.variant): the schedule has a decision that is not taken: \($0)"
                }
            }
            guard outcome != expected else { continue }
            let lines = changes(expected.facts, outcome.facts).map { "\(on.variant): \($0)" }
            if tolerant && outcome.isLike(expected) {
                if result.result == .ok { result.result = .drifted }
            } else {
                result.result = .deviates
            }
            result.details += lines
        }
    }
}

extension Verifier {
    /// What is to be said of the C file of a fixture, and of the one that is handed over for it.
    private func remarks(on file: CFile, _ handed: HandedFile?) -> [String] {
        guard let handed else {
            return ["\(file.name): skipped: not given with --file"]
        }
        guard handed.file.digest != file.digest else { return [] }
        return ["\(file.name): is not what it was: digest \(file.digest), now \(handed.file.digest)"]
    }
}

extension Fixture {
    /// The paths of all values by which it tells variants apart.
    var paths: [String] {
        Array(Set(outcomes.flatMap { $0.outcome.lines.map(\.path) })).sorted()
    }

    /// - Throws: where it speaks of variants that there are not.
    func checkNames() throws {
        let family = try commandLineCatalog.family(family)
        for name in familyVariants where !family.variants.contains(where: { $0.name == name }) {
            throw InputError("no variant \(name) in \(family.name)")
        }
    }
}

/// `- old` and `+ new`, what both have left out.
func changes(_ old: [String], _ new: [String]) -> [String] {
    old.filter { !new.contains($0) }.map { "- \($0)" } + new.filter { !old.contains($0) }.map { "+ \($0)" }
}
