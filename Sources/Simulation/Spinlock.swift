// SPDX-License-Identifier: GPL-2.0-only
// Spinlocks, local locks, mutexes: locks with one owner.

import CKernel

// MARK: - spinlock_t

/// Takes the lock with preemption off.  `subclass` as in spin_lock_nested().
@inline(__always)
public func spin_lock(_ lock: spinlock_t, subclass: UInt8 = 0, _ function: StaticString = #function) {
    spinLock(lock, subclass, function.cString)
}

@inline(__always)
public func spin_unlock(_ lock: spinlock_t, _ function: StaticString = #function) {
    spinUnlock(lock, function.cString)
}

@inline(__always)
public func spin_trylock(_ lock: spinlock_t, _ function: StaticString = #function) -> Bool {
    spinTrylock(lock, function.cString)
}

/// spin_lock_irq(), spin_lock_irqsave(): with interrupts off, too.
@inline(__always)
public func spin_lock_irq(_ lock: spinlock_t, _ function: StaticString = #function) {
    local_irq_disable()
    spinLock(lock, 0, function.cString)
}

@inline(__always)
public func spin_unlock_irq(_ lock: spinlock_t, _ function: StaticString = #function) {
    spinUnlock(lock, function.cString)
    local_irq_enable()
}

/// Waits until the lock is free, without taking it: for what the kernel does by spinning until the holder
/// is through.
public func spin_unlock_wait(_ lock: spinlock_t, _ function: StaticString = #function) {
    yieldPoint(function.cString, lockLabel(lock.class_))
    if lock.owner != 0 { sleep(WAIT_SPINLOCK, unsafeBitCast(lock, to: UnsafeMutableRawPointer.self)) }
}

/// For code that C calls, and for kernel operations that carry their caller's name.
public func spinLock(_ lock: spinlock_t, _ subclass: UInt8, _ function: UnsafePointer<CChar>) {
    let address = unsafeBitCast(lock, to: UnsafeMutableRawPointer.self)
    lockdepBeforeAcquire(address, lock.class_, subclass: subclass)
    yieldPoint(function, lockLabel(lock.class_))
    if lockIsLeftOut() { return }
    if lock.owner == kernel.current.number + 1 { selfDeadlock(lock.class_) }
    while lock.owner != 0 { sleep(WAIT_SPINLOCK, address) }
    lock.owner = kernel.current.number + 1
    preempt_disable()
    lockdepAcquired(address, lock.class_, subclass: subclass)
}

@usableFromInline
func spinTrylock(_ lock: spinlock_t, _ function: UnsafePointer<CChar>) -> Bool {
    let address = unsafeBitCast(lock, to: UnsafeMutableRawPointer.self)
    lockdepBeforeAcquire(address, lock.class_, trylock: true)
    yieldPoint(function, lockLabel(lock.class_))
    if lockIsLeftOut() { return true }
    guard lock.owner == 0 else { return false }
    lock.owner = kernel.current.number + 1
    preempt_disable()
    lockdepAcquired(address, lock.class_)
    return true
}

/// For code that C calls, and for kernel operations that carry their caller's name.
public func spinUnlock(_ lock: spinlock_t, _ function: UnsafePointer<CChar>) {
    yieldPoint(function, unlockLabel.cString)
    guard lock.owner == kernel.current.number + 1 else { unlockNotHeld(lock.class_, lock.owner) }
    lock.owner = 0
    lockdepReleased(unsafeBitCast(lock, to: UnsafeMutableRawPointer.self))
    preempt_enable()
}

let unlockLabel: StaticString = "unlock"

/// Who unlocks what another task holds, or nobody, ends the run.
@inline(never)
private func unlockNotHeld(_ lockClass: UInt8, _ owner: UInt8) -> Never {
    reportViolation(VIOLATION_bad_unlock, UInt(lockClass), UInt(owner))
    endRun(RUN_BUG)
}

/// A task that waits for a lock it holds waits for ever.
@inline(never)
func selfDeadlock(_ lockClass: UInt8) -> Never {
    reportViolation(VIOLATION_self_deadlock, UInt(lockClass), 0)
    endRun(RUN_DEADLOCK)
}

public func spin_lock_init(_ lock: spinlock_t, _ lockClass: lock_class) {
    lock.class_ = UInt8(lockClass.rawValue)
    lock.owner = 0
}

// MARK: - local_lock_t

/// Without PREEMPT_RT a local lock keeps preemption away and is checked by lockdep.
@inline(__always)
public func local_lock(_ lock: local_lock_t, _ function: StaticString = #function) {
    localLock(lock, function.cString)
}

@inline(__always)
public func local_unlock(_ lock: local_lock_t, _ function: StaticString = #function) {
    localUnlock(lock, function.cString)
}

@usableFromInline
func localLock(_ lock: local_lock_t, _ function: UnsafePointer<CChar>) {
    let address = unsafeBitCast(lock, to: UnsafeMutableRawPointer.self)
    lockdepBeforeAcquire(address, lock.class_)
    yieldPoint(function, lockLabel(lock.class_))
    if lock.owner == kernel.current.number + 1 { selfDeadlock(lock.class_) }
    preempt_disable()
    lock.owner = kernel.current.number + 1
    lockdepAcquired(address, lock.class_)
}

@usableFromInline
func localUnlock(_ lock: local_lock_t, _ function: UnsafePointer<CChar>) {
    yieldPoint(function, unlockLabel.cString)
    guard lock.owner == kernel.current.number + 1 else { unlockNotHeld(lock.class_, lock.owner) }
    lock.owner = 0
    lockdepReleased(unsafeBitCast(lock, to: UnsafeMutableRawPointer.self))
    preempt_enable()
}

public func local_lock_init(_ lock: local_lock_t, _ lockClass: lock_class) {
    lock.class_ = UInt8(lockClass.rawValue)
    lock.owner = 0
}

// MARK: - struct mutex

public func mutex_lock(_ lock: mutex, _ function: StaticString = #function) {
    mutexLock(lock, function.cString)
}

public func mutex_unlock(_ lock: mutex, _ function: StaticString = #function) {
    mutexUnlock(lock, function.cString)
}

func mutexLock(_ lock: mutex, _ function: UnsafePointer<CChar>) {
    let address = unsafeBitCast(lock, to: UnsafeMutableRawPointer.self)
    might_sleep(function)
    lockdepBeforeAcquire(address, lock.class_)
    yieldPoint(function, lockLabel(lock.class_))
    if lockIsLeftOut() { return }
    if lock.owner == kernel.current.number + 1 { selfDeadlock(lock.class_) }
    while lock.owner != 0 { sleep(WAIT_MUTEX, address) }
    lock.owner = kernel.current.number + 1
    lockdepAcquired(address, lock.class_)
}

func mutexUnlock(_ lock: mutex, _ function: UnsafePointer<CChar>) {
    yieldPoint(function, unlockLabel.cString)
    guard lock.owner == kernel.current.number + 1 else { unlockNotHeld(lock.class_, lock.owner) }
    lock.owner = 0
    lockdepReleased(unsafeBitCast(lock, to: UnsafeMutableRawPointer.self))
}

public func mutex_init(_ lock: mutex, _ lockClass: lock_class) {
    lock.class_ = UInt8(lockClass.rawValue)
    lock.owner = 0
}
