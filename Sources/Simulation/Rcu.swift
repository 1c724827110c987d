// SPDX-License-Identifier: GPL-2.0-only
// RCU: a grace period ends when every read section that was open at its start has been left.  Sections
// may be preempted (CONFIG_PREEMPT_RCU).  With preemption or interrupts off a task is in such a section, too.

import CKernel

public func rcu_read_lock() {
    kernel.current.rcu_read_lock_nesting += 1
}

public func rcu_read_unlock() {
    let task = kernel.current
    task.rcu_read_lock_nesting -= 1
    readerMayHaveLeft(task)
}

@inline(__always)
private func isReader(_ task: task_struct) -> Bool {
    task.rcu_read_lock_nesting != 0 || task.preempt_count != 0 || task.irq_disable_count != 0
}

/// A task leaves one of its nested sections.
@inline(__always)
func readerMayHaveLeft(_ task: task_struct) {
    if kernel.nr_rcu_callbacks != 0 && !isReader(task) { readerLeft(task) }
}

/// Waits for a grace period.
public func synchronize_rcu(_ function: StaticString = #function) {
    synchronizeRCU(function.cString)
}

func synchronizeRCU(_ function: UnsafePointer<CChar>) {
    might_sleep(function)
    yieldPoint(function, graceLabel.cString)
    let readers = readersNow()
    if anyReader(readers) { sleep(WAIT_RCU, nil, UInt(readers)) }
}

private let graceLabel: StaticString = "grace_period"

func anyReader(_ mask: UInt32) -> Bool {
    readersNow() & mask != 0
}

private func readersNow() -> UInt32 {
    var mask: UInt32 = 0
    for number in 0..<Int(kernel.nr_tasks) where isReader(kernel.task(number)) {
        mask |= 1 << UInt32(number)
    }
    return mask
}

/// Frees object `index` of a cache once a grace period has passed.
func freeAfterGracePeriod(_ cache: Int, _ index: Int) {
    let readers = readersNow()
    guard readers != 0 else {
        freeNow(cache, index)
        return
    }
    for slot in 0..<Int(MAX_RCU_CALLBACKS) where kernel.rcu_callback(slot).pointee.used == 0 {
        kernel.rcu_callback(slot).pointee = rcu_callback(
            cache: UInt8(cache), index: UInt8(index), readers: UInt8(readers), used: 1)
        kernel.cache(cache).pointee.pending |= 1 << UInt64(index)
        kernel.nr_rcu_callbacks += 1
        return
    }
    fatalError("more than \(MAX_RCU_CALLBACKS) objects wait for a grace period")
}

@inline(never)
private func readerLeft(_ task: task_struct) {
    for slot in 0..<Int(MAX_RCU_CALLBACKS) {
        let callback = kernel.rcu_callback(slot)
        guard callback.pointee.used != 0 else { continue }
        callback.pointee.readers &= ~(1 << task.number)
        if callback.pointee.readers == 0 {
            callback.pointee.used = 0
            kernel.nr_rcu_callbacks -= 1
            kernel.cache(Int(callback.pointee.cache)).pointee.pending &= ~(1 << UInt64(callback.pointee.index))
            freeNow(Int(callback.pointee.cache), Int(callback.pointee.index))
        }
    }
}
