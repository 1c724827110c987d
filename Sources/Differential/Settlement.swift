// SPDX-License-Identifier: GPL-2.0-only
// From a candidate to a verdict.  Sampling can only dismiss it.  It is believed when all schedules with few
// preemptions have been run on both sides, and one side has the outcome there and the other has not.

import CKernel
import KernelModel
import Simulation
import Traces
import VariantKit

/// How hard to try before a candidate is believed.
public struct SettlementBudget: Sendable {
    /// Random schedules of the other side on the trace as it was found.
    public var sampled = 2_000
    /// Random schedules of the other side on the cut-down trace.
    public var sampledAtTheEnd = 8_000
    /// Smaller traces to try.
    public var reductions = 120
    /// Schedules of a bounded search: two preemptions of two tasks with a hundred steps each are 40,000.
    public var searched = 60_000
    /// Schedules of a bounded search while the trace is still being cut down.
    public var searchedPerReduction = 6_000
    /// The most preemptions searched.
    public var preemptionBound = 2

    public init() {}
}

/// What became of a candidate.
enum Settlement {
    /// The other side reaches the outcome, too.
    case dismissed
    /// One side has it, the other has not, in all schedules of a bound.
    case settled(Settled)
    /// Too many schedules, or too many preemptions needed.
    case undecided
    /// The campaign's time is up.
    case outOfTime
}

struct Settled {
    var side: Side
    var trace: Trace
    var compiled: CompiledTrace
    var schedule: Schedule
    var effort: String
}

/// Tells whether two outcomes are alike for the question at hand: for a broken invariant only that it is
/// broken counts, for the ending of an attempt only that it was one, otherwise everything does.
struct Likeness {
    /// The invariants that only one side broke; 0 for a difference in results or state.
    let violations: UInt32
    let end: UInt8?
    /// The endings of attempts that only one side had; 0 if it is not about them.
    let attempts: UInt64

    init(_ candidate: Candidate, other: Outcome.Essence) {
        attempts = candidate.attempts
        guard attempts == 0 else {
            (violations, end) = (0, nil)
            return
        }
        violations = candidate.essence.violations & ~other.violations
        end = candidate.essence.end != other.end && violations == 0 ? candidate.essence.end : nil
    }

    /// Whether a kind of outcome is looked for, not one outcome.
    var isByKind: Bool { violations != 0 || end != nil || attempts != 0 }

    /// Whether an outcome of the trace as it was found is the candidate's.
    func matches(_ essence: Outcome.Essence, _ wanted: Outcome.Essence) -> Bool {
        interests(essence) && (isByKind || essence == wanted)
    }

    /// Whether an outcome could be what is looked for, on whatever trace.
    func interests(_ essence: Outcome.Essence) -> Bool {
        if violations != 0 { return essence.violations & violations == violations }
        if let end { return essence.end == end }
        return attempts == 0 || essence.attempts & attempts != 0
    }
}

extension PairOfMachines {
    /// Decides about a candidate of the loaded trace.
    func settle(
        _ candidate: Candidate, _ likeness: Likeness, trace: Trace, vocabulary: Vocabulary, budget: SettlementBudget
    ) -> Settlement {
        let settlement = settled(candidate, likeness, trace, vocabulary, budget)
        // What was not run for want of time says nothing.
        return isOutOfTime ? .outOfTime : settlement
    }

    private func settled(
        _ candidate: Candidate, _ likeness: Likeness, _ trace: Trace, _ vocabulary: Vocabulary,
        _ budget: SettlementBudget
    ) -> Settlement {
        let side = candidate.side
        if sampling(side.other, budget.sampled, candidate.seed, reaches: { likeness.matches($0, candidate.essence) }) {
            return .dismissed
        }
        var bound = 1
        while difference(side, likeness, bound: bound, schedules: budget.searched) == nil {
            bound += 1
            if bound > budget.preemptionBound { return .undecided }
        }
        let reduced = reduce(trace, attempts: budget.reductions) { smaller in
            guard let compiled = try? CompiledTrace(smaller, vocabulary), load(compiled) else { return false }
            return difference(side, likeness, bound: bound, schedules: budget.searchedPerReduction) != nil
        }
        guard let compiled = try? CompiledTrace(reduced, vocabulary), load(compiled),
            let found = difference(side, likeness, bound: bound, schedules: budget.searched)
        else { return .undecided }
        return confirm(found, side, likeness, reduced, compiled, candidate.seed, bound, budget)
    }

