// SPDX-License-Identifier: GPL-2.0-only
// Strategies by priority.  PCT gives one to each task and lowers it at a few places; partial order sampling gives one
// to each next step, so that what does not race is in any order and what races is in each order equally often.

import CKernel

// MARK: - PCT

/// Initial PCT priorities lie above every lowered one.
private let initialPriority: UInt32 = 1 << 20

func dealPriorities() {
    for number in 0..<Int(kernel.nr_tasks) {
        let hash = mix(scheduler.seed ^ UInt64(number) &* 0x9e37_79b9_7f4a_7c15)
        // The number breaks ties.
        kernel.task(number).priority = initialPriority + UInt32(hash & 0xffff) << 3 + UInt32(number)
    }
}

func decideByPriority(_ task: task_struct, _ forced: Bool) -> UInt8 {
    if !forced {
        let key = placeKey(task)
        if UInt32(truncatingIfNeeded: key) < changeThreshold(Int(task.yield_point)) {
            task.priority = UInt32(key >> 48) << 3 + UInt32(task.number)
        }
    }
    return forced ? firstOther(task) : firstAhead(of: task)
}

@inline(__always)
private func changeThreshold(_ place: Int) -> UInt32 {
    let name = scheduler.name(place)
    if name.pointee.changed != 0 { return scheduler.focus_threshold }
    return name.pointee.near != 0 ? scheduler.near_threshold : scheduler.change_threshold
}

/// The runnable task of highest priority besides `task`; `task` itself if there is none.
private func firstOther(_ task: task_struct) -> UInt8 {
    let runnable = runnableTasks() & ~(1 << UInt32(task.number))
    return runnable == 0 ? task.number : highestPriority(runnable)
}

/// The runnable task of highest priority; only those ahead of `task` are looked at.
private func firstAhead(of task: task_struct) -> UInt8 {
    var chosen = task
    for number in 0..<Int(kernel.nr_tasks) {
        let other = kernel.task(number)
        if other.priority > chosen.priority && isRunnable(other) { chosen = other }
    }
    return chosen.number
}

func highestPriority(_ candidates: UInt32) -> UInt8 {
    var chosen = candidates.trailingZeroBitCount
    var rest = candidates
    while rest != 0 {
        let number = rest.trailingZeroBitCount
        rest &= rest - 1
        if kernel.task(number).priority > kernel.task(chosen).priority { chosen = number }
    }
    return UInt8(chosen)
}

// MARK: - POS

/// A task's first step is known once it has begun: what comes before it nobody else sees.
func dealFirstPriorities() {
    for number in 0..<Int(kernel.nr_tasks) { kernel.task(number).priority = .max }
}

func decideByStep(_ task: task_struct, _ forced: Bool) -> UInt8 {
    let next: UInt8
    if forced {
        next = firstOther(task)
        if next == task.number { return next }
    } else {
        task.priority = UInt32(placeKey(task) >> 33)
        next = firstAhead(of: task)
    }
    dealAgain(toThoseWhoRaceWith: kernel.task(Int(next)))
    return next
}

/// New priorities for the next steps that race with the one that `task` is about to take; by name, so that they are the
/// same where the same steps race.
private func dealAgain(toThoseWhoRaceWith task: task_struct) {
    guard task.steps != 0 else { return }
    let label = scheduler.name(Int(task.yield_point)).pointee.label_hash
    var key: UInt64 = 0
    for number in 0..<Int(kernel.nr_tasks) where number != Int(task.number) {
        let other = kernel.task(number)
        guard other.steps != 0, scheduler.name(Int(other.yield_point)).pointee.label_hash == label else { continue }
        if key == 0 { key = placeKey(task) }
        other.priority = UInt32(mix(placeKey(other) ^ key) >> 33)
    }
}
