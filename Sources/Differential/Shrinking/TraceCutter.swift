// SPDX-License-Identifier: GPL-2.0-only
// The order in which cuts of a trace are tried, whatever is to stay the same.

import Traces

/// Something that keeps the smallest trace that still shows what it is about.
protocol TraceCutter: AnyObject {
    /// With its schedule, if it needs one.
    var smallest: Trace { get }
    /// Whether more may be tried.
    var hasBudget: Bool { get }
    /// Takes a trace for the smallest, if it shows the same.
    func tries(_ smaller: Trace) -> Bool
}

extension TraceCutter {
    /// Leaves out tasks and steps.
    func cutProgram() {
        var before: Int
        repeat {
            before = smallest.operations + smallest.tasks.count
            dropTasks()
            setUp()
            drop(count: { smallest.stepsOfTasks.count }) { smallest.without(steps: $0) }
            drop(count: { smallest.setup.steps.count }) { smallest.without(setupSteps: $0) }
        } while smallest.operations + smallest.tasks.count < before && hasBudget
    }

    /// Makes the machine simpler.
    @discardableResult
    func cutMachine() -> Bool {
        simplify { $0.onSimplerMachines() }
    }

    /// Makes machine and arguments simpler.
    func cutDetails() {
        var progress = true
        while progress && hasBudget {
            progress = cutMachine()
            progress = simplify { $0.withSimplerArguments() } || progress
        }
    }

    private func dropTasks() {
        var number = smallest.tasks.count - 1
        while number >= 0 && smallest.tasks.count > 1 {
            _ = tries(smallest.without(task: number))
            number -= 1
        }
    }

    /// Moves to the set-up what tasks do before it matters.
    private func setUp() {
        for task in smallest.tasks.indices.reversed() {
            while task < smallest.tasks.count, smallest.tasks.count > 1 || smallest.tasks[task].steps.count > 1 {
                guard tries(smallest.settingUp(task)) else { break }
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

    /// Tries one change after the other until none is left that helps.
    private func simplify(_ simpler: (Trace) -> [Trace]) -> Bool {
        var changed = false
        var number = 0
        var candidates = simpler(smallest)
        while number < candidates.count && hasBudget {
            if tries(candidates[number]) {
                changed = true
                // Those before it did not help; with this one, others stand in their places.
                let rest = candidates.count - number
                candidates = simpler(smallest)
                number = max(candidates.count - rest, 0)
            } else {
                number += 1
            }
        }
        return changed
    }
}

extension Trace {
    /// Whether it is still a trace: what refers to what may have been left out.
    var isWritable: Bool {
        (try? Trace(parsing: description, file: "", eras: Vocabulary.all)) != nil
    }
}
