// SPDX-License-Identifier: GPL-2.0-only
// Cuts a difference down, while it stays the same difference: fewer tasks and steps, simpler arguments, a smaller
// machine, fewer preemptions.  Each cut is judged quickly (Witness.swift); what comes out is judged anew by whoever
// makes a verdict of it.

import Simulation
import Traces

final class Shrinker {
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
        var before: Int
        repeat {
            before = best.trace.operations + best.trace.tasks.count
            dropTasks()
            setUp()
            drop(count: { best.trace.stepsOfTasks.count }) { best.scheduled.without(steps: $0) }
            drop(count: { best.trace.setup.steps.count }) { best.scheduled.without(setupSteps: $0) }
        } while best.trace.operations + best.trace.tasks.count < before && hasBudget
        shrinkSchedule()
    }

    /// Makes the machine simpler.
    @discardableResult
    func shrinkMachine() -> Bool {
        simplify { $0.onSimplerMachines() }
    }

    /// Makes machine and arguments simpler.
    func shrinkDetails() {
        var progress = true
        while progress && hasBudget {
            progress = shrinkMachine()
            progress = simplify { $0.withSimplerArguments() } || progress
        }
        shrinkSchedule()
    }

    /// Moves preemptions into functions that the pair changes, where they can be: there a reader looks for them.
    func explainSchedule() {
        guard pair.load(best.compiled) else { return }
        for number in best.schedule.decisions.indices where number < best.schedule.decisions.count {
            let decision = best.schedule.decisions[number]
            guard !decision.forced, decision.cpu == nil, !isInChangedFunction(decision) else { continue }
            let places = pair.places(best.schedule, on: best.side)
            let own = places.filter { $0.task == decision.task && $0.op == decision.op && $0.isChanged }
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

    private var hasBudget: Bool { pair.executions < limit && !pair.isOutOfTime }

    private func tries(_ smaller: Trace) -> Bool {
        guard hasBudget,
            let found = pair.witness(smaller, like: best, strictly: isStrict, judgement, seed), found.trace.isWritable
        else { return false }
        best = found
        return true
    }

    // MARK: Programs

    private func dropTasks() {
        var number = best.trace.tasks.count - 1
        while number >= 0 && best.trace.tasks.count > 1 {
            _ = tries(best.scheduled.without(task: number))
            number -= 1
        }
    }

    /// Moves to the set-up what tasks do before it matters.
    private func setUp() {
        for task in best.trace.tasks.indices.reversed() {
            while task < best.trace.tasks.count, best.trace.tasks.count > 1 || best.trace.tasks[task].steps.count > 1 {
                guard tries(best.scheduled.settingUp(task)) else { break }
            }
        }
    }

    /// Leaves out half of the things, a quarter, ... and then single ones, from the last to the first: so no step
    /// loses the result that it uses before it is gone itself.
    private func drop(count: () -> Int, without: (Range<Int>) -> Trace) {
        var size = max(count() / 2, 1)
        while count() > 0 {
            var end = count()
            while end > 0 {
                _ = tries(without(max(end - size, 0)..<end))
                end = min(end - size, count())
            }
            if size == 1 { return }
            size /= 2
        }
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

    // MARK: Arguments and machine

    /// Tries one change after the other until none is left that helps.
    private func simplify(_ simpler: (Trace) -> [Trace]) -> Bool {
        var changed = false
        var number = 0
        var candidates = simpler(best.scheduled)
        while number < candidates.count && hasBudget {
            if tries(candidates[number]) {
                changed = true
                // Those before it did not help; with this one, others stand in their places.
                let rest = candidates.count - number
                candidates = simpler(best.scheduled)
                number = max(candidates.count - rest, 0)
            } else {
                number += 1
            }
        }
        return changed
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

extension Trace {
    /// Whether it is still a trace: what refers to what may have been left out.
    fileprivate var isWritable: Bool {
        (try? Trace(parsing: description, file: "", eras: Vocabulary.all)) != nil
    }
}
