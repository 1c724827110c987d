// SPDX-License-Identifier: GPL-2.0-only
// Pins of user memory that outlive the call, and the devices that work through them: direct I/O, RDMA.

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

    /// Ends what the process's first pin of that address was for, and unpins.  Direct I/O ends with the device's access
    /// to the page, whose data are the result; a long-term pin just ends, with 0.
    static let unpin = Operation("unpin", .process, [Parameter("addr", .address)], weight: 3) {
        unpinPage(UInt(bitPattern: $0[0]))
    }

    private static let pinned = [Parameter("process", .process), Parameter("addr", .address)]

    /// A device reads the page that the process has pinned at that address, whatever is mapped there by now.
    static let pin_read = Operation("pin_read", .device, pinned, weight: 6) {
        accessThroughPin($0[0], UInt(bitPattern: $0[1]), write: false)
    }

    /// The same for a write; -EFAULT through a pin that is only for reading.
    static let pin_write = Operation("pin_write", .device, pinned, weight: 6) {
        accessThroughPin($0[0], UInt(bitPattern: $0[1]), write: true)
    }
}

private func pinPage(_ address: UInt, _ flags: UInt32) -> Int {
    let mm = current.mm!
    guard let page = ops.get_user_page_fast(mm, address, flags | FOLL_PIN) else { return -Int(EFAULT) }
    if IS_ERR(page) { return PTR_ERR(page) }
    for number in 0..<Int(MAX_PINS) where kernel.pin(number).pointee.page == nil {
        kernel.pin(number).pointee = CKernel.pin(
            page: page, address: address & PAGE_MASK, longterm: flags & FOLL_LONGTERM != 0 ? 1 : 0,
            write: flags & FOLL_WRITE != 0 ? 1 : 0, mm: mm.number, owner: current.number,
            exclusive: userDataSharedWithDevice(mm, address & PAGE_MASK, page) ? 1 : 0)
        return 0
    }
    ops.unpin_user_page(page)
    return -Int(ENOMEM)
}

private func unpinPage(_ address: UInt) -> Int {
    let process = Int(current.mm!.number)
    while let number = pinNumber(process, address) {
        let page = kernel.pin(number).pointee.page!
        yield_point("contents", "unpin_user_pages_dirty_lock")
        // Another thread may have ended this pin meanwhile.
        guard kernel.pin(number).pointee.page === page else { continue }
        let (write, longterm) = (kernel.pin(number).pointee.write != 0, kernel.pin(number).pointee.longterm != 0)
        let data = longterm ? 0 : transfer(number, write: write)
        kernel.pin(number).pointee.page = nil
        unpin_user_pages_dirty_lock(page, write)
        return data
    }
    return -Int(EINVAL)
}

/// The device's access is one step, as long as the pin is held: who unpins waits for accesses under way.
private func accessThroughPin(_ process: Int, _ address: UInt, write: Bool) -> Int {
    yield_point("contents", "device_access")
    guard let number = pinNumber(process, address) else { return -Int(EINVAL) }
    let pin = kernel.pin(number).pointee
    if write && pin.write == 0 { return -Int(EFAULT) }
    return transfer(number, write: write)
}

/// The first pin that the process has of that address.
private func pinNumber(_ process: Int, _ address: UInt) -> Int? {
    for number in 0..<Int(MAX_PINS) {
        let pin = kernel.pin(number).pointee
        if pin.page != nil && Int(pin.mm) == process && pin.address == address & PAGE_MASK { return number }
    }
    return nil
}

/// The device's read or write of memory.  No page table has a part in it, so no accessed and no dirty bit.
///
/// - Returns: what was read or written.
private func transfer(_ number: Int, write: Bool) -> Int {
    let pin = kernel.pin(number).pointee
    let page = pin.page!
    if page.free_state != UInt8(PAGE_in_use.rawValue) { reportViolation(VIOLATION_freed_reachable, 0, 0) }
    let owner =
        pin.exclusive != 0 && kernel.mm_slot(Int(pin.mm)).pointee?.live == true
        ? kernel.mm_slot(Int(pin.mm)).pointee : nil
    if write {
        let token = newToken()
        if let owner {
            userDataStored(owner, pin.address, token, byDevice: true)
        } else {
            userDataOverwritten(page.contents)
        }
        page.contents = token
    } else if let owner {
        userDataLoaded(owner, pin.address, page.contents)
    }
    return Int(truncatingIfNeeded: page.contents & UInt64(Int.max))
}

/// Linux v5.13, mm/gup.c, unpin_user_pages_dirty_lock(), for one page: the only place that learns of the device's
/// writes.
private func unpin_user_pages_dirty_lock(_ page: page, _ make_dirty: Bool) {
    if make_dirty {
        yield_point("PageDirty")
        if !PageDirty(page) { set_page_dirty_lock(page) }
    }
    ops.unpin_user_page(page)
}

/// Linux v5.13, mm/page-writeback.c, set_page_dirty_lock().
private func set_page_dirty_lock(_ page: page) {
    lock_page(page)
    ops.set_page_dirty(page)
    unlock_page(page)
}