    /// Tries the other side once more, harder, on the cut-down trace.
    private func confirm(
        _ found: BoundedDifference, _ side: Side, _ likeness: Likeness, _ trace: Trace, _ compiled: CompiledTrace,
        _ seed: ScheduleSeed, _ bound: Int, _ budget: SettlementBudget
    ) -> Settlement {
        let byKind = likeness.isByKind
        let wanted = { (essence: Outcome.Essence) -> Bool in
            byKind ? likeness.interests(essence) : essence == found.essence
        }
        if sampling(side.other, budget.sampledAtTheEnd, seed, reaches: wanted) { return .dismissed }
        let further = outcomes(side.other, bound: bound + 1, schedules: budget.searched, until: wanted)
        if further.found { return .dismissed }
        let other = side == .patched ? "the base" : "the patched side"
        let reached = further.result.complete ? (bound + 1, further.result) : (bound, found.searched)
        let extent =
            reached.1.unbounded
            ? "all \(reached.1.schedules) schedules"
            : "all \(reached.1.schedules) schedules with at most \(counted(reached.0, "preemption"))"
        let effort =
            "shown with \(counted(found.preemptions, "preemption")); \(other) has it in none of \(extent)"
            + " of the cut-down trace, nor in \(budget.sampledAtTheEnd) random ones"
        return .settled(
            Settled(side: side, trace: trace, compiled: compiled, schedule: found.schedule, effort: effort))
    }

    /// Whether `side` has a certain outcome under some of `count` random schedules of the loaded trace.
    private func sampling(
        _ side: Side, _ count: Int, _ seed: ScheduleSeed, reaches: (Outcome.Essence) -> Bool
    ) -> Bool {
        let machine = self[side]
        for number in 0..<count {
            // Other schedules than those of the comparison, and the one that showed the candidate.
            var place = seed
            if number != 0 { (place.seed, place.schedule) = (~seed.seed, number) }
            place.strategy().install()
            if reaches(machine.run().essence) { return true }
            if isOutOfTime { return false }
        }
        return false
    }

    private var isOutOfTime: Bool { deadline.map { ContinuousClock.now >= $0 } ?? false }

    // MARK: Bounded search

    /// An outcome of one side, within a bound of preemptions, that the other side has not within that bound.
    private struct BoundedDifference {
        var essence: Outcome.Essence
        var schedule: Schedule
        var preemptions: Int
        /// The other side's search.
        var searched: DepthFirstSearch.Result
    }

    private func difference(
        _ side: Side, _ likeness: Likeness, bound: Int, schedules: Int
    ) -> BoundedDifference? {
        let byKind = likeness.isByKind
        let other = outcomes(side.other, bound: bound, schedules: schedules) { byKind && likeness.interests($0) }
        guard other.result.complete && !other.found else { return nil }
        var found: BoundedDifference?
        _ = outcomes(side, bound: bound, schedules: schedules) { essence in
            guard likeness.interests(essence) && (byKind || !other.essences.contains(essence)) else { return false }
            let schedule = recordedSchedule()
            found = BoundedDifference(
                essence: essence, schedule: schedule,
                preemptions: schedule.decisions.count { !$0.forced }, searched: other.result)
            return true
        }
        return found
    }

    /// Runs every schedule of one side within a bound, until an outcome is the one that is looked for.
    private func outcomes(
        _ side: Side, bound: Int, schedules: Int, until wanted: (Outcome.Essence) -> Bool
    ) -> (essences: Set<Outcome.Essence>, found: Bool, result: DepthFirstSearch.Result) {
        let machine = self[side]
        var essences: Set<Outcome.Essence> = []
        var found = false
        machine.useTrace()
        let result = search(side).run(preemptionBound: bound, schedules: schedules) { end in
            let essence = Outcome(end, machine).essence
            machine.useTrace()
            essences.insert(essence)
            found = wanted(essence)
            return !found && !isOutOfTime
        }
        return (essences, found, result)
    }
}

/// The schedule of the run that has just been recorded.
func recordedSchedule() -> Schedule {
    guard scheduler.nr_decisions > 0 else { return Schedule() }
    var schedule = Schedule(recordedFrom: Int(scheduler.decision(0).pointee.task))
    // The first decision says who starts.
    schedule.decisions.removeFirst()
    return schedule
}

func counted(_ number: Int, _ noun: String) -> String {
    "\(number) \(noun)\(number == 1 ? "" : "s")"
}
