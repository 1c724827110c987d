// SPDX-License-Identifier: GPL-2.0-only
// Waits that a signal ends.  Who waits for a thing that only user space can do, may wait for ever: that is no deadlock
// of the kernel's.  So when nobody can go on any more, a signal comes to all who wait like that.

import CKernel

/// Waits while the word has `value`, or until a signal comes; then the task's `interrupted` is set, until its call
/// has returned.
public func waitInterruptibly(while word: UnsafeMutablePointer<UInt>, is value: UInt) {
    if word.pointee == value && !kernel.current.interrupted { sleep(WAIT_INTERRUPTIBLE, word, value) }
}

/// A signal for the threads of `mm`, or for all tasks: those that wait interruptibly are interrupted.
///
/// - Returns: whether anybody waited.
@discardableResult
public func interruptWaits(of mm: mm_struct?) -> Bool {
    var found = false
    // The last one is the machine's own, which runs the set-up.
    for number in 0...Int(kernel.nr_tasks) {
        let task = kernel.task(number)
        guard task.wait_kind == UInt8(WAIT_INTERRUPTIBLE.rawValue), !task.interrupted else { continue }
        if let mm, unsafeBitCast(task.mm, to: UInt.self) != unsafeBitCast(mm, to: UInt.self) { continue }
        task.interrupted = true
        found = true
    }
    return found
}
