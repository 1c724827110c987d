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
        smaller.schedule?.remove(task: number)
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

    /// Leaves one task out: whoever let it run lets run whom it let run.
    fileprivate mutating func remove(task removed: Int) {
        let number = { (task: Int) in task > removed ? task - 1 : task }
        var kept: [Decision] = []
        /// The decision for the removed task.
        var open: Decision?
        for decision in decisions where decision.next != removed || decision.task != removed {
            if decision.next == removed {
                open = decision
            } else if decision.task != removed {
                kept.append(decision)
            } else if var earlier = open {
                open = nil
                earlier.next = decision.next
                if earlier.next != earlier.task { kept.append(earlier) }
            } else if start == removed {
                start = decision.next
            }
        }
        start = start == removed ? nil : start.map(number)
        decisions = kept.map { decision in
            var renumbered = decision
            (renumbered.task, renumbered.next) = (number(decision.task), number(decision.next))
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
