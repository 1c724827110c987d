// SPDX-License-Identifier: GPL-2.0-only
// Cuts a difference down, while it stays the same difference: fewer tasks and steps, simpler arguments, a smaller
// machine, fewer preemptions.  Each cut is judged quickly (Witness.swift); what comes out is judged anew by whoever
// makes a verdict of it.

import Simulation
import Traces

final class Shrinker: TraceCutter {
    private let pair: PairOfMachines
    private let seed: ScheduleSeed
    private let judgement: QuickJudgement
    /// Whether all of the difference must stay, or some of it is enough.
    var isStrict: Bool
    private(set) var best: Witness
    /// Executions before it ends where it is.
    private let limit: Int

    init(
        _ pair: PairOfMachines, _ witness: Witness, _ seed: ScheduleSeed, executions: Int, isStrict: Bool,
        judgement: QuickJudgement = QuickJudgement()
    ) {
        (self.pair, self.seed, self.judgement) = (pair, seed, judgement)
        self.isStrict = isStrict
        best = witness
        limit = pair.executions + executions
    }

    /// Leaves out tasks, steps and preemptions.
    func shrinkProgram() {
        shrinkSchedule()
        cutProgram()
        shrinkSchedule()
    }

    /// Makes machine and arguments simpler.
    func shrinkDetails() {
        cutDetails()
        shrinkSchedule()
    }

    /// Moves preemptions into functions that the pair changes, where they can be: there a reader looks for them.
    func explainSchedule() {
        guard pair.load(best.compiled) else { return }
        for number in best.schedule.decisions.indices where number < best.schedule.decisions.count {
            let decision = best.schedule.decisions[number]
            guard !decision.forced, decision.cpu == nil, !isInChangedFunction(decision) else { continue }
            let places = pair.places(best.schedule, on: best.side)
            let own = places.filter { $0.isOfStep(of: decision) && $0.isChanged }
            for place in own {
                let run = pair.execute(best.schedule.moving(number, to: place), on: best.side)
                guard best.isLike(run.essence), run.schedule.preemptions <= best.schedule.preemptions else { continue }
                (best.schedule, best.essence) = (run.schedule, run.essence)
                break
            }
        }
    }

    private func isInChangedFunction(_ decision: Decision) -> Bool {
        yieldPointNumber(named: decision.function, decision.label).map(liesInChangedFunction) ?? false
    }

    /// Goes on from another execution of the same trace.
    func adopt(_ witness: Witness) {
        best = witness
    }

    var smallest: Trace { best.scheduled }

    var hasBudget: Bool { pair.executions < limit && !pair.isOutOfTime }

    func tries(_ smaller: Trace) -> Bool {
        guard hasBudget,
            let found = pair.witness(smaller, like: best, strictly: isStrict, judgement, seed), found.trace.isWritable
        else { return false }
        best = found
        return true
    }

    // MARK: Schedules

    /// Leaves out decisions, preemptions first.
    func shrinkSchedule() {
        guard pair.load(best.compiled) else { return }
        var size = max(best.schedule.preemptions, 1)
        while size > 0 && hasBudget {
            var end = best.schedule.preemptions
            while end > 0 {
                triesSchedule(best.schedule.without(preemptions: max(end - size, 0)..<end))
                end = min(end - size, best.schedule.preemptions)
            }
            size /= 2
        }
    }

    private func triesSchedule(_ schedule: Schedule) {
        let run = pair.execute(schedule, on: best.side)
        guard best.isLike(run.essence), run.schedule.preemptions < best.schedule.preemptions else { return }
        (best.schedule, best.essence) = (run.schedule, run.essence)
    }
}

extension Schedule {
    /// Without some of the preemptions, counted in their order.
    fileprivate func without(preemptions range: Range<Int>) -> Schedule {
        var fewer = self
        var number = decisions.count { !$0.forced }
        for index in decisions.indices.reversed() where !decisions[index].forced {
            number -= 1
            if range.contains(number) { fewer.decisions.remove(at: index) }
        }
        return fewer
    }
}
