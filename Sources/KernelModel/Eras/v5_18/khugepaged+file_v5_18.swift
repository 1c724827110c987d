// SPDX-License-Identifier: GPL-2.0-only
// mm/khugepaged.c of Linux v5.18-rc1: collapse_file(), which replaces the small pages of an aligned range of a
// shmem file by a huge page.  One by one they are locked, unmapped, frozen and replaced in the page cache by the
// huge page, which is locked; when that cannot be done for one of them, all that was done is undone.
//
// Left out: what khugepaged+v5_18.swift names; shmem's quota of blocks (shmem_charge() counts pages only); private
// data of pages and errors of the page cache, which shmem does not have.

import CKernel
import Simulation

func install_khugepaged_file_v5_18(_ ops: kernel_ops) {
    ops.collapse_file = collapse_file
}

/// The parts of collapse_file() yield under its name.
private let function: StaticString = "collapse_file"

/// Linux v5.18-rc1, mm/khugepaged.c, collapse_file().
private func collapse_file(
    _ mm: mm_struct, _ addr: UInt, _ mapping: address_space, _ start: UInt,
    _ cc: UnsafeMutablePointer<collapse_control>
) -> Int32 {
    BUG_ON(!shmem_mapping(mapping), "!IS_ENABLED(CONFIG_READ_ONLY_THP_FOR_FS) && !is_shmem")
    BUG_ON(start & (HPAGE_PMD_NR() - 1) != 0, "start & (HPAGE_PMD_NR - 1)")
    guard let new_page = khugepaged_alloc_page(cc) else { return SCAN_ALLOC_HUGE_PAGE_FAIL }
    let pagelist = LIST_HEAD()
    defer { leaveFrame(pagelist) }

    // Once it is in the page cache it is found, but locked and not up to date: nobody can use it.
    __SetPageLocked(new_page)
    SetPageSwapBacked(new_page)
    new_page.index = start
    new_page.mapping = address(mapping)

    let (result, nr_none) = replace_pages(mapping, start, new_page, pagelist)
    // Before the pages are copied nobody may write to them any more.
    ops.try_to_unmap_flush()

    if result == SCAN_SUCCEED {
        copy_and_free_pages(new_page, start, pagelist)
        yield_point("PageUptodate")
        SetPageUptodate(new_page)
        yield_point("page_count")
        page_ref_add(new_page, Int32(hpage_pmd_nr - 1))
        ops.set_page_dirty(new_page)
        ops.lru_cache_add(new_page)
        // So that faults can map the huge page.
        _ = ops.retract_page_tables(mapping, start, mm, addr, new_page, cc)
        cc.pointee.hpage = nil
    } else {
        roll_back(mapping, start, pagelist, nr_none)
        new_page.mapping = nil
    }
    unlock_page(new_page)
    BUG_ON(!list_empty(pagelist), "!list_empty(&pagelist)")
    return result
}

// MARK: - Page by page

/// Puts the huge page in the place of each page, which then lies in `pagelist`, and into holes.
private func replace_pages(
    _ mapping: address_space, _ start: UInt, _ new_page: page, _ pagelist: list_head
) -> (result: Int32, nr_none: Int) {
    var nr_none = 0
    spin_lock_irq(mapping.i_pages_lock, function)
    for index in start..<start + HPAGE_PMD_NR() {
        let slot = mapping.slot(Int(index))
        if slot.pointee == 0 {
            // Truncated, or a hole that was punched: nothing is left to collapse.
            if index == start && range_is_empty(mapping, start) {
                spin_unlock_irq(mapping.i_pages_lock, function)
                return (SCAN_TRUNCATED, nr_none)
            }
            // shmem_charge()
            mapping.nrpages += 1
            yield_point("i_pages", function)
            slot.pointee = entry_of(new_page)
            nr_none += 1
            continue
        }
        let (found, error) = lock_page_at(mapping, index)
        guard let page = found else { return (error, nr_none) }
        let result = isolate_and_freeze(page, mapping, index)
        guard result == SCAN_SUCCEED else {
            unlock_page(page, function)
            ops.put_page(page)
            return (result, nr_none)
        }
        // To undo it if need be.
        list_add_tail(page.lru, pagelist)
        yield_point("i_pages", function)
        slot.pointee = entry_of(new_page)
    }
    mod_node_page_state(Int32(NR_SHMEM_THPS.rawValue), hpage_pmd_nr)
    if nr_none != 0 {
        mod_node_page_state(Int32(NR_FILE_PAGES.rawValue), nr_none)
        mod_node_page_state(Int32(NR_SHMEM.rawValue), nr_none)
    }
    spin_unlock_irq(mapping.i_pages_lock, function)
    return (SCAN_SUCCEED, nr_none)
}

private func range_is_empty(_ mapping: address_space, _ start: UInt) -> Bool {
    for index in start..<start + HPAGE_PMD_NR() where mapping.slot(Int(index)).pointee != 0 { return false }
    return true
}

