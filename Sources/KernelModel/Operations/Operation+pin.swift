// SPDX-License-Identifier: GPL-2.0-only
// Pins of user memory that outlive the call: direct I/O, RDMA.

import CKernel
import Simulation

extension Operation {
    /// Pins one page for a device (pin_user_pages_fast()); -ENOMEM when the device has no room for more.
    static let pin = Operation(
        "pin", .process,
        [
            Parameter("addr", .address),
            Parameter(
                "flags",
                .flags([NamedValue("FOLL_WRITE", Int(FOLL_WRITE)), NamedValue("FOLL_LONGTERM", Int(FOLL_LONGTERM))])),
        ], weight: 3
    ) { pinPage(UInt(bitPattern: $0[0]), UInt32(truncatingIfNeeded: $0[1])) }

    /// Ends the I/O through the process's first pin of that address, and unpins: a device that may write has
    /// written.  The result is what it read or wrote.
    static let unpin = Operation("unpin", .process, [Parameter("addr", .address)], weight: 3) {
        unpinPage(UInt(bitPattern: $0[0]))
    }
}

private func pinPage(_ address: UInt, _ flags: UInt32) -> Int {
    let mm = current.mm!
    guard let page = ops.get_user_page_fast(mm, address, flags | FOLL_PIN) else { return -Int(EFAULT) }
    if IS_ERR(page) { return PTR_ERR(page) }
    for number in 0..<Int(MAX_PINS) where kernel.pin(number).pointee.page == nil {
        kernel.pin(number).pointee = CKernel.pin(
            page: page, address: address & PAGE_MASK, longterm: flags & FOLL_LONGTERM != 0 ? 1 : 0,
            write: flags & FOLL_WRITE != 0 ? 1 : 0, mm: mm.number, owner: current.number)
        return 0
    }
    ops.unpin_user_page(page)
    return -Int(ENOMEM)
}

private func unpinPage(_ address: UInt) -> Int {
    let mm = current.mm!
    for number in 0..<Int(MAX_PINS) {
        let pin = kernel.pin(number).pointee
        guard let page = pin.page, pin.mm == mm.number, pin.address == address & PAGE_MASK else { continue }
        yield_point("contents", "unpin_user_pages_dirty_lock")
        // Another thread may have ended this I/O meanwhile.
        guard kernel.pin(number).pointee.page === page else { continue }
        kernel.pin(number).pointee.page = nil
        return finishIO(page, write: pin.write != 0)
    }
    return -Int(EINVAL)
}

/// Linux v5.13, mm/gup.c, unpin_user_pages_dirty_lock(), for one page.
private func finishIO(_ page: page, write: Bool) -> Int {
    if write {
        userDataOverwritten(page.contents)
        page.contents = newToken()
    }
    let data = Int(truncatingIfNeeded: page.contents & UInt64(Int.max))
    if write {
        yield_point("PageDirty", "unpin_user_pages_dirty_lock")
        if !PageDirty(page) { set_page_dirty_lock(page) }
    }
    ops.unpin_user_page(page)
    return data
}

/// Linux v5.13, mm/page-writeback.c, set_page_dirty_lock().
private func set_page_dirty_lock(_ page: page) {
    lock_page(page)
    ops.set_page_dirty(page)
    unlock_page(page)
}
