// SPDX-License-Identifier: GPL-2.0-only
// What a run found, as all formats tell it.  Everything here but `measured` is the same for the same input.

import Differential
import VariantKit

/// All pairs of a run.
public struct RunReport: Encodable, Sendable {
    public var memoryModel = "explored under sequential consistency"
    public var seed: UInt64
    public var pairs: [PairReport]

    public init(seed: UInt64, pairs: [PairReport]) {
        self.seed = seed
        self.pairs = pairs
    }

    /// Whether something differs that nobody expected.
    public var hasUnexpected: Bool { pairs.contains { $0.verdict.isUnexpected } }
    /// Whether nothing can be said of a pair: its changed functions were never entered, a difference could not be
    /// settled, or what mmdiff does to doubt itself did not come to its end.
    public var hasDoubt: Bool {
        pairs.contains { [.unreached, .inconclusive].contains($0.verdict) || $0.doubt.stopped != nil }
    }
    /// Whether mmdiff has found that it is wrong itself.
    public var isNotToBeBelieved: Bool { pairs.contains { !$0.failures.isEmpty } }
}

/// One pair.
public struct PairReport: Encodable, Sendable {
    public var family: String?
    /// `base..patched`.
    public var pair: String
    public var traces = 0
    /// Traces whose set-up did not run.
    public var skipped = 0
    public var schedules = 0
    /// Schedules that were not like another of the same trace.
    public var distinct = 0
    /// Schedules that entered a changed function.
    public var reached = 0
    /// What schedules were drawn by, and how far that went.
    public var strategies: [ReportedStrategy] = []
    /// How much of what the pair changes was run; nil if a part of the run crashed, for then it is not known.
    public var coverage: Coverage?
    public var findings: [ReportedFinding] = []
    /// What may differ on purpose, and what that swallowed.
    public var claims: [ClaimReport] = []
    public var doubt = SelfDoubt()
    public var measured = Measured()

    /// What depends on the machine that ran it.
    public struct Measured: Encodable, Sendable {
        public var seconds = 0.0
        public var schedulesPerSecond = 0
        public var secondsOfDoubt = 0.0

        public init() {}
    }

    public init(family: String?, pair: String) {
        self.family = family
        self.pair = pair
    }

    /// The gravest verdict of its findings.
    public var verdict: Verdict {
        let order: [Verdict] = [.crash, .deadlock, .divergent, .inconclusive]
        let verdicts = findings.map(\.finding.verdict)
        if let unexpected = order.first(where: verdicts.contains) { return unexpected }
        if reached == 0 { return .unreached }
        return [.expected, .preExisting].first(where: verdicts.contains) ?? .equal
    }

    public func count(_ verdict: Verdict) -> Int {
        findings.count { $0.finding.verdict == verdict }
    }

    /// Why this run is not to be believed; empty if it is.
    public var failures: [String] {
        doubt.failures
            + findings.filter { $0.finding.isRepeatable == false }.map {
                "the schedule of \"\($0.finding.key)\" did not give the same again"
            }
    }

    enum CodingKeys: String, CodingKey {
        case family, pair, traces, skipped, schedules, distinct, reached, strategies, coverage, findings, claims,
            measured, verdict, doubt, failures
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encodeIfPresent(family, forKey: .family)
        try container.encode(pair, forKey: .pair)
        try container.encode(verdict, forKey: .verdict)
        try container.encode(traces, forKey: .traces)
        try container.encode(skipped, forKey: .skipped)
        try container.encode(schedules, forKey: .schedules)
        try container.encode(distinct, forKey: .distinct)
        try container.encode(reached, forKey: .reached)
        try container.encode(strategies, forKey: .strategies)
        try container.encodeIfPresent(coverage, forKey: .coverage)
        try container.encode(findings, forKey: .findings)
        try container.encode(claims.map { $0.swallowing(findings.map(\.finding)) }, forKey: .claims)
        try container.encode(doubt, forKey: .doubt)
        try container.encode(failures, forKey: .failures)
        try container.encode(measured, forKey: .measured)
    }
}

/// A finding and how to see it again.
public struct ReportedFinding: Encodable, Sendable {
    public var finding: Finding
    /// The command that finds it again.
    public var again: String?
    /// The file with its trace, and the command that shows it step by step.
    public var traceFile: String?
    public var replay: String?
    public var measured: Measured

    /// What depends on the machine that ran it.
    public struct Measured: Encodable, Sendable {
        /// From the start of the campaign's part to the finding.
        public var secondsToDetection: Double?
    }

    public init(_ finding: Finding, again: String? = nil) {
        self.finding = finding
        self.again = again
        measured = Measured(secondsToDetection: finding.detection?.seconds)
        self.finding.detection?.seconds = nil
    }
}
