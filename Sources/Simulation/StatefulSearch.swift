// SPDX-License-Identifier: GPL-2.0-only
// Depth-first search that goes on from each state once.  No reduction and no bound goes with it: both decide by how a
// state was reached what to do there, so a state reached twice would lose outcomes.
//
// Two states are taken for one if their keys are equal: the arena without its bookkeeping, and for each task a hash of
// all that it has read since its op began.  Local variables on the stack are a function of that, and of the op and the
// yield point, which are in the arena; the stack itself holds garbage by which equal states would differ.  The hash has
// 64 bits: of a million states, two different ones are taken for one with a chance of 1 to 37 million.

import CKernel
import CRecording

/// Runs the machine of an arena through every state that it can reach at a yield point.
///
/// It needs a build that records accesses: what a task has read, nobody else knows.
public final class StatefulSearch {
    /// What a search did.
    public struct Result: Sendable, Equatable {
        /// Ways to an end; those that meet in a state count once from there on.
        public var schedules = 0
        /// Different states at yield points.
        public var states = 0
        public var steps = 0
        /// Whether every state was visited.
        public var complete = true
    }

    /// The reads of each task since its op began.
    private typealias Reads = SIMD8<UInt64>

    private struct Choice {
        var snapshot: Snapshots.Position
        /// Tasks not tried yet; or CPUs.
        var untried: UInt32
        var ofCPU: Bool
        /// Who stood there; nil at the start.
        var task: UInt8?
        var canGoOn: Bool
        var decisions: UInt32
        var reads: Reads
    }

    private let arena: Arena
    private let snapshots: Snapshots
    private var choices: [Choice] = []
    private var reads = Reads()
    /// Keys of the states visited; for look-ups only.
    private var visited: Set<UInt64> = []

    public init(_ arena: Arena) {
        precondition(recordsAccesses, "the plain build does not know what a task has read")
        self.arena = arena
        snapshots = Snapshots(of: arena)
    }

    /// Goes through all states.
    ///
    /// - Parameters:
    ///   - limit: how many states to visit at most.
    ///   - visit: looks at the machine at each end; false ends the search.
    public func run(states limit: Int, visit: (run_end) -> Bool) -> Result {
        var result = Result()
        startExploration(arena, stepwise: true)
        defer { scheduler.stepwise = 0 }
        attachRecording(arena)
        snapshots.removeAll()
        choices.removeAll(keepingCapacity: true)
        visited.removeAll(keepingCapacity: true)
        reads = Reads()
        var current: task_struct?
        while true {
            var more = true
            while isNewState(current) {
                choose(current)
                current = kernel.current
                result.steps += 1
            }
            if kernel.run_end != UInt8(RUN_GOES_ON.rawValue) {
                result.schedules += 1
                more = visit(run_end(UInt32(kernel.run_end)))
            }
            result.states = visited.count
            guard more && visited.count < limit, !choices.isEmpty else {
                result.complete = more && choices.isEmpty
                return result
            }
            goBack()
            current = kernel.current
            result.steps += 1
        }
    }

    /// Whether there is something to go on with that was not tried from here before.
    private func isNewState(_ current: task_struct?) -> Bool {
        if kernel.run_end != UInt8(RUN_GOES_ON.rawValue) { return false }
        // Within a step.
        if let current, current.choosing_cpu != 0 { return true }
        while runnableTasks() == 0 {
            guard endStandstill() else { return false }
        }
        return visited.insert(key()).inserted
    }

    private func key() -> UInt64 {
        var key = recording_state_hash(arena.used)
        for number in 0..<Int(kernel.nr_tasks) { key = mix(key ^ reads[number]) }
        return key
    }

    /// Takes the first step that is possible here, and remembers the others.
    private func choose(_ current: task_struct?) {
        if let current, current.choosing_cpu != 0 {
            remember(otherCPUs(current), ofCPU: true, current)
            resumeRecording(Int(current.number))
            return
        }
        let candidates = runnableTasks()
        let own: UInt32 = current.map { 1 << UInt32($0.number) } ?? 0
        let first = candidates & own != 0 ? own : candidates & (0 &- candidates)
        if candidates & ~first != 0 { remember(candidates & ~first, ofCPU: false, current) }
        go(to: first.trailingZeroBitCount, from: current?.number, canGoOn: canGoOn(current))
    }

    private func remember(_ untried: UInt32, ofCPU: Bool, _ current: task_struct?) {
        choices.append(
            Choice(
                snapshot: snapshots.save(), untried: untried, ofCPU: ofCPU, task: current?.number,
                canGoOn: canGoOn(current), decisions: scheduler.nr_decisions, reads: reads))
    }

    private func canGoOn(_ task: task_struct?) -> Bool {
        task?.state == UInt8(TASK_RUNNABLE.rawValue)
    }

    private func go(to next: Int, from current: UInt8?, canGoOn: Bool) {
        if let current {
            if next != Int(current) { recordDecision(kernel.task(Int(current)), UInt8(next), !canGoOn) }
        } else {
            recordStart(next)
        }
        resumeRecording(next)
    }

    /// Takes a step of task `number`, and adds what it reads to what its variables depend on.
    private func resumeRecording(_ number: Int) {
        let task = kernel.task(number)
        let op = task.op
        recording_start()
        resume(number)
        recording_stop()
        reads[number] = task.op == op ? mix(reads[number] ^ recorded_reads()) : recorded_reads()
        clearUnusedFrame(task)
    }

    /// Goes back to the last choice, and on from there another way.
    private func goBack() {
        var choice = choices.removeLast()
        snapshots.restore(choice.snapshot)
        scheduler.nr_decisions = choice.decisions
        reads = choice.reads
        let next = choice.untried.trailingZeroBitCount
        choice.untried &= choice.untried - 1
        if choice.untried != 0 { choices.append(choice) } else { snapshots.remove(from: choice.snapshot) }
        guard choice.ofCPU else {
            go(to: next, from: choice.task, canGoOn: choice.canGoOn)
            return
        }
        let task = kernel.task(Int(choice.task!))
        recordDecision(task, task.number, false, cpu: next)
        task.choosing_cpu = UInt8(next) + 1
        resumeRecording(Int(task.number))
    }
}
