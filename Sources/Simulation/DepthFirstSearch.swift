// SPDX-License-Identifier: GPL-2.0-only
// Plain depth-first search over all schedules of a trace: the reference for every cleverer search.  It goes
// back by snapshot: the used part of the arena and of each stack is copied where there is a choice.

import CKernel

/// Runs the machine of an arena under every schedule, or under every one with few preemptions.
///
/// A preemption is a switch away from a task that could have gone on, or its move to another CPU.  With a bound, all schedules within
/// it are run and none beyond (Musuvathi and Qadeer, PLDI 2007).
public final class DepthFirstSearch {
    /// What a search did.
    public struct Result: Sendable, Equatable {
        public var schedules = 0
        public var steps = 0
        /// Whether every schedule (within the bound) was run.
        public var complete = true
        /// Whether the bound never kept a schedule from being run.
        public var unbounded = true
    }

    private struct Choice {
        var snapshot: Snapshots.Position
        /// Tasks not tried yet; or CPUs.
        var untried: UInt32
        /// Which CPU a task goes on with is to be chosen, not which task.
        var ofCPU: Bool
        /// Who stood there; nil at the start.
        var task: UInt8?
        var taskCanGoOn: Bool
        var preemptions: Int
        /// Decisions recorded before this choice.
        var decisions: UInt32
    }

    private let arena: Arena
    private let snapshots: Snapshots
    private var choices: [Choice] = []
    private var boundMattered = false

    public init(_ arena: Arena) {
        self.arena = arena
        snapshots = Snapshots(of: arena)
    }

    /// Runs schedule after schedule.
    ///
    /// - Parameters:
    ///   - preemptionBound: the most preemptions of a schedule; nil for no bound.
    ///   - schedules: how many schedules to run at most.
    ///   - visit: looks at the machine at the end of each; false ends the search.
    public func run(preemptionBound: Int? = nil, schedules limit: Int, visit: (run_end) -> Bool) -> Result {
        var result = Result()
        startExploration(arena)
        choices.removeAll(keepingCapacity: true)
        snapshots.removeAll()
        boundMattered = false
        var preemptions = choose(among: runnableTasks(), current: nil, preemptions: 0, bound: preemptionBound)
        while true {
            while kernel.run_end == UInt8(RUN_GOES_ON.rawValue) {
                let current = kernel.current
                if current.choosing_cpu != 0 {
                    preemptions = chooseCPU(current, preemptions: preemptions, bound: preemptionBound)
                    continue
                }
                let canGoOn = current.state == UInt8(TASK_RUNNABLE.rawValue)
                preemptions = choose(
                    among: runnableTasks(), current: current, canGoOn: canGoOn, preemptions: preemptions,
                    bound: preemptionBound)
            }
            result.schedules += 1
            result.steps += Int(kernel.steps)
            let more = visit(run_end(UInt32(kernel.run_end)))
            guard more && result.schedules < limit else {
                result.complete = choices.isEmpty && more
                result.unbounded = result.complete && !boundMattered
                return result
            }
            guard let next = backtrack(bound: preemptionBound) else {
                result.unbounded = !boundMattered
                return result
            }
            preemptions = next
        }
    }

    /// Picks who runs next, remembers the others, and lets it run; the preemptions so far.
    private func choose(
        among runnable: UInt32, current: task_struct?, canGoOn: Bool = false, preemptions: Int, bound: Int?
    ) -> Int {
        var candidates = runnable
        let own: UInt32 = current.map { 1 << UInt32($0.number) } ?? 0
        // At the bound nobody is preempted any more.
        if canGoOn, let bound, preemptions >= bound {
            if candidates & ~own != 0 { boundMattered = true }
            candidates &= own
        }
        let first = candidates & own != 0 ? own : candidates & (0 &- candidates)
        let untried = candidates & ~first
        if untried != 0 {
            let choice = Choice(
                snapshot: snapshots.save(), untried: untried, ofCPU: false, task: current?.number,
                taskCanGoOn: canGoOn, preemptions: preemptions, decisions: scheduler.nr_decisions)
            choices.append(choice)
        }
        return go(to: first.trailingZeroBitCount, from: current, canGoOn: canGoOn, preemptions: preemptions)
    }

    /// Lets a task go on where it is, and remembers the CPUs that it may move to.
    private func chooseCPU(_ task: task_struct, preemptions: Int, bound: Int?) -> Int {
        if let bound, preemptions >= bound {
            boundMattered = true
        } else {
            let choice = Choice(
                snapshot: snapshots.save(), untried: otherCPUs(task), ofCPU: true, task: task.number,
                taskCanGoOn: true, preemptions: preemptions, decisions: scheduler.nr_decisions)
            choices.append(choice)
        }
        resume(Int(task.number))
        return preemptions
    }

    /// Moves a task to a CPU and lets it go on.
    private func move(_ task: task_struct, to cpu: Int, preemptions: Int) -> Int {
        recordDecision(task, task.number, false, cpu: cpu)
        task.choosing_cpu = UInt8(cpu) + 1
        resume(Int(task.number))
        return preemptions + 1
    }

    private func go(to next: Int, from current: task_struct?, canGoOn: Bool, preemptions: Int) -> Int {
        var count = preemptions
        if let current {
            if next != Int(current.number) {
                recordDecision(current, UInt8(next), !canGoOn)
                if canGoOn { count += 1 }
            }
        } else {
            recordStart(next)
        }
        resume(next)
        return count
    }

    /// Goes back to the last choice with something left to try; nil when there is none.
    private func backtrack(bound: Int?) -> Int? {
        guard var choice = choices.popLast() else { return nil }
        snapshots.restore(choice.snapshot)
        scheduler.nr_decisions = choice.decisions
        let next = choice.untried.trailingZeroBitCount
        choice.untried &= choice.untried - 1
        if choice.untried != 0 {
            choices.append(choice)
        } else {
            snapshots.remove(from: choice.snapshot)
        }
        let current = choice.task.map { kernel.task(Int($0)) }
        if choice.ofCPU { return move(current!, to: next, preemptions: choice.preemptions) }
        return go(to: next, from: current, canGoOn: choice.taskCanGoOn, preemptions: choice.preemptions)
    }
}

/// A run that does not start with the lowest-numbered task says so by a first decision from the task to itself.
func recordStart(_ first: Int) {
    guard scheduler.nr_decisions == 0 else { return }
    scheduler.decision(0).pointee = decision(
        task: UInt8(first), next: UInt8(first), op: 0, yield_point: 0, occurrence: 0, forced: 0, cpu: 0)
    scheduler.nr_decisions = 1
}
