// SPDX-License-Identifier: GPL-2.0-only
// Why nobody could go on: who waits for which lock, and who holds it.

import CKernel

/// The tasks of a deadlock, one line each: who waits for what, and for whom.
///
/// It starts at the cycle's task of lowest number and goes round.  Where a wait has no holder (a reader that
/// a waiting writer keeps out waits for that writer; an event that never comes waits for nobody) the list
/// ends, and then it holds all that wait.
public func waitForCycle() -> [String] {
    for number in 0..<Int(kernel.nr_tasks) {
        var path: [Int] = []
        var next: Int? = number
        while let task = next, !path.contains(task) {
            path.append(task)
            next = blocker(of: kernel.task(task))
        }
        if next == number { return path.map(waitLine) }
    }
    return (0..<Int(kernel.nr_tasks)).filter { isBlocked(kernel.task($0)) }.map(waitLine)
}

private func isBlocked(_ task: task_struct) -> Bool {
    task.state == UInt8(TASK_WAITING.rawValue) || selfDeadlockedLock(task) != nil
}

/// `t0 waits for ptl, held by t1`.
private func waitLine(_ number: Int) -> String {
    let task = kernel.task(number)
    let line = "t\(number) waits for \(waitedFor(task))"
    guard let blocker = blocker(of: task) else { return line }
    let isHolder = waitingWriter(task) == nil && holds(kernel.task(blocker), task.wait_object)
    return line + (isHolder || blocker == number ? ", held by t\(blocker)" : ", behind t\(blocker)")
}

private func waitedFor(_ task: task_struct) -> String {
    if let lockClass = selfDeadlockedLock(task) { return String(cString: lock_class_name(lockClass)) }
    switch wait_kind(UInt32(task.wait_kind)) {
    case WAIT_SPINLOCK, WAIT_MUTEX, WAIT_LOCAL_LOCK, WAIT_RWSEM_READ, WAIT_RWSEM_WRITE:
        // Each of these starts with its class.
        let lockClass = task.wait_object!.assumingMemoryBound(to: UInt8.self).pointee
        return String(cString: lock_class_name(UInt32(lockClass)))
    case WAIT_PAGE_LOCK: return String(cString: lock_class_name(LOCK_page_lock.rawValue))
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
    guard task.state == UInt8(TASK_WAITING.rawValue) else { return holder(of: task) }
    switch wait_kind(UInt32(task.wait_kind)) {
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
