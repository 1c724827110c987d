// SPDX-License-Identifier: GPL-2.0-only
// One execution told in full: its results, broken invariants, state and schedule.  Made by running again,
// which gives the same execution.

import CKernel
import KernelModel
import Simulation
import Traces

/// A broken invariant and where it broke.
public struct BrokenInvariant: Codable, Sendable, Equatable {
    public var name: String
    public var rule: String
    public var task: Int
    public var op: Int
    public var place: String
    /// It was seen once all tasks were done.
    public var isAtRest: Bool
    public var lock: String?
}

/// What one execution did and left behind.
public struct RunDetail {
    public var outcome: Outcome
    public var broken: [BrokenInvariant]
    /// The results of all calls, the counts of all events, the state at rest.
    public var tree: StateNode
    public var schedule: Schedule
    /// Who waits for whom, if nobody could go on.
    public var waits: [String]

    /// Runs `machine` under the installed strategy and keeps everything.
    init(running machine: Machine) {
        scheduler.recording = 1
        let outcome = machine.run()
        scheduler.recording = 0
        self.init(of: machine, outcome, recordedSchedule())
    }

    /// What the run that has just ended on `machine` left behind.
    init(of machine: Machine, _ outcome: Outcome, _ schedule: Schedule) {
        self.outcome = outcome
        self.schedule = schedule
        broken = (0..<Int(kernel.nr_violations)).map { BrokenInvariant(kernel.broken($0).pointee) }
        waits = outcome.end == UInt8(RUN_DEADLOCK.rawValue) ? waitForCycle() : []
        var state = StateTree()
        state.results(machine)
        state.events()
        if outcome.state != 0 { visitState(&state) }
        tree = state.root
    }
}

extension BrokenInvariant {
    fileprivate init(_ violation: violation) {
        let invariant = invariants.first { $0.kind == UInt32(violation.kind) }!
        name = invariant.name
        rule = invariant.rule
        task = Int(violation.task)
        op = Int(violation.op)
        // The machine comes to rest in a task of its own.
        isAtRest = violation.task >= kernel.nr_tasks
        place = isAtRest ? "rest" : yieldPointName(Int(violation.yield_point))
        let lockKinds = [
            VIOLATION_held_at_return, VIOLATION_self_deadlock, VIOLATION_sleeping_in_atomic, VIOLATION_bad_unlock,
        ]
        lock =
            lockKinds.contains { $0.rawValue == UInt32(violation.kind) }
            ? String(cString: lock_class_name(UInt32(violation.object))) : nil
    }
}

extension StateTree {
    /// What each call returned.
    fileprivate mutating func results(_ machine: Machine) {
        for number in 0..<Int(kernel.nr_tasks) {
            let task = kernel.task(number)
            enter("results of t", UInt64(number))
            for op in 0..<Int(task.op) {
                let name = machine.operationName(scheduler.programs![number].ops[op])
                field("op \(op) \(name)", "\(task.result(op).pointee)")
            }
            leave()
        }
    }

    /// How often each event was seen.  What an era does not know must not show in its reports, so those that were
    /// not seen are left out.
    fileprivate mutating func events() {
        enter("events", 0)
        for event in 0..<Int(NR_EVENT_KINDS.rawValue) where kernel.event_count(event).pointee != 0 {
            field(eventName(event), "\(kernel.event_count(event).pointee)")
        }
        leave()
    }
}