/// What is at `index`, locked and with a reference, from swap if need be.  i_pages_lock is held, and dropped.
private func lock_page_at(_ mapping: address_space, _ index: UInt) -> (page: page?, result: Int32) {
    guard let page = entry_to_page(mapping.slot(Int(index)).pointee), PageUptodate(page) else {
        spin_unlock_irq(mapping.i_pages_lock, function)
        let page = shmem_getpage_gfp(mapping, index, .SGP_NOALLOC)!
        return IS_ERR(page) ? (nil, SCAN_FAIL) : (page, SCAN_SUCCEED)
    }
    guard trylock_page(page, function) else {
        spin_unlock_irq(mapping.i_pages_lock, function)
        return (nil, SCAN_PAGE_LOCK)
    }
    yield_point("page_count", function)
    get_page(page)
    spin_unlock_irq(mapping.i_pages_lock, function)
    return (page, SCAN_SUCCEED)
}

/// Takes a locked page off the LRU and out of all page tables, and freezes its references: from then on nobody can
/// find it.  i_pages_lock is held after success.
private func isolate_and_freeze(_ page: page, _ mapping: address_space, _ index: UInt) -> Int32 {
    VM_BUG_ON_PAGE(!PageLocked(page), "!PageLocked(page)", function)
    if !PageUptodate(page) { return SCAN_FAIL }
    // The range was truncated and filled again before its first page was locked.
    if PageTransCompound(page) { return SCAN_PAGE_COMPOUND }
    if page_mapping(page) !== mapping { return SCAN_TRUNCATED }
    if ops.isolate_lru_page(page) != 0 { return SCAN_DEL_PAGE_LRU }
    yield_point("page_mapped", function)
    if page_mapped(page) { _ = ops.try_to_unmap(page, TTU_IGNORE_MLOCK | TTU_BATCH_FLUSH) }

    spin_lock_irq(mapping.i_pages_lock, function)
    VM_BUG_ON_PAGE(mapping.slot(Int(index)).pointee != entry_of(page), "page != xas_load(&xas)", function)
    // The references of the page cache, of the isolation, and the caller's.
    yield_point("page_count", function)
    if page_ref_freeze(page, 3) { return SCAN_SUCCEED }
    spin_unlock_irq(mapping.i_pages_lock, function)
    ops.putback_lru_page(page)
    return SCAN_PAGE_COUNT
}

// MARK: - The end, good or bad

/// The huge page gets the contents, zeros for holes.  The small pages go, with the page cache's references.
private func copy_and_free_pages(_ new_page: page, _ start: UInt, _ pagelist: list_head) {
    might_sleep(function)
    var index = start
    while !list_empty(pagelist) {
        let page = lru_to_page(pagelist.next)
        clear_pages(new_page, start, from: index, to: page.index)
        yield_point("contents", function)
        page_add(new_page, Int(page.index - start)).contents = page.contents
        index = page.index + 1
        list_del(page.lru)
        page.mapping = nil
        yield_point("page_count", function)
        page_ref_unfreeze(page, 1)
        ClearPageActive(page)
        ClearPageUnevictable(page)
        unlock_page(page, function)
        ops.put_page(page)
    }
    clear_pages(new_page, start, from: index, to: start + HPAGE_PMD_NR())
}

private func clear_pages(_ new_page: page, _ start: UInt, from first: UInt, to end: UInt) {
    for index in first..<end { page_add(new_page, Int(index - start)).contents = 0 }
}

/// Puts back the pages and the holes that the huge page had replaced.
private func roll_back(_ mapping: address_space, _ start: UInt, _ pagelist: list_head, _ nr_none: Int) {
    var holes = nr_none
    spin_lock_irq(mapping.i_pages_lock, function)
    // shmem_uncharge()
    mapping.nrpages -= UInt(nr_none)
    for index in start..<start + HPAGE_PMD_NR() {
        let slot = mapping.slot(Int(index))
        if slot.pointee == 0 { continue }
        guard !list_empty(pagelist), case let page = lru_to_page(pagelist.next), index >= page.index else {
            if holes == 0 { break }
            holes -= 1
            yield_point("i_pages", function)
            slot.pointee = 0
            continue
        }
        VM_BUG_ON_PAGE(page.index != index, "page->index != xas.xa_index", function)
        list_del(page.lru)
        yield_point("page_count", function)
        page_ref_unfreeze(page, 2)
        yield_point("i_pages", function)
        slot.pointee = entry_of(page)
        spin_unlock_irq(mapping.i_pages_lock, function)
        unlock_page(page, function)
        ops.putback_lru_page(page)
        spin_lock_irq(mapping.i_pages_lock, function)
    }
    BUG_ON(holes != 0, "nr_none")
    spin_unlock_irq(mapping.i_pages_lock, function)
}
