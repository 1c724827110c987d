// SPDX-License-Identifier: GPL-2.0-only
// RCU: a grace period ends when every read section that was open at its start has been left.  Sections
// may be preempted (CONFIG_PREEMPT_RCU).

import CKernel

public func rcu_read_lock() {
    kernel.current.rcu_read_lock_nesting += 1
}

public func rcu_read_unlock() {
    let task = kernel.current
    task.rcu_read_lock_nesting -= 1
    if task.rcu_read_lock_nesting == 0 { readerLeft(task) }
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
    for number in 0..<Int(kernel.nr_tasks) where kernel.task(number).rcu_read_lock_nesting != 0 {
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
        return
    }
    fatalError("more than \(MAX_RCU_CALLBACKS) objects wait for a grace period")
}

private func readerLeft(_ task: task_struct) {
    for slot in 0..<Int(MAX_RCU_CALLBACKS) {
        let callback = kernel.rcu_callback(slot)
        guard callback.pointee.used != 0 else { continue }
        callback.pointee.readers &= ~(1 << task.number)
        if callback.pointee.readers == 0 {
            callback.pointee.used = 0
            kernel.cache(Int(callback.pointee.cache)).pointee.pending &= ~(1 << UInt64(callback.pointee.index))
            freeNow(Int(callback.pointee.cache), Int(callback.pointee.index))
        }
    }
}
