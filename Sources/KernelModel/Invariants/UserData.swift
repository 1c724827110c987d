// SPDX-License-Identifier: GPL-2.0-only
// Invariant 1: a load from memory sees the last store, or what a system call put in its place.  Invariant 8: what
// has been unmapped is accessible no more.
//
// Every load and store is one step of the model, so their order is known and for each page of private anonymous
// memory the token that a load must see is, too.  System calls that change what memory holds say so when they
// begin and when they end; in between, loads of these pages are not judged.  What a page holds after the call is
// decided only if nobody else touched the page meanwhile, else by the next store.  Shared memory and private
// file mappings are not judged: other mms, files and truncation have a say in them; but for pages that userfaultfd put
// into a private mapping of a file, until the file shrinks or MADV_DONTNEED.  What userfaultfd protects against writes
// is in UserData+userfaultfd.swift.
//
// Tokens are never the same twice.  0 is the zeroed page.

import CKernel
import Simulation

/// What is expected of a page that is not mapped: that no access succeeds.
private let UNMAPPED = UInt64.max

// MARK: - Accesses

/// A store is happening, now.
///
/// - Parameter byDevice: through a pin, to which the permissions of the mapping mean nothing.
func userDataStored(_ mm: mm_struct, _ address: UInt, _ token: UInt64, byDevice: Bool = false) {
    let bit = pageBit(address)
    var (changing, watched) = (false, false)
    for task in 0..<Int(MAX_TASKS) {
        let change = kernel.data_change(task)
        guard concerns(change, Int(mm.number)) else { continue }
        if change.pointee.mm == mm.number + 1 {
            if change.pointee.changing & bit != 0 { changing = true }
            if change.pointee.watched & bit != 0 { watched = true }
        }
        change.pointee.raced |= bit
    }
    let data = kernel.data_of(Int(mm.number))
    if !byDevice && data.pointee.write_protected & bit != 0 { reportLostProtection(mm, address, bit) }
    guard data.pointee.checked & bit != 0 else { return }
    if expected(mm, address) == UNMAPPED {
        if data.pointee.known & bit != 0 && !watched { reportStaleAccess(mm, address) }
        return
    }
    setExpected(mm, address, token)
    data.pointee.known = changing ? data.pointee.known & ~bit : data.pointee.known | bit
}

/// A load is happening, now, and sees `token`.
func userDataLoaded(_ mm: mm_struct, _ address: UInt, _ token: UInt64) {
    let bit = pageBit(address)
    let data = kernel.data_of(Int(mm.number)).pointee
    guard data.checked & data.known & bit != 0 else { return }
    let wanted = expected(mm, address)
    if wanted == UNMAPPED {
        if !isWatched(mm, bit) { reportStaleAccess(mm, address) }
    } else if wanted != token {
        reportViolation(VIOLATION_user_data, address, UInt(mm.number))
    }
}

/// A device has written to a page that it reached through a pin, and that held `old` until now.  Whoever still has
/// that page sees it, whoever got another one does not: neither is judged until the next store, and no call that is
/// under way decides it.
func userDataOverwritten(_ old: UInt64) {
    for number in 0..<Int(MAX_MMS) {
        let data = kernel.data_of(number)
        var pages: UInt64 = 0
        for page in 0..<Int(MAX_USER_PAGES) where user_data_expected(data, page).pointee == old {
            pages |= 1 << UInt64(page)
        }
        data.pointee.known &= ~pages
        for task in 0..<Int(MAX_TASKS) where concerns(kernel.data_change(task), number) {
            kernel.data_change(task).pointee.raced |= pages
        }
    }
}

/// Whether a device that has just pinned the page shares it with the process from now on, and with nobody else: an
/// exclusive page stays with its owner while it is pinned, until a call of the owner gives the memory up.
func userDataSharedWithDevice(_ mm: mm_struct, _ address: UInt, _ page: page) -> Bool {
    let huge = pmd_trans_huge(pmd_offset(mm, address).pointee)
    let exclusive = PageAnonExclusive(huge ? compound_head(page) : page)
    guard mm.live, PageAnon(page), exclusive, mappedPage(mm, address) === page, let vma = ops.find_vma(mm, address),
        vma_is_anonymous(vma)
    else { return false }
    for task in 0..<Int(MAX_TASKS) {
        let change = kernel.data_change(task).pointee
        if change.mm == mm.number + 1 && change.changing & pageBit(address) != 0 { return false }
    }
    return true
}

