// SPDX-License-Identifier: GPL-2.0-only
// The page lock, PG_locked, and waits for PG_writeback: sleeping bit locks that carry no owner.
// Source: Linux v5.13, mm/filemap.c, __lock_page(), unlock_page(), wait_on_page_writeback().

import CKernel

@inline(__always)
public func lock_page(_ page: page, _ function: StaticString = #function) {
    lockPage(compound_head(page), function.cString)
}

@inline(__always)
public func trylock_page(_ page: page, _ function: StaticString = #function) -> Bool {
    trylockPage(compound_head(page), function.cString)
}

@inline(__always)
public func unlock_page(_ page: page, _ function: StaticString = #function) {
    unlockPage(compound_head(page), function.cString)
}

@usableFromInline
func lockPage(_ head: page, _ function: UnsafePointer<CChar>) {
    let address = unsafeBitCast(head, to: UnsafeMutableRawPointer.self)
    let lockClass = UInt8(LOCK_page_lock.rawValue)
    might_sleep(function)
    lockdepBeforeAcquire(address, lockClass)
    yieldPoint(function, lockLabel(lockClass))
    if lockIsLeftOut() { return }
    if PageLocked(head) && lockIsHeld(address, by: kernel.current) { selfDeadlock(lockClass) }
    while PageLocked(head) { sleep(WAIT_PAGE_LOCK, address) }
    SetPageLocked(head)
    lockdepAcquired(address, lockClass)
}

@usableFromInline
func trylockPage(_ head: page, _ function: UnsafePointer<CChar>) -> Bool {
    let address = unsafeBitCast(head, to: UnsafeMutableRawPointer.self)
    let lockClass = UInt8(LOCK_page_lock.rawValue)
    yieldPoint(function, lockLabel(lockClass))
    if lockIsLeftOut() { return true }
    guard !TestSetPageLocked(head) else { return false }
    lockdepAcquired(address, lockClass)
    return true
}

@usableFromInline
func unlockPage(_ head: page, _ function: UnsafePointer<CChar>) {
    yieldPoint(function, unlockLabel.cString)
    guard PageLocked(head) else {
        reportViolation(VIOLATION_bad_unlock, UInt(LOCK_page_lock.rawValue), page_to_pfn(head))
        endRun(RUN_BUG)
    }
    ClearPageLocked(head)
    // The lock is a bit without an owner: the pages of a split huge page come locked.
    let address = unsafeBitCast(head, to: UnsafeMutableRawPointer.self)
    if lockIsHeld(address, by: kernel.current) { lockdepReleased(address) }
}

/// A huge page was split, and each of its pages is locked now: the caller's lock is that of `page`, and
/// the others it unlocks without having taken them.
public func pageLockWasSplit(_ head: page, _ page: page) {
    lockdepMoved(
        from: unsafeBitCast(head, to: UnsafeMutableRawPointer.self),
        to: unsafeBitCast(page, to: UnsafeMutableRawPointer.self))
}

/// Sets PG_locked of a page that nobody else can see yet (__SetPageLocked()).
public func __SetPageLocked(_ page: page) {
    SetPageLocked(page)
    lockdepAcquired(unsafeBitCast(page, to: UnsafeMutableRawPointer.self), UInt8(LOCK_page_lock.rawValue))
}

/// Clears PG_locked of a page that nobody else can see any more (__ClearPageLocked()).
public func __ClearPageLocked(_ page: page) {
    ClearPageLocked(page)
    lockdepReleased(unsafeBitCast(page, to: UnsafeMutableRawPointer.self))
}

/// Waits until the page lock is free, without taking it (wait_on_page_locked()).
public func wait_on_page_locked(_ page: page, _ function: StaticString = #function) {
    waitOnPageLocked(compound_head(page), function.cString)
}

func waitOnPageLocked(_ head: page, _ function: UnsafePointer<CChar>) {
    might_sleep(function)
    yieldPoint(function, lockLabel(UInt8(LOCK_page_lock.rawValue)))
    if PageLocked(head) { sleep(WAIT_PAGE_LOCK, unsafeBitCast(head, to: UnsafeMutableRawPointer.self)) }
}

public func wait_on_page_writeback(_ page: page, _ function: StaticString = #function) {
    waitOnPageWriteback(compound_head(page), function.cString)
}

func waitOnPageWriteback(_ head: page, _ function: UnsafePointer<CChar>) {
    might_sleep(function)
    yieldPoint(function, writebackLabel.cString)
    if PageWriteback(head) { sleep(WAIT_PAGE_WRITEBACK, unsafeBitCast(head, to: UnsafeMutableRawPointer.self)) }
}

private let writebackLabel: StaticString = "PageWriteback"
