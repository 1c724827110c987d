// SPDX-License-Identifier: GPL-2.0-only
// From a candidate to a verdict.  Sampling can only dismiss it.  It is believed when all schedules of the other side
// with as few preemptions as show it have been run, and none has the outcome.

import CKernel
import KernelModel
import Simulation
import Traces
import VariantKit

/// How hard to try before a candidate is believed.
public struct SettlementBudget: Sendable {
    /// Random schedules of the other side on the trace as it was found: most candidates end there.
    public var sampled = 800
    /// Random schedules of the other side on the cut-down trace.
    public var sampledAtTheEnd = 8_000
    /// Executions to cut programs down with, and then arguments and machine.
    public var shrinking = 60_000
    /// Schedules of a bounded search: two preemptions of two tasks with a hundred steps each are 40,000.
    public var searched = 60_000
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
    case undecided(Witness)
    /// The campaign's time is up.
    case outOfTime
}

struct Settled {
    var witness: Witness
    var effort: String
}

extension PairOfMachines {
    /// Looks at a candidate of the loaded trace for a first time, by a few hundred schedules.
    ///
    /// - Returns: nil if the other side reaches its outcome, too.
    func screen(_ witness: Witness, _ seed: ScheduleSeed, _ budget: SettlementBudget) -> Witness? {
        let shrinker = Shrinker(self, witness, seed, executions: budget.shrinking, isStrict: false)
        shrinker.shrinkSchedule()
        let other = witness.side.other
        return reaches(other, near: shrinker.best.schedule, budget.sampled, seed, witness.wants) ? nil : shrinker.best
    }

    /// Decides about a candidate.
    ///
    /// - Parameter strictly: whether all of its difference is to stay; else part of it is enough.
    func settle(
        _ witness: Witness, _ seed: ScheduleSeed, _ budget: SettlementBudget, strictly: Bool = false
    ) -> Settlement {
        let shrinker = Shrinker(self, witness, seed, executions: budget.shrinking, isStrict: strictly)
        shrinker.shrinkProgram()
        // Fewer CPUs and pages are fewer choices and less to copy.
        shrinker.cutMachine()
        let small = shrinker.best
        switch search(small, budget) {
        case .reached: return .dismissed
        case .tooMany: return isOutOfTime ? .outOfTime : .undecided(small)
        case .notReached(let searched):
            shrinker.isStrict = true
            shrinker.shrinkDetails()
            shrinker.adopt(withFewestPreemptions(shrinker.best, budget))
            shrinker.explainSchedule()
            switch confirm(shrinker.best, seed, budget) {
            case .settled(let settled): return .settled(settled)
            case .outOfTime: return .outOfTime
            default:
                // Cut down too far: what is left is none, or none that can be decided.  What came before was decided.
                return confirm(small, searched, seed, budget)
            }
        }
    }

    /// The witness with the fewest preemptions on its trace, if a search finds one with fewer.
    private func withFewestPreemptions(_ witness: Witness, _ budget: SettlementBudget) -> Witness {
        guard load(witness.compiled) else { return witness }
        var best = witness
        for bound in 0..<min(witness.schedule.preemptions, budget.preemptionBound + 1) {
            let found = outcomes(witness.side, bound: bound, schedules: budget.searched, until: witness.isLike)
            if let schedule = found.schedule {
                best.schedule = schedule
                return best
            }
        }
        return best
    }

    // MARK: The other side

    /// What a search for the outcome among the other side's schedules gave.
    private enum Search {
        case reached
        /// By none of all schedules within the bound.
        case notReached(Searched)
        case tooMany
    }

    private struct Searched {
        var bound: Int
        var result: SearchResult
    }

    /// Runs all schedules of the other side with as many preemptions as the witness has.
    private func search(_ witness: Witness, _ budget: SettlementBudget) -> Search {
        // One preemption more costs little where there is none, and says more.
        let bound = max(witness.schedule.preemptions, 1)
        guard bound <= budget.preemptionBound + 1, load(witness.compiled) else { return .tooMany }
        let found = outcomes(witness.side.other, bound: bound, schedules: budget.searched, until: witness.wants)
        if found.schedule != nil { return .reached }
        return found.result.complete ? .notReached(Searched(bound: bound, result: found.result)) : .tooMany
    }

    private func confirm(_ witness: Witness, _ seed: ScheduleSeed, _ budget: SettlementBudget) -> Settlement {
        switch search(witness, budget) {
        case .reached: return .dismissed
        case .tooMany: return isOutOfTime ? .outOfTime : .undecided(witness)
        case .notReached(let searched): return confirm(witness, searched, seed, budget)
        }
    }

    /// Tries the other side once more, harder: random schedules, and one preemption more.
    private func confirm(
        _ witness: Witness, _ searched: Searched, _ seed: ScheduleSeed, _ budget: SettlementBudget
    ) -> Settlement {
        guard load(witness.compiled) else { return .undecided(witness) }
        let other = witness.side.other
        if reaches(other, near: witness.schedule, budget.sampledAtTheEnd, seed, witness.wants) { return .dismissed }
        var reached = searched
        if !searched.result.unbounded {
            let further = outcomes(other, bound: searched.bound + 1, schedules: budget.searched, until: witness.wants)
            if further.schedule != nil { return .dismissed }
            if further.result.complete { reached = Searched(bound: searched.bound + 1, result: further.result) }
        }
        // What was not run for want of time says nothing.
        if isOutOfTime { return .outOfTime }
        let extent =
            reached.result.unbounded
            ? "all \(reached.result.schedules) schedules"
            : "all \(reached.result.schedules) schedules with at most \(counted(reached.bound, "preemption"))"
        return .settled(
            Settled(
                witness: witness,
                effort: "shown with \(counted(witness.schedule.preemptions, "preemption"));"
                    + " \(other == .base ? "the base" : "the patched side") has it in none of \(extent)"
                    + " of the cut-down trace, nor in \(budget.sampledAtTheEnd) random ones"))
    }

    var isOutOfTime: Bool { deadline.map { ContinuousClock.now >= $0 } ?? false }

    /// Runs every schedule of one side of the loaded trace within a bound, until one has the outcome that is wanted.
    private func outcomes(
        _ side: Side, bound: Int, schedules: Int, until isWanted: (Outcome.Essence) -> Bool
    ) -> (schedule: Schedule?, result: SearchResult) {
        let machine = self[side]
        var found: Schedule?
        machine.useTrace()
        let result = search(side).run(preemptionBound: bound, schedules: schedules) { end in
            let essence = Outcome(end, machine).essence
            machine.useTrace()
            executions += 1
            if isWanted(essence) { found = recordedSchedule() }
            return found == nil && !isOutOfTime
        }
        return (found, result)
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
