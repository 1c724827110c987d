// SPDX-License-Identifier: GPL-2.0-only
// Strategies in which tasks run in turn: round robin, and delay-bounded scheduling, in which each runs until it cannot
// go on or is passed over.

import CKernel

/// The runnable task that follows `task` in turn; itself if there is no other.
func nextInTurn(_ task: task_struct) -> UInt8 {
    let others = runnableTasks() & ~(1 << UInt32(task.number))
    let later = others & ~((2 << UInt32(task.number)) - 1)
    if later != 0 { return UInt8(later.trailingZeroBitCount) }
    return others == 0 ? task.number : UInt8(others.trailingZeroBitCount)
}

// MARK: - Delay-bounded scheduling

/// The task that begins: the first one or, after a delay, the second.
func firstInTurn(_ runnable: UInt32) -> UInt8 {
    let later = runnable & (runnable &- 1)
    guard later != 0, mayDelay(mix(scheduler.seed)) else { return UInt8(runnable.trailingZeroBitCount) }
    scheduler.nr_delays += 1
    return UInt8(later.trailingZeroBitCount)
}

func decideByDelay(_ task: task_struct, _ forced: Bool) -> UInt8 {
    let next = forced ? nextInTurn(task) : task.number
    guard mayDelay(placeKey(task)) else { return next }
    let after = nextInTurn(kernel.task(Int(next)))
    // Who is alone cannot be passed over.
    guard after != next, !forced || next != task.number else { return next }
    scheduler.nr_delays += 1
    return after
}

/// Whether a place is one of the delays, of which there are not more than the bound.
private func mayDelay(_ key: UInt64) -> Bool {
    UInt32(truncatingIfNeeded: key) < scheduler.change_threshold && scheduler.nr_delays < scheduler.delay_bound
}
