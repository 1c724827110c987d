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
    private let arena: Arena
    private var choices: Choices<TaskReads>
    private var reads = TaskReads()
    /// Keys of the states visited; for look-ups only.
    private var visited: Set<UInt64> = []

    public init(_ arena: Arena) {
        precondition(recordsAccesses, "the plain build does not know what a task has read")
        self.arena = arena
        choices = Choices(of: arena)
    }

    /// Goes through all states.
    ///
    /// - Parameters:
    ///   - limit: how many states to visit at most.
    ///   - visit: looks at the machine at each end; false ends the search.
    public func run(states limit: Int, visit: (run_end) -> Bool) -> SearchResult {
        var result = SearchResult()
        startExploration(arena, stepwise: true)
        defer { scheduler.stepwise = 0 }
        attachRecording(arena)
        choices.removeAll()
        visited.removeAll(keepingCapacity: true)
        reads = TaskReads()
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
            guard more && visited.count < limit, let way = choices.goBack() else {
                result.complete = more && choices.isEmpty
                return result
            }
            reads = way.note
            resumeRecording(way.task)
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

    /// Takes the first step that is possible here, and keeps the others.
    private func choose(_ current: task_struct?) {
        if let current, current.choosing_cpu != 0 {
            choices.keep(otherCPUs(current), current, reads)
            resumeRecording(Int(current.number))
            return
        }
        let candidates = runnableTasks()
        let first = firstChoice(candidates, current)
        if candidates & ~first != 0 { choices.keep(candidates & ~first, current, reads) }
        let next = first.trailingZeroBitCount
        goOn(to: next, from: current)
        resumeRecording(next)
    }

    /// Takes a step of task `number`, and adds what it reads to what its variables depend on.
    private func resumeRecording(_ number: Int) {
        let task = kernel.task(number)
        let op = task.op
        recording_start()
        resume(number)
        recording_stop()
        reads.add(task, since: op)
        clearUnusedFrame(task)
    }
}
