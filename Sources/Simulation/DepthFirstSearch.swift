// SPDX-License-Identifier: GPL-2.0-only
// Plain depth-first search over all schedules of a trace: the reference for every cleverer search.  It goes
// back by snapshot: the used part of the arena and of each stack is copied where there is a choice.

import CKernel

/// Runs the machine of an arena under every schedule, or under every one with few preemptions.
///
/// A preemption is a switch away from a task that could have gone on, or its move to another CPU.  With a bound, all schedules within
/// it are run and none beyond (Musuvathi and Qadeer, PLDI 2007).
public final class DepthFirstSearch {
    private let arena: Arena
    /// With each place the preemptions up to there.
    private var choices: Choices<Int>
    private var boundMattered = false

    public init(_ arena: Arena) {
        self.arena = arena
        choices = Choices(of: arena)
    }

    /// Runs schedule after schedule.
    ///
    /// - Parameters:
    ///   - preemptionBound: the most preemptions of a schedule; nil for no bound.
    ///   - schedules: how many schedules to run at most.
    ///   - visit: looks at the machine at the end of each; false ends the search.
    public func run(
        preemptionBound bound: Int? = nil, schedules limit: Int, visit: (run_end) -> Bool
    ) -> SearchResult {
        var result = SearchResult()
        startExploration(arena)
        choices.removeAll()
        boundMattered = false
        var preemptions = chooseTask(nil, preemptions: 0, bound)
        while true {
            while kernel.run_end == UInt8(RUN_GOES_ON.rawValue) {
                let current = kernel.current
                if current.choosing_cpu != 0 {
                    chooseCPU(current, preemptions: preemptions, bound)
                } else {
                    preemptions = chooseTask(current, preemptions: preemptions, bound)
                }
            }
            result.schedules += 1
            result.steps += Int(kernel.steps)
            let more = visit(run_end(UInt32(kernel.run_end)))
            guard more && result.schedules < limit else {
                result.complete = choices.isEmpty && more
                result.unbounded = result.complete && !boundMattered
                return result
            }
            guard let way = choices.goBack() else {
                result.unbounded = !boundMattered
                return result
            }
            preemptions = way.note + (way.isPreemption ? 1 : 0)
            resume(way.task)
        }
    }

    /// Lets one of the tasks run that can, and keeps the others; the preemptions so far.
    private func chooseTask(_ current: task_struct?, preemptions: Int, _ bound: Int?) -> Int {
        var candidates = runnableTasks()
        // At the bound nobody is preempted any more.
        if let bound, preemptions >= bound, let current, canGoOn(current) {
            let own: UInt32 = 1 << UInt32(current.number)
            if candidates & ~own != 0 { boundMattered = true }
            candidates &= own
        }
        let first = firstChoice(candidates, current)
        if candidates & ~first != 0 { choices.keep(candidates & ~first, current, preemptions) }
        let next = first.trailingZeroBitCount
        let isPreemption = goOn(to: next, from: current)
        resume(next)
        return preemptions + (isPreemption ? 1 : 0)
    }

    /// Lets a task go on where it is, and keeps the CPUs that it may move to.
    private func chooseCPU(_ task: task_struct, preemptions: Int, _ bound: Int?) {
        if let bound, preemptions >= bound {
            boundMattered = true
        } else {
            choices.keep(otherCPUs(task), task, preemptions)
        }
        resume(Int(task.number))
    }
}
