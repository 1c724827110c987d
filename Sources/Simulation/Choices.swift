// SPDX-License-Identifier: GPL-2.0-only
// What searches have in common: the ways that they have not gone yet, the decisions that are noted on the way, and what
// a search says of itself at its end.

import CKernel

/// What a search did.
public struct SearchResult: Sendable, Equatable {
    /// Complete executions.  In a stateful search, those that meet in a state count once from there on; a reduction that
    /// goes through the trace again counts them again.
    public var schedules = 0
    /// Executions that a reduction left, because all that could go on had been covered.
    public var redundant = 0
    /// Different states at yield points that a stateful search met.
    public var states = 0
    /// Those of each execution in a depth-first search; elsewhere those that were taken, the way to a state that was gone
    /// back to not counted again.
    public var steps = 0
    /// Whether nothing (within the bound) was left to try.
    public var complete = true
    /// Whether no bound of preemptions kept a schedule from being run.
    public var unbounded = true
}

/// A place that has ways left to go on from: with one of several tasks or, within a step, on one of several CPUs.
private struct Choice<Note> {
    var snapshot: Snapshots.Position
    var untried: UInt32
    /// Which CPU a task goes on on is to be chosen, not which task.
    var ofCPU: Bool
    /// Who stood there; nil at the start.
    var task: UInt8?
    /// Decisions recorded before.
    var decisions: UInt32
    var note: Note
}

/// The ways that were not gone on from the places of the current execution.
///
/// `Note` is what a search keeps for each place of its own.
struct Choices<Note> {
    /// A way back, and on from there.
    struct Way {
        /// The task that goes on.
        var task: Int
        var isPreemption: Bool
        var note: Note
    }

    private let snapshots: Snapshots
    private var places: [Choice<Note>] = []

    init(of arena: Arena) {
        snapshots = Snapshots(of: arena)
    }

    var isEmpty: Bool { places.isEmpty }

    mutating func removeAll() {
        places.removeAll(keepingCapacity: true)
        snapshots.removeAll()
    }

    /// Keeps that the tasks `untried` could go on here, too; or, if the current one is asking for a CPU, that it could go
    /// on on those.
    mutating func keep(_ untried: UInt32, _ current: task_struct?, _ note: Note) {
        places.append(
            Choice(
                snapshot: snapshots.save(), untried: untried, ofCPU: current.map { $0.choosing_cpu != 0 } ?? false,
                task: current?.number, decisions: scheduler.nr_decisions, note: note))
    }

    /// Goes back to the last place with a way left, and takes it as far as the decision; nil if there is none.
    mutating func goBack() -> Way? {
        guard var place = places.popLast() else { return nil }
        snapshots.restore(place.snapshot)
        scheduler.nr_decisions = place.decisions
        let next = place.untried.trailingZeroBitCount
        place.untried &= place.untried - 1
        if place.untried != 0 { places.append(place) } else { snapshots.remove(from: place.snapshot) }
        let current = place.task.map { kernel.task(Int($0)) }
        if place.ofCPU {
            goOn(current!, onCPU: next)
            return Way(task: Int(current!.number), isPreemption: true, note: place.note)
        }
        return Way(task: next, isPreemption: goOn(to: next, from: current), note: place.note)
    }
}

// MARK: - Decisions

/// Which of the tasks that could go on goes first: the one that stands here, so that schedules are easy to read.
func firstChoice(_ candidates: UInt32, _ current: task_struct?) -> UInt32 {
    let own: UInt32 = current.map { 1 << UInt32($0.number) } ?? 0
    return candidates & own != 0 ? own : candidates & (0 &- candidates)
}

/// Notes that task `next` goes on, from where `current` stands; nil at the start.
///
/// - Returns: whether that is a preemption.
@discardableResult
func goOn(to next: Int, from current: task_struct?) -> Bool {
    guard let current else {
        recordStart(next)
        return false
    }
    guard next != Int(current.number) else { return false }
    let isPreemption = canGoOn(current)
    recordDecision(current, UInt8(next), !isPreemption)
    return isPreemption
}

/// Moves a task to a CPU, as it has asked where to go on.
func goOn(_ task: task_struct, onCPU cpu: Int) {
    recordDecision(task, task.number, false, cpu: cpu)
    task.choosing_cpu = UInt8(cpu) + 1
}

/// Whether a task that stands at a yield point neither waits nor is done.
func canGoOn(_ task: task_struct) -> Bool {
    task.state == UInt8(TASK_RUNNABLE.rawValue)
}

/// A run that does not start with the lowest-numbered task says so by a first decision from the task to itself.
func recordStart(_ first: Int) {
    guard scheduler.nr_decisions == 0 else { return }
    scheduler.decision(0).pointee = decision(
        task: UInt8(first), next: UInt8(first), op: 0, yield_point: 0, occurrence: 0, forced: 0, cpu: 0)
    scheduler.nr_decisions = 1
}