/// The owner gives these pages up, or has a call put something in their place.
private func endSharingWithDevices(_ process: Int, _ pages: UInt64) {
    for number in 0..<Int(MAX_PINS) {
        let pin = kernel.pin(number)
        if Int(pin.pointee.mm) == process && pages & pageBit(pin.pointee.address) != 0 { pin.pointee.exclusive = 0 }
    }
}

private func reportStaleAccess(_ mm: mm_struct, _ address: UInt) {
    reportViolation(VIOLATION_stale_translation, address, UInt(mm.number))
}

// MARK: - System calls

/// The pages of [start, start + len), as a mask.
func userPages(_ start: UInt, _ len: UInt) -> UInt64 {
    var mask: UInt64 = 0
    var address = start & PAGE_MASK
    while address < min(start &+ len, TASK_SIZE()) {
        mask |= pageBit(address)
        address += PAGE_SIZE
    }
    return mask
}

let allUserPages = UInt64.max

/// The current task begins a call that may change `changing` and depends on what happens to `watched`: a new
/// mapping may land anywhere, so mmap() watches all pages.
///
/// - Parameter unprotecting: what userfaultfd may protect no more, beside `changing`.
func userDataChangeBegins(_ mm: mm_struct, changing: UInt64, watched: UInt64 = 0, unprotecting: UInt64 = 0) {
    let data = kernel.data_of(Int(mm.number))
    let mine = kernel.data_change(Int(current.number))
    mine.pointee = user_data_change(
        changing: changing, watched: watched, raced: 0, known: data.pointee.known, unprotecting: unprotecting,
        unprotected: 0, mm: mm.number + 1, child: 0)
    for task in 0..<Int(MAX_TASKS) where task != Int(current.number) {
        let other = kernel.data_change(task)
        guard concerns(other, Int(mm.number)) else { continue }
        other.pointee.raced |= changing
        mine.pointee.raced |= other.pointee.changing
        other.pointee.unprotected |= changing | unprotecting
        mine.pointee.unprotected |= other.pointee.changing | other.pointee.unprotecting
    }
    data.pointee.known &= ~changing
    data.pointee.write_protected &= ~(changing | unprotecting)
    endSharingWithDevices(Int(mm.number), changing)
}

/// What a call has left behind.
enum UserDataOutcome {
    /// New private anonymous memory, or what reads as zeros again.
    case zeroed
    case unmapped
    /// Either of two, until the next store: MADV_FREE, a call that failed halfway.
    case undecided
    /// Memory in which others have a say.
    case notJudged
    /// As it was.
    case unchanged
}

/// The current task's call ends; `pages` are as `outcome` says.  Call it once for each outcome, then
/// `userDataChangeEnded()`.
func userDataChangeEnds(_ mm: mm_struct, _ pages: UInt64, _ outcome: UserDataOutcome) {
    let data = kernel.data_of(Int(mm.number))
    let mine = kernel.data_change(Int(current.number))
    let settled = pages & ~mine.pointee.raced
    switch outcome {
    case .zeroed: decide(mm, pages, settled, 0)
    case .unmapped: decide(mm, pages, settled, UNMAPPED)
    case .unchanged: data.pointee.known |= settled & mine.pointee.known
    case .undecided: data.pointee.known &= ~pages
    case .notJudged:
        data.pointee.checked &= ~pages
        data.pointee.known &= ~pages
    }
    if outcome != .unchanged && outcome != .undecided { data.pointee.filled &= ~pages }
}

/// Memory whose content is gone for good, except where nothing was mapped or it is not judged anyway
/// (MADV_DONTNEED).
func userDataDiscarded(_ mm: mm_struct, _ pages: UInt64) {
    let data = kernel.data_of(Int(mm.number))
    // The file's content is there again.
    forgetFilledPages(data, pages)
    let settled = pages & ~kernel.data_change(Int(current.number)).pointee.raced & data.pointee.checked
    for page in 0..<Int(MAX_USER_PAGES) where settled & 1 << UInt64(page) != 0 {
        let slot = user_data_expected(data, page)
        if slot.pointee != UNMAPPED { slot.pointee = 0 }
    }
    data.pointee.known |= settled
}

