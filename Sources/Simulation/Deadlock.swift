// SPDX-License-Identifier: GPL-2.0-only
// Why nobody could go on: who waits for which lock, and who holds it.

import CKernel

/// The tasks of a deadlock, one line each: who waits for what, and for whom.
///
/// It starts at the cycle's task of lowest number and goes round.  Where a wait has no holder (a reader that
/// a waiting writer keeps out waits for that writer; an event that never comes waits for nobody) the list
/// ends, and then it holds all that wait.
public func waitForCycle() -> [String] { stuckTasks().map(waitLine) }

private func stuckTasks() -> [Int] {
    for number in 0..<Int(kernel.nr_tasks) {
        var path: [Int] = []
        var next: Int? = number
        while let task = next, !path.contains(task) {
            path.append(task)
            next = blocker(of: kernel.task(task))
        }
        if next == number { return path }
    }
    return (0..<Int(kernel.nr_tasks)).filter { isBlocked(kernel.task($0)) }
}

/// What a deadlock is about, as a set: the classes of the locks that nobody will ever release, waited for or held by
/// somebody who keeps a CPU.  Only where there is none of them, the other things that tasks wait for.  Who waits for
/// somebody who waits himself says nothing new, but in a cycle.
public func deadlockedOn() -> UInt64 {
    let stuck = stuckTasks()
    let last = stuck.filter { number in
        !(blocker(of: kernel.task(number)).map { isBlocked(kernel.task($0)) } ?? false)
    }
    var (locks, others): (UInt64, UInt64) = (0, 0)
    for number in last.isEmpty ? stuck : last {
        let task = kernel.task(number)
        let classes = awaitedLock(task).map { [$0] } ?? locksThatKeepItsCPU(task)
        for lockClass in classes { locks |= 1 << UInt64(lockClass) }
        if classes.isEmpty { others |= 1 << UInt64(waitKind(task).rawValue) }
    }
    return locks != 0 ? locks : others << UInt64(NR_LOCK_CLASSES.rawValue)
}

private func isBlocked(_ task: task_struct) -> Bool {
    task.state == UInt8(TASK_WAITING.rawValue) || selfDeadlockedLock(task) != nil || holder(of: task) != nil
}

/// What the task waits for: its CPU, if it could go on otherwise.
private func waitKind(_ task: task_struct) -> wait_kind {
    guard task.state == UInt8(TASK_WAITING.rawValue), !conditionHolds(task) else { return WAIT_CPU }
    return wait_kind(UInt32(task.wait_kind))
}

/// `t0 waits for ptl, held by t1`.
private func waitLine(_ number: Int) -> String {
    let task = kernel.task(number)
    let line = "t\(number) waits for \(waitedFor(task))"
    guard let blocker = blocker(of: task) else { return line }
    let isHolder = waitingWriter(task) == nil && holds(kernel.task(blocker), task.wait_object)
    if isHolder && waitKind(task) != WAIT_CPU || blocker == number { return line + ", held by t\(blocker)" }
    let locks = locksThatKeepItsCPU(task).map { String(cString: lock_class_name($0)) }
    return line + ", behind t\(blocker)" + (locks.isEmpty ? "" : ", which holds \(locks.joined(separator: " and "))")
}

/// Who keeps a CPU for good has mostly left a lock held: the classes of those that he holds, if the task waits for nothing
/// but its CPU.
private func locksThatKeepItsCPU(_ task: task_struct) -> [UInt32] {
    guard waitKind(task) == WAIT_CPU, let keeper = holder(of: task).map({ kernel.task($0) }) else { return [] }
    return (0..<Int(keeper.nr_held_locks)).map { UInt32(keeper.held($0).pointee.class_) }
}

/// The class of the lock that the task waits for; nil if it waits for something else.
private func awaitedLock(_ task: task_struct) -> UInt32? {
    if let lockClass = selfDeadlockedLock(task) { return lockClass }
    switch waitKind(task) {
    case WAIT_SPINLOCK, WAIT_MUTEX, WAIT_LOCAL_LOCK, WAIT_RWSEM_READ, WAIT_RWSEM_WRITE:
        // Each of these starts with its class.
        return UInt32(task.wait_object!.assumingMemoryBound(to: UInt8.self).pointee)
    case WAIT_PAGE_LOCK: return LOCK_page_lock.rawValue
    default: return nil
    }
}

private func waitedFor(_ task: task_struct) -> String {
    if let lockClass = awaitedLock(task) { return String(cString: lock_class_name(lockClass)) }
    switch waitKind(task) {
    case WAIT_PAGE_WRITEBACK: return "the end of writeback"
    case WAIT_PTE_CHANGE: return "a page table entry to change"
    case WAIT_WORD: return "a value to change"
    case WAIT_INTERRUPTIBLE: return "user space"
    case WAIT_IPI: return "an interrupt to be taken"
    case WAIT_RCU: return "a grace period"
    case WAIT_PROCESS: return "process \(task.wait_value) to be forked"
    case WAIT_CPU: return "CPU \(task.cpu)"
    default: return "nothing"
    }
}

/// Who must go on before `task` can.
private func blocker(of task: task_struct) -> Int? {
    if selfDeadlockedLock(task) != nil { return Int(task.number) }
    switch waitKind(task) {
    case WAIT_CPU: return holder(of: task)
    case WAIT_RCU: return (0..<Int(kernel.nr_tasks)).first { isReader($0, task.wait_value) }
    case WAIT_IPI:
        return (0..<Int(kernel.nr_cpus)).first {
            task.wait_value & 1 << UInt($0) != 0 && kernel.cpu($0).irqs_off != 0
        }.map { Int(kernel.cpu($0).irqs_off) - 1 }
    default:
        return waitingWriter(task) ?? (0..<Int(kernel.nr_tasks)).first { holds(kernel.task($0), task.wait_object) }
            ?? holder(of: task)
    }
}

/// Who keeps the task from its CPU.
private func holder(of task: task_struct) -> Int? {
    let holder = kernel.cpu(Int(task.cpu)).preempt_off
    guard task.state != UInt8(TASK_DONE.rawValue), holder != 0, holder != task.number + 1 else { return nil }
    return Int(holder) - 1
}

private func holds(_ task: task_struct, _ lock: UnsafeMutableRawPointer?) -> Bool {
    guard let lock else { return false }
    return lockIsHeld(lock, by: task)
}

private func isReader(_ number: Int, _ mask: UInt) -> Bool {
    mask & 1 << UInt(number) != 0 && kernel.task(number).rcu_read_lock_nesting != 0
}

/// Where readers hold a lock, another one queues behind the writer that has waited longer.
private func waitingWriter(_ task: task_struct) -> Int? {
    guard UInt32(task.wait_kind) == WAIT_RWSEM_READ.rawValue,
        unsafeBitCast(task.wait_object!, to: rw_semaphore.self).writer == 0
    else { return nil }
    return (0..<Int(kernel.nr_tasks)).first {
        let other = kernel.task($0)
        return other.state == UInt8(TASK_WAITING.rawValue) && other.wait_object == task.wait_object
            && UInt32(other.wait_kind) == WAIT_RWSEM_WRITE.rawValue && other.wait_ticket < task.wait_ticket
    }
}

/// The class of the lock that the task waits for although it holds it: such a run ends before the wait.
private func selfDeadlockedLock(_ task: task_struct) -> UInt32? {
    for number in 0..<Int(kernel.nr_violations) {
        let violation = kernel.broken(number).pointee
        if UInt32(violation.kind) == VIOLATION_self_deadlock.rawValue && violation.task == task.number {
            return UInt32(violation.object)
        }
    }
    return nil
}
