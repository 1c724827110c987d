// SPDX-License-Identifier: GPL-2.0-only
// Reader-writer semaphores, with the kernel's fairness: a reader that comes while a writer waits queues
// behind it; a writer may steal a free lock.  Source: Linux v5.13, kernel/locking/rwsem.c.

import CKernel

@inline(__always)
public func down_read(_ sem: rw_semaphore, _ function: StaticString = #function) {
    downRead(sem, function.cString)
}

@inline(__always)
public func down_read_trylock(_ sem: rw_semaphore, _ function: StaticString = #function) -> Bool {
    downReadTrylock(sem, function.cString)
}

@inline(__always)
public func up_read(_ sem: rw_semaphore, _ function: StaticString = #function) {
    upRead(sem, function.cString)
}

@inline(__always)
public func down_write(_ sem: rw_semaphore, subclass: UInt8 = 0, _ function: StaticString = #function) {
    downWrite(sem, function.cString, subclass)
}

@inline(__always)
public func down_write_trylock(_ sem: rw_semaphore, _ function: StaticString = #function) -> Bool {
    downWriteTrylock(sem, function.cString)
}

@inline(__always)
public func up_write(_ sem: rw_semaphore, _ function: StaticString = #function) {
    upWrite(sem, function.cString)
}

/// Keeps the lock for reading; waiting readers may enter.
public func downgrade_write(_ sem: rw_semaphore, _ function: StaticString = #function) {
    yieldPoint(function.cString, downgradeLabel.cString)
    sem.writer = 0
    ownReads(sem).pointee += 1
}

private let downgradeLabel: StaticString = "downgrade_write"

public func init_rwsem(_ sem: rw_semaphore, _ lockClass: lock_class) {
    sem.class_ = UInt8(lockClass.rawValue)
    (sem.writer, sem.waiting_writers) = (0, 0)
    for task in 0...Int(MAX_TASKS) { sem.readBy(task).pointee = 0 }
    (sem.next_ticket, sem.first_writer_ticket) = (0, 0)
}

public func rwsem_is_locked(_ sem: rw_semaphore) -> Bool {
    sem.writer != 0 || sem.readers != 0
}

/// How often the current task holds the lock for reading.
@inline(__always)
private func ownReads(_ sem: rw_semaphore) -> UnsafeMutablePointer<UInt8> {
    sem.readBy(Int(kernel.current.number))
}

@inline(__always)
func readerMayEnter(_ sem: rw_semaphore, _ ticket: UInt32) -> Bool {
    sem.writer == 0 && (sem.waiting_writers == 0 || ticket < sem.first_writer_ticket)
}

@inline(__always)
func writerMayEnter(_ sem: rw_semaphore) -> Bool {
    sem.writer == 0 && sem.readers == 0
}

@usableFromInline
func downRead(_ sem: rw_semaphore, _ function: UnsafePointer<CChar>) {
    let address = unsafeBitCast(sem, to: UnsafeMutableRawPointer.self)
    might_sleep(function)
    lockdepBeforeAcquire(address, sem.class_)
    yieldPoint(function, lockLabel(sem.class_))
    if lockIsLeftOut() { return }
    if sem.writer == kernel.current.number + 1 { selfDeadlock(sem.class_) }
    if !readerMayEnter(sem, UInt32.max) {
        kernel.current.wait_ticket = sem.next_ticket
        sem.next_ticket += 1
        sleep(WAIT_RWSEM_READ, address)
    }
    ownReads(sem).pointee += 1
    lockdepAcquired(address, sem.class_, read: true)
}

@usableFromInline
func downReadTrylock(_ sem: rw_semaphore, _ function: UnsafePointer<CChar>) -> Bool {
    let address = unsafeBitCast(sem, to: UnsafeMutableRawPointer.self)
    lockdepBeforeAcquire(address, sem.class_, trylock: true)
    yieldPoint(function, lockLabel(sem.class_))
    if lockIsLeftOut() { return true }
    guard sem.writer == 0 else { return false }
    ownReads(sem).pointee += 1
    lockdepAcquired(address, sem.class_, read: true)
    return true
}

@usableFromInline
func upRead(_ sem: rw_semaphore, _ function: UnsafePointer<CChar>) {
    yieldPoint(function, unlockLabel.cString)
    guard ownReads(sem).pointee != 0 else {
        reportViolation(VIOLATION_bad_unlock, UInt(sem.class_), 0)
        endRun(RUN_BUG)
    }
    ownReads(sem).pointee -= 1
    lockdepReleased(unsafeBitCast(sem, to: UnsafeMutableRawPointer.self))
}

@usableFromInline
func downWrite(_ sem: rw_semaphore, _ function: UnsafePointer<CChar>, _ subclass: UInt8 = 0) {
    let address = unsafeBitCast(sem, to: UnsafeMutableRawPointer.self)
    might_sleep(function)
    lockdepBeforeAcquire(address, sem.class_, subclass: subclass)
    yieldPoint(function, lockLabel(sem.class_))
    if lockIsLeftOut() { return }
    if lockIsHeld(address, by: kernel.current) { selfDeadlock(sem.class_) }
    if !writerMayEnter(sem) { waitToWrite(sem, address) }
    sem.writer = kernel.current.number + 1
    lockdepAcquired(address, sem.class_, subclass: subclass)
}

private func waitToWrite(_ sem: rw_semaphore, _ address: UnsafeMutableRawPointer) {
    let task = kernel.current
    task.wait_ticket = sem.next_ticket
    sem.next_ticket += 1
    sem.waiting_writers += 1
    if sem.waiting_writers == 1 { sem.first_writer_ticket = task.wait_ticket }
    sleep(WAIT_RWSEM_WRITE, address)
    sem.waiting_writers -= 1
    // The next writer in line now holds up the readers behind it.
    sem.first_writer_ticket = UInt32.max
    for number in 0..<Int(kernel.nr_tasks) {
        let other = kernel.task(number)
        if other.state == UInt8(TASK_WAITING.rawValue) && other.wait_object == address
            && other.wait_kind == UInt8(WAIT_RWSEM_WRITE.rawValue)
        {
            sem.first_writer_ticket = min(sem.first_writer_ticket, other.wait_ticket)
        }
    }
}

@usableFromInline
func downWriteTrylock(_ sem: rw_semaphore, _ function: UnsafePointer<CChar>) -> Bool {
    let address = unsafeBitCast(sem, to: UnsafeMutableRawPointer.self)
    lockdepBeforeAcquire(address, sem.class_, trylock: true)
    yieldPoint(function, lockLabel(sem.class_))
    if lockIsLeftOut() { return true }
    guard writerMayEnter(sem) else { return false }
    sem.writer = kernel.current.number + 1
    lockdepAcquired(address, sem.class_)
    return true
}

@usableFromInline
func upWrite(_ sem: rw_semaphore, _ function: UnsafePointer<CChar>) {
    yieldPoint(function, unlockLabel.cString)
    guard sem.writer == kernel.current.number + 1 else {
        reportViolation(VIOLATION_bad_unlock, UInt(sem.class_), UInt(sem.writer))
        endRun(RUN_BUG)
    }
    sem.writer = 0
    lockdepReleased(unsafeBitCast(sem, to: UnsafeMutableRawPointer.self))
}