/// What `old` held is now at `new`, page by page (mremap()).
func userDataMoved(_ mm: mm_struct, from old: UInt, to new: UInt, _ len: UInt) {
    let data = kernel.data_of(Int(mm.number))
    let mine = kernel.data_change(Int(current.number)).pointee
    for offset in stride(from: UInt(0), to: len, by: Int(PAGE_SIZE)) {
        let (source, target) = (pageBit(old + offset), pageBit(new + offset))
        let judged =
            data.pointee.checked & mine.known & ~mine.raced & source != 0
            && mine.raced & target == 0 && expected(mm, old + offset) != UNMAPPED
        data.pointee.checked = judged ? data.pointee.checked | target : data.pointee.checked & ~target
        data.pointee.known = judged ? data.pointee.known | target : data.pointee.known & ~target
        let filled = data.pointee.filled & source != 0
        data.pointee.filled = filled ? data.pointee.filled | target : data.pointee.filled & ~target
        if judged { setExpected(mm, new + offset, expected(mm, old + offset)) }
    }
}

func userDataChangeEnded() {
    kernel.data_change(Int(current.number)).pointee = user_data_change()
}

/// fork() begins: the child gets what the parent holds, except where stores or other calls race with it.
func userDataForkBegins(_ parent: mm_struct, child number: Int) {
    userDataChangeBegins(parent, changing: 0, watched: allUserPages)
    kernel.data_change(Int(current.number)).pointee.child = UInt8(number + 1)
    userDataForget(number)
}

/// fork() has made the child.
func userDataForkEnds(_ parent: mm_struct, child: mm_struct) {
    let mine = kernel.data_change(Int(current.number)).pointee
    let (from, to) = (kernel.data_of(Int(parent.number)), kernel.data_of(Int(child.number)))
    to.pointee = from.pointee
    to.pointee.write_protected = 0
    to.pointee.checked &= ~mine.raced
    to.pointee.known &= mine.known & ~mine.raced
    userDataChangeEnded()
}

/// Nothing is known of the mm: it is new, or gone.
func userDataForget(_ number: Int) {
    endSharingWithDevices(number, allUserPages)
    kernel.data_of(number).pointee.checked = 0
    kernel.data_of(number).pointee.known = 0
    kernel.data_of(number).pointee.filled = 0
    kernel.data_of(number).pointee.write_protected = 0
}

// MARK: - Helpers

private func decide(_ mm: mm_struct, _ pages: UInt64, _ settled: UInt64, _ token: UInt64) {
    let data = kernel.data_of(Int(mm.number))
    data.pointee.checked = data.pointee.checked & ~pages | settled
    data.pointee.known = data.pointee.known & ~pages | settled
    for page in 0..<Int(MAX_USER_PAGES) where settled & 1 << UInt64(page) != 0 {
        user_data_expected(data, page).pointee = token
    }
}

func concerns(_ change: UnsafeMutablePointer<user_data_change>, _ process: Int) -> Bool {
    Int(change.pointee.mm) == process + 1 || Int(change.pointee.child) == process + 1
}

private func isWatched(_ mm: mm_struct, _ bit: UInt64) -> Bool {
    for task in 0..<Int(MAX_TASKS) {
        let change = kernel.data_change(task).pointee
        if change.mm == mm.number + 1 && change.watched & bit != 0 { return true }
    }
    return false
}

/// 0 for a page that is out of what is looked after.
func pageBit(_ address: UInt) -> UInt64 {
    let page = address >> UInt(PAGE_SHIFT)
    return page < UInt(MAX_USER_PAGES) ? 1 << UInt64(page) : 0
}

private func expected(_ mm: mm_struct, _ address: UInt) -> UInt64 {
    user_data_expected(kernel.data_of(Int(mm.number)), Int(address >> UInt(PAGE_SHIFT))).pointee
}

func setExpected(_ mm: mm_struct, _ address: UInt, _ token: UInt64) {
    user_data_expected(kernel.data_of(Int(mm.number)), Int(address >> UInt(PAGE_SHIFT))).pointee = token
}
