// SPDX-License-Identifier: GPL-2.0-only
// What a lock's use can do wrong: order cycles, locks held at return, sleeping while atomic, unlock of a
// lock that is not held or whose memory was freed.  After the kernel's lockdep (kernel/locking/lockdep.c);
// the order graph lies in the arena, so that a verdict is about this run alone.

import CKernel
import CRecording

@inline(__always)
func lockLabel(_ lockClass: UInt8) -> UnsafePointer<CChar> {
    lock_class_name(UInt32(lockClass))
}

/// Checks that a lock is one, and that taking it in this order can end in no cycle.
@inline(__always)
func lockdepBeforeAcquire(
    _ lock: UnsafeMutableRawPointer, _ lockClass: UInt8, subclass: UInt8 = 0, trylock: Bool = false
) {
    let task = kernel.current
    guard lockClass != 0 && lockClass < UInt8(NR_LOCK_CLASSES.rawValue) else {
        reportViolation(VIOLATION_freed_reachable, UInt(lockClass), 0)
        endRun(RUN_BUG)
    }
    guard !trylock else { return }
    for index in 0..<Int(task.nr_held_locks) {
        let held = task.held(index)
        if held.pointee.class_ == lockClass {
            if held.pointee.subclass >= subclass && held.pointee.lock != lock && !sameClassMayNest(lockClass) {
                reportViolation(VIOLATION_lock_order, UInt(lockClass), UInt(lockClass))
            }
            continue
        }
        kernel.order(Int(held.pointee.class_)).pointee |= 1 << UInt32(lockClass)
        if kernel.order(Int(lockClass)).pointee & 1 << UInt32(held.pointee.class_) != 0 {
            reportViolation(VIOLATION_lock_order, UInt(held.pointee.class_), UInt(lockClass))
        }
    }
}

/// Page locks are bit locks that lockdep never saw, and reclaim holds several.
@inline(__always)
private func sameClassMayNest(_ lockClass: UInt8) -> Bool {
    UInt32(lockClass) == LOCK_page_lock.rawValue
}

@inline(__always)
func lockdepAcquired(_ lock: UnsafeMutableRawPointer, _ lockClass: UInt8, subclass: UInt8 = 0, read: Bool = false) {
    let task = kernel.current
    precondition(Int32(task.nr_held_locks) < MAX_HELD_LOCKS, "more than \(MAX_HELD_LOCKS) locks held")
    task.held(Int(task.nr_held_locks)).pointee = held_lock(
        lock: lock, class_: lockClass, subclass: subclass, read: read ? 1 : 0, _pad: (0, 0, 0, 0, 0))
    task.nr_held_locks += 1
    noteCost(EVENT_lock, UInt(lockClass), 1)
}

/// Takes the lock off the task's list.  A page lock may be released by another task than its owner, as
/// end of I/O does.
@inline(__always)
func lockdepReleased(_ lock: UnsafeMutableRawPointer) {
    let task = kernel.current
    var index = Int(task.nr_held_locks) - 1
    while index >= 0 && task.held(index).pointee.lock != lock { index -= 1 }
    guard index >= 0 else {
        reportViolation(VIOLATION_bad_unlock, 0, 0)
        return
    }
    while index + 1 < Int(task.nr_held_locks) {
        task.held(index).pointee = task.held(index + 1).pointee
        index += 1
    }
    task.nr_held_locks -= 1
}

/// Memory is freed: no task may hold a lock in it.  Linux, kernel/locking/lockdep.c, debug_check_no_locks_freed().
func lockdepFreed(_ memory: UnsafeMutableRawPointer, _ size: Int) {
    // Who takes or drops such a lock meets the free in the lock itself; who holds others is not asked.
    let recording = recording_pause()
    defer { recording_go_on(recording) }
    for number in 0...Int(kernel.nr_tasks) {
        let task = kernel.task(number)
        for index in 0..<Int(task.nr_held_locks) {
            let held = task.held(index).pointee
            guard held.lock >= memory && held.lock < memory + size else { continue }
            reportViolation(VIOLATION_freed_reachable, UInt(held.class_), 2)
            endRun(RUN_BUG)
        }
    }
}

/// What the current task holds under one address it holds under another from now on.
func lockdepMoved(from old: UnsafeMutableRawPointer, to new: UnsafeMutableRawPointer) {
    let task = kernel.current
    for index in 0..<Int(task.nr_held_locks) where task.held(index).pointee.lock == old {
        task.held(index).pointee.lock = new
    }
}

/// Notes a call that may sleep: wrong while preemption is off or in an RCU read section.
public func might_sleep(_ function: StaticString = #function) {
    might_sleep(function.cString)
}

@inline(__always)
func might_sleep(_ function: UnsafePointer<CChar>) {
    let task = kernel.current
    if task.preempt_count != 0 || task.rcu_read_lock_nesting != 0 || task.irq_disable_count != 0 {
        task.yield_point = UInt16(yieldPointNumber(function, sleepingLabel.cString))
        reportViolation(VIOLATION_sleeping_in_atomic, heldSpinlockClass(task), 0)
    }
}

private let sleepingLabel: StaticString = "might_sleep"

private func heldSpinlockClass(_ task: task_struct) -> UInt {
    task.nr_held_locks == 0 ? 0 : UInt(task.held(Int(task.nr_held_locks) - 1).pointee.class_)
}

/// Whether `task` holds the lock.
public func lockIsHeld(_ lock: UnsafeMutableRawPointer, by task: task_struct) -> Bool {
    for index in 0..<Int(task.nr_held_locks) where task.held(index).pointee.lock == lock { return true }
    return false
}

/// What must be true when a system call returns to user space, or a unit of background work ends.
public func checkNothingHeldAtReturn() {
    let task = kernel.current
    if task.nr_held_locks != 0 {
        reportViolation(VIOLATION_held_at_return, UInt(task.held(0).pointee.class_), UInt(task.nr_held_locks))
    } else if task.preempt_count != 0 || task.rcu_read_lock_nesting != 0 || task.irq_disable_count != 0 {
        reportViolation(VIOLATION_held_at_return, UInt(LOCK_rcu.rawValue), UInt(task.rcu_read_lock_nesting))
    }
}
