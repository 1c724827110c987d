// SPDX-License-Identifier: GPL-2.0-only
// What a run reports: each distinct difference once.

import Traces
import VariantKit

/// What is known of a difference.  The words are those of the exit status and of every report.
public enum Verdict: String, Codable, Sendable, CaseIterable {
    case equal, expected, divergent
    case preExisting = "pre-existing"
    case crash, deadlock, unreached, inconclusive

    /// Whether a run with such a finding has found something that nobody expected.
    public var isUnexpected: Bool {
        switch self {
        case .divergent, .crash, .deadlock: true
        case .equal, .expected, .preExisting, .unreached, .inconclusive: false
        }
    }
}

/// One kind of difference between the two variants of a pair.
public struct Finding: Codable, Sendable {
    public enum Direction: String, Codable, Sendable {
        /// Possible only after the patch.
        case new
        /// Possible only before it.
        case lost
        /// Broken on both sides.
        case both
    }

    /// `invariants`, `attempts`, or a level of an outcome.
    public var level: String
    public var direction: Direction
    /// What differs: names of invariants, or of fields.  Differences with equal subjects are one finding.
    public var subject: [String]
    public var verdict: Verdict
    /// On how many traces it was seen.
    public var traces: Int
    /// The first schedule that showed it.
    public var seed: ScheduleSeed
    /// Where the two executions first did something different.
    public var firstDivergence: String?
    public var broken: [BrokenInvariant]
    /// The difference of the two final states.
    public var difference: [String]
    /// The trace, cut down, with the schedule that shows the difference.
    public var trace: String
    /// How the verdict was reached, in words.
    public var effort: String
    /// The claim that covers it.
    public var claim: String?

    public var key: String {
        ([level, direction.rawValue] + subject).joined(separator: " ")
    }
}

extension Finding {
    /// A crash, which ended the process that ran the trace.
    public init(crash: String, place: String, trace: Trace, seed: ScheduleSeed) {
        self.init(
            level: "crash", direction: .both, subject: [crash], verdict: .crash, traces: 1, seed: seed,
            firstDivergence: place, broken: [], difference: [], trace: trace.description,
            effort: "the process that ran it ended", claim: nil)
    }
}
