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
    /// The schedule that shows the difference, in words: who is stopped where, and what the others do meanwhile.
    public var story: [String] = []
    /// How many preemptions that takes.
    public var preemptions: Int?
    /// What the claim that covers it says.
    public var claim: String?
    /// That claim, as a claims file has it.
    public var coveredBy: String?
    /// How far the campaign had come when it was found.
    public var detection: Detection?
    /// Whether its schedule gave the same once more, from the text of its trace; nil if it was not tried.
    public var isRepeatable: Bool?

    public struct Detection: Codable, Sendable {
        public var traces: Int
        public var schedules: Int
        /// Not the same on every machine.
        public var seconds: Double?
    }

    public var key: String { ([level, direction.rawValue] + subject).joined(separator: " ") }

    var identity: Subject {
        Subject(
            level: level, direction: direction, names: subject, isClaimed: coveredBy != nil,
            isDeadlock: verdict == .deadlock)
    }

    /// Whether two are one difference: of the same fields, some may differ as claimed and some not.
    public func isSame(as other: Finding) -> Bool { identity == other.identity }
}

extension Finding {
    /// It is what the patch's author says that it changes.
    mutating func isExpected(by claim: Claim) {
        verdict = .expected
        (self.claim, coveredBy) = (claim.sentence, claim.description)
    }

    /// A difference that nobody knows whether the other side has.
    init(undecided witness: Witness, _ seed: ScheduleSeed, _ budget: SettlementBudget) {
        self.init(
            level: witness.subject.level, direction: witness.subject.direction, subject: witness.subject.names,
            verdict: .inconclusive, traces: 1, seed: seed, firstDivergence: nil, broken: [], difference: [],
            trace: witness.scheduled.description,
            effort: "the other side did not in \(budget.sampled) random schedules; it takes"
                + " \(counted(witness.schedule.preemptions, "preemption")), and there are too many such schedules"
                + " to run them all",
            preemptions: witness.schedule.preemptions, claim: nil)
    }

    /// A crash, which ended the process that ran the trace.
    public init(crash: String, place: String, trace: Trace, seed: ScheduleSeed) {
        self.init(
            level: "crash", direction: .both, subject: [crash], verdict: .crash, traces: 1, seed: seed,
            firstDivergence: place, broken: [], difference: [], trace: trace.description,
            effort: "the process that ran it ended", claim: nil)
    }
}
