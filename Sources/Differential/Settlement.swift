// SPDX-License-Identifier: GPL-2.0-only
// From a candidate to a verdict: can the other side reach the outcome, too?  First by sampling, then, on the
// cut-down trace, by running every schedule with few preemptions.

import CKernel
import KernelModel
import Simulation
import Traces
import VariantKit

/// How hard to try before a candidate is believed.
public struct SettlementBudget: Sendable {
    /// Random schedules of the other side on the trace as it was found.
    public var sampled = 2_000
    /// Random schedules of each side for every smaller trace that is tried.
    public var perReduction = 400
    public var reductions = 120
    /// Schedules of a bounded search: enough for two preemptions of two tasks with a hundred steps each.
    public var searched = 60_000
    /// The most preemptions searched.
    public var preemptionBound = 2

    public init() {}
}

/// What became of a candidate.
struct Settlement {
    var verdict: Verdict
    var trace: Trace
    var compiled: CompiledTrace
    var candidate: Candidate
    var effort: String
}

/// Tells whether two outcomes are alike for the question at hand: for a broken invariant only that it is
/// broken counts, otherwise everything does.
struct Likeness {
    /// The invariants that only one side broke; 0 for a difference in results or state.
    let violations: UInt32
    let end: UInt8?

    init(_ candidate: Candidate, other: Outcome.Essence) {
        violations = candidate.essence.violations & ~other.violations
        end = candidate.essence.end != other.end && violations == 0 ? candidate.essence.end : nil
    }

    func matches(_ essence: Outcome.Essence, _ wanted: Outcome.Essence) -> Bool {
        if violations != 0 { return essence.violations & violations == violations }
        if let end { return essence.end == end }
        return essence == wanted
    }
}

extension PairOfMachines {
    /// Decides about a candidate of the loaded trace; nil if the other side does reach it.
    func settle(
        _ candidate: Candidate, _ likeness: Likeness, trace: Trace, vocabulary: Vocabulary, budget: SettlementBudget
    ) -> Settlement? {
        if sample(candidate, likeness, on: candidate.side.other, count: budget.sampled) != nil { return nil }
        var seed = candidate.seed
        var essence = candidate.essence
        let reduced = reduce(trace, attempts: budget.reductions) { smaller in
            guard let found = shows(smaller, vocabulary, candidate, likeness, budget) else { return false }
            (seed, essence) = (found.seed, found.essence)
            return true
        }
        guard let compiled = try? CompiledTrace(reduced, vocabulary), load(compiled) else { return nil }
        var settled = candidate
        (settled.seed, settled.essence) = (seed, essence)
        if sample(settled, likeness, on: settled.side.other, count: budget.sampled * 4) != nil { return nil }
        return search(settled, likeness, reduced, compiled, budget)
    }

    /// Whether a smaller trace still shows the difference, and under which schedule.
    private func shows(
        _ trace: Trace, _ vocabulary: Vocabulary, _ candidate: Candidate, _ likeness: Likeness,
        _ budget: SettlementBudget
    ) -> Candidate? {
        guard let compiled = try? CompiledTrace(trace, vocabulary), load(compiled) else { return nil }
        if likeness.violations != 0 || likeness.end != nil {
            guard let found = sample(candidate, likeness, on: candidate.side, count: budget.perReduction),
                sample(candidate, likeness, on: candidate.side.other, count: budget.perReduction) == nil
            else { return nil }
            return found
        }
        // Another trace has other outcomes: any that only this side reaches will do.
        let comparison = compare(candidate.seed, schedules: budget.perReduction)
        return comparison.candidates.first { $0.side == candidate.side }
    }

    /// The first of `count` schedules under which `side` has an outcome like the candidate's.
    private func sample(_ candidate: Candidate, _ likeness: Likeness, on side: Side, count: Int) -> Candidate? {
        let machine = self[side]
        for number in 0..<count {
            let seed =
                number == 0
                ? candidate.seed
                : ScheduleSeed(seed: ~candidate.seed.seed, trace: candidate.seed.trace, schedule: number)
            seed.strategy().install()
            let essence = machine.run().essence
            if likeness.matches(essence, candidate.essence) {
                return Candidate(side: side, essence: essence, seed: seed)
            }
        }
        return nil
    }

    /// Runs every schedule of the other side with 0, 1, 2 ... preemptions.
    private func search(
        _ candidate: Candidate, _ likeness: Likeness, _ trace: Trace, _ compiled: CompiledTrace,
        _ budget: SettlementBudget
    ) -> Settlement? {
        let machine = self[candidate.side.other]
        let search = DepthFirstSearch(machine.arena)
        var schedules = 0
        var bound = -1
        var exhaustive = false
        while bound < budget.preemptionBound && !exhaustive {
            var reached = false
            machine.useTrace()
            let result = search.run(preemptionBound: bound + 1, schedules: budget.searched) { end in
                reached = likeness.matches(Outcome(end, machine.arena).essence, candidate.essence)
                machine.useTrace()
                return !reached
            }
            if reached { return nil }
            schedules = result.schedules
            guard result.complete else { break }
            bound += 1
            exhaustive = result.unbounded
        }
        let other = candidate.side == .base ? "the patched side" : "the base"
        let sampled = "\(budget.sampled * 4) random schedules"
        if exhaustive {
            return Settlement(
                verdict: .divergent, trace: trace, compiled: compiled, candidate: candidate,
                effort: "\(other) cannot: all \(schedules) schedules of the cut-down trace were run")
        }
        if bound >= 1 {
            return Settlement(
                verdict: .divergent, trace: trace, compiled: compiled, candidate: candidate,
                effort: "\(other) does not, in all \(schedules) schedules with at most \(bound) preemptions"
                    + " of the cut-down trace, nor in \(sampled)")
        }
        return Settlement(
            verdict: .inconclusive, trace: trace, compiled: compiled, candidate: candidate,
            effort: "\(other) did not in \(sampled); too many schedules to search")
    }
}
