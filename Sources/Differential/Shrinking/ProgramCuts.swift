// SPDX-License-Identifier: GPL-2.0-only
// Traces with tasks and steps left out.  The schedule is brought along: what it says of steps that stay goes on
// saying so under their new numbers.

import Traces

extension Trace {
    /// How much it does: tasks' steps and the set-up's.
    public var operations: Int { setup.steps.count + tasks.reduce(0) { $0 + $1.steps.count } }

    /// Without one task.
    func without(task number: Int) -> Trace {
        var smaller = self
        smaller.tasks.remove(at: number)
        smaller.schedule?.renumber { $0 == number ? nil : $0 > number ? $0 - 1 : $0 }
        return smaller
    }

    /// Without these steps of the tasks, numbered through from the first task's first; tasks that are left with
    /// nothing to do go, too.
    func without(steps range: Range<Int>) -> Trace {
        var smaller = self
        for (number, (task, step)) in stepsOfTasks.enumerated().reversed() where range.contains(number) {
            smaller.tasks[task].steps.remove(at: step)
            smaller.schedule?.remove(op: step, of: task)
        }
        for task in smaller.tasks.indices.reversed() where smaller.tasks[task].steps.isEmpty {
            if smaller.tasks.count > 1 { smaller = smaller.without(task: task) }
        }
        return smaller
    }

    /// Without these steps of the set-up.
    func without(setupSteps range: Range<Int>) -> Trace {
        var smaller = self
        smaller.setup.steps.removeSubrange(range)
        return smaller
    }

    /// With the first step of a task at the end of the set-up: what need not be raced with.
    func settingUp(_ task: Int) -> Trace {
        guard let first = tasks[task].steps.first else { return self }
        var smaller = self
        smaller.setup.steps.append(SetupStep(tasks[task].performer, first))
        smaller.tasks[task].steps.removeFirst()
        smaller.schedule?.remove(op: 0, of: task)
        return smaller.tasks[task].steps.isEmpty && tasks.count > 1 ? smaller.without(task: task) : smaller
    }

    /// Of each step of a task: whose it is, and which.
    var stepsOfTasks: [(task: Int, step: Int)] {
        tasks.indices.flatMap { task in tasks[task].steps.indices.map { (task, $0) } }
    }
}

extension Schedule {
    /// Preemptions: switches away from a task that could have gone on, and moves to another CPU.
    public var preemptions: Int { decisions.count { !$0.forced } }

    /// Gives tasks other numbers; what is said of those that get none is left out.
    fileprivate mutating func renumber(_ new: (Int) -> Int?) {
        start = start.flatMap(new)
        decisions = decisions.compactMap { decision in
            guard let task = new(decision.task), let next = new(decision.next) else { return nil }
            var renumbered = decision
            (renumbered.task, renumbered.next) = (task, next)
            return renumbered
        }
    }

    /// Says nothing any more of one step.
    fileprivate mutating func remove(op: Int, of task: Int) {
        decisions.removeAll { $0.task == task && $0.op == op }
        for number in decisions.indices where decisions[number].task == task && decisions[number].op > op {
            decisions[number].op -= 1
        }
    }
}
