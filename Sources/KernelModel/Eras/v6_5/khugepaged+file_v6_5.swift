// SPDX-License-Identifier: GPL-2.0-only
// mm/khugepaged.c of Linux v6.5: collapse_file(), which replaces the small pages of an aligned range of a file by
// a huge page.  What differs with 1d65b771bc08 is the end, which gets rid of the page tables and says how it went:
// that is the operation retract_page_tables().
//
// Left out: SCAN_COPY_MC and SCAN_STORE_FAILED (copies and stores to the page cache do not fail), private data of
// pages (file systems of the model have none), shmem's quota of blocks; readahead beyond the page that is needed.

import CKernel
import Simulation

func install_khugepaged_file_v6_5(_ ops: kernel_ops) {
    ops.collapse_file = collapse_file
}

/// The parts of collapse_file() yield under its name.
private let collapse_file_name: StaticString = "collapse_file"

/// Linux v6.5, mm/khugepaged.c, collapse_file().
private func collapse_file(
    _ mm: mm_struct, _ addr: UInt, _ mapping: address_space, _ start: UInt,
    _ cc: UnsafeMutablePointer<collapse_control>
) -> Int32 {
    let is_shmem = shmem_mapping(mapping)
    BUG_ON(start & (HPAGE_PMD_NR() - 1) != 0, "start & (HPAGE_PMD_NR - 1)")
    guard let hpage = alloc_charge_hpage(cc) else { return SCAN_ALLOC_HUGE_PAGE_FAIL }
    let pagelist = LIST_HEAD()
    defer { leaveFrame(pagelist) }

    __SetPageLocked(hpage)
    if is_shmem { SetPageSwapBacked(hpage) }
    hpage.index = start
    hpage.mapping = address(mapping)

    let isolated = isolate_pages(mapping, start, pagelist)
    let nr_none = isolated.nr_none
    var result = isolated.result
    // Before the pages are copied nobody may write to them any more.
    ops.try_to_unmap_flush()
    if result == SCAN_SUCCEED {
        copy_pages(hpage, start, pagelist)
        result = close_holes(mapping, start, nr_none)
    }
    guard result == SCAN_SUCCEED else {
        roll_back(hpage, mapping, nr_none, pagelist)
        return result
    }

    insert_huge_page(hpage, mapping, start, nr_none)
    result = ops.retract_page_tables(mapping, start, mm, addr, hpage, cc)
    unlock_page(hpage)
    free_pages(pagelist)
    return result
}

// MARK: - The small pages

/// Locks, isolates and unmaps all pages of the range: then what uses them later must find them in the page cache
/// and wait for the lock.  Returns how many holes there are.
private func isolate_pages(
    _ mapping: address_space, _ start: UInt, _ pagelist: list_head
) -> (result: Int32, nr_none: Int) {
    let is_shmem = shmem_mapping(mapping)
    var nr_none = 0
    spin_lock_irq(mapping.i_pages_lock, collapse_file_name)
    for index in start..<start + HPAGE_PMD_NR() {
        yield_point("i_pages", collapse_file_name)
        if is_shmem && mapping.slot(Int(index)).pointee == 0 {
            // Truncated, or a hole that was punched: nothing is left to collapse.
            if index == start && range_is_empty(mapping, start) {
                spin_unlock_irq(mapping.i_pages_lock, collapse_file_name)
                return (SCAN_TRUNCATED, nr_none)
            }
            // shmem_charge()
            mapping.nrpages += 1
            nr_none += 1
            continue
        }
        let (found, result) = is_shmem ? lock_shmem_page(mapping, index) : lock_file_page(mapping, index)
        guard let page = found else { return (result, nr_none) }
        let isolated = isolate_page(mapping, page, start, index)
        guard isolated == SCAN_SUCCEED else {
            unlock_page(page, collapse_file_name)
            ops.put_page(page)
            return (isolated, nr_none)
        }
        list_add_tail(page.lru, pagelist)
    }
    var result = SCAN_SUCCEED
    if !is_shmem {
        // Whoever opens the file for writing sees one of the two: the other's mark, or it is seen here.
        filemap_nr_thps_inc(mapping)
        if inode_is_open_for_write(mapping, collapse_file_name) {
            result = SCAN_FAIL
            filemap_nr_thps_dec(mapping)
        }
    }
    spin_unlock_irq(mapping.i_pages_lock, collapse_file_name)
    return (result, nr_none)
}

private func range_is_empty(_ mapping: address_space, _ start: UInt) -> Bool {
    for index in start..<start + HPAGE_PMD_NR() where mapping.slot(Int(index)).pointee != 0 { return false }
    return true
}

/// The page of shmem at `index`, locked, with a reference, from swap if need be.  i_pages_lock is held, and dropped.
private func lock_shmem_page(_ mapping: address_space, _ index: UInt) -> (page: page?, result: Int32) {
    let entry = mapping.slot(Int(index)).pointee
    guard let page = entry_to_page(entry).map({ find_subpage($0, index) }), PageUptodate(page) else {
        spin_unlock_irq(mapping.i_pages_lock, collapse_file_name)
        let page = shmem_getpage_gfp(mapping, index, .SGP_NOALLOC)!
        if IS_ERR(page) { return (nil, SCAN_FAIL) }
        // So that the page can be isolated.
        ops.lru_add_drain()
        return (page, SCAN_SUCCEED)
    }
    return trylock_cached_page(mapping, page)
}

/// The same for a page of a disk file, which may have to be read.
private func lock_file_page(_ mapping: address_space, _ index: UInt) -> (page: page?, result: Int32) {
    let entry = mapping.slot(Int(index)).pointee
    guard let page = entry_to_page(entry).map({ find_subpage($0, index) }) else {
        spin_unlock_irq(mapping.i_pages_lock, collapse_file_name)
        page_cache_sync_readahead(mapping, index)
        ops.lru_add_drain()
        guard let page = ops.find_lock_page(mapping, index) else { return (nil, SCAN_FAIL) }
        return (page, SCAN_SUCCEED)
    }
    yield_point("PageDirty", collapse_file_name)
    if PageDirty(page) {
        // Nobody has the file open for writing, so this is left from before.  It may be clean the next time.
        spin_unlock_irq(mapping.i_pages_lock, collapse_file_name)
        _ = ops.do_writepages(mapping)
        return (nil, SCAN_FAIL)
    }
    yield_point("PageWriteback", collapse_file_name)
    if PageWriteback(page) {
        spin_unlock_irq(mapping.i_pages_lock, collapse_file_name)
        return (nil, SCAN_FAIL)
    }
    return trylock_cached_page(mapping, page)
}

private func trylock_cached_page(_ mapping: address_space, _ page: page) -> (page: page?, result: Int32) {
    guard trylock_page(page, collapse_file_name) else {
        spin_unlock_irq(mapping.i_pages_lock, collapse_file_name)
        return (nil, SCAN_PAGE_LOCK)
    }
    yield_point("page_count", collapse_file_name)
    get_page(page)
    spin_unlock_irq(mapping.i_pages_lock, collapse_file_name)
    return (page, SCAN_SUCCEED)
}

/// Takes a locked page off the LRU and out of all page tables.  i_pages_lock is held again after success.
private func isolate_page(_ mapping: address_space, _ page: page, _ start: UInt, _ index: UInt) -> Int32 {
    VM_BUG_ON_PAGE(!PageLocked(page), "!PageLocked(page)", collapse_file_name)
    if !PageUptodate(page) { return SCAN_FAIL }
    // The range was truncated and filled again, or somebody else was faster.
    if PageTransCompound(page) {
        let head = compound_head(page)
        return UInt8(thp_order(head)) == kernel.hpage_pmd_order && head.index == start
            ? SCAN_PTE_MAPPED_HUGEPAGE : SCAN_PAGE_COMPOUND
    }
    if page_mapping(page) !== mapping { return SCAN_TRUNCATED }
    if !shmem_mapping(mapping) {
        yield_point("PageDirty", collapse_file_name)
        if PageDirty(page) || PageWriteback(page) { return SCAN_FAIL }
    }
    if ops.isolate_lru_page(page) != 0 { return SCAN_DEL_PAGE_LRU }
    yield_point("page_mapped", collapse_file_name)
    if page_mapped(page) { _ = ops.try_to_unmap(page, TTU_IGNORE_MLOCK | TTU_BATCH_FLUSH) }

    spin_lock_irq(mapping.i_pages_lock, collapse_file_name)
    VM_BUG_ON_PAGE(
        mapping.slot(Int(index)).pointee != entry_of(page), "page != xa_load(xas.xa, index)", collapse_file_name)
    // Ours are one from the lookup, one from the isolation, and the page cache's.
    yield_point("page_count", collapse_file_name)
    if page_count(page) == 3 { return SCAN_SUCCEED }
    spin_unlock_irq(mapping.i_pages_lock, collapse_file_name)
    ops.putback_lru_page(page)
    return SCAN_PAGE_COUNT
}

/// Holes are zeros.
private func copy_pages(_ hpage: page, _ start: UInt, _ pagelist: list_head) {
    might_sleep(collapse_file_name)
    var entry = pagelist.next
    while entry !== pagelist {
        let page = lru_to_page(entry)
        page_add(hpage, Int(page.index - start)).contents = page.contents
        entry = entry.next
    }
}

// MARK: - Holes

/// Makes sure that nobody fills the holes any more, nor may wait for a fault on one.  i_pages_lock is held
/// after success.
private func close_holes(_ mapping: address_space, _ start: UInt, _ nr_none: Int) -> Int32 {
    if nr_none == 0 {
        spin_lock_irq(mapping.i_pages_lock, collapse_file_name)
        return SCAN_SUCCEED
    }
    down_read(mapping.i_mmap_rwsem, collapse_file_name)
    spin_lock_irq(mapping.i_pages_lock, collapse_file_name)
    var nr_none_check = 0
    for index in start..<start + HPAGE_PMD_NR() {
        yield_point("i_pages", collapse_file_name)
        guard mapping.slot(Int(index)).pointee == 0 else { continue }
        mapping.slot(Int(index)).pointee = UInt(XA_RETRY_ENTRY)
        nr_none_check += 1
    }
    let result =
        nr_none_check != nr_none
        ? SCAN_PAGE_FILLED : anybody_waits_for_holes(mapping, start) ? SCAN_EXCEED_NONE_PTE : SCAN_SUCCEED
    up_read(mapping.i_mmap_rwsem, collapse_file_name)
    if result == SCAN_SUCCEED { return result }
    for index in start..<start + HPAGE_PMD_NR() where mapping.slot(Int(index)).pointee == UInt(XA_RETRY_ENTRY) {
        yield_point("i_pages", collapse_file_name)
        mapping.slot(Int(index)).pointee = 0
    }
    spin_unlock_irq(mapping.i_pages_lock, collapse_file_name)
    return result
}

/// Who registers now sees no hole any more.
private func anybody_waits_for_holes(_ mapping: address_space, _ start: UInt) -> Bool {
    let end = start + HPAGE_PMD_NR()
    var next = vma_interval_tree_first(mapping, start, end)
    while let vma = next {
        yield_point("vm_flags", collapse_file_name)
        if userfaultfd_missing(vma) { return true }
        next = vma_interval_tree_next(mapping, vma, start, end)
    }
    return false
}

// MARK: - The end, good or bad

/// i_pages_lock is held, and dropped.
private func insert_huge_page(_ hpage: page, _ mapping: address_space, _ start: UInt, _ nr_none: Int) {
    let is_shmem = shmem_mapping(mapping)
    mod_node_page_state(Int32((is_shmem ? NR_SHMEM_THPS : NR_FILE_THPS).rawValue), hpage_pmd_nr)
    if nr_none > 0 {
        mod_node_page_state(Int32(NR_FILE_PAGES.rawValue), nr_none)
        mod_node_page_state(Int32(NR_SHMEM.rawValue), nr_none)
    }
    // Or it would be taken for a page that nobody has written to.
    SetPageUptodate(hpage)
    page_ref_add(hpage, Int32(hpage_pmd_nr - 1))
    if is_shmem { ops.set_page_dirty(hpage) }
    ops.lru_cache_add(hpage)
    for index in start..<start + HPAGE_PMD_NR() {
        yield_point("i_pages", collapse_file_name)
        mapping.slot(Int(index)).pointee = entry_of(hpage)
    }
    spin_unlock_irq(mapping.i_pages_lock, collapse_file_name)
}

/// The page cache's references go with ours.
private func free_pages(_ pagelist: list_head) {
    while !list_empty(pagelist) {
        let page = lru_to_page(pagelist.next)
        list_del(page.lru)
        page.mapping = nil
        ClearPageActive(page)
        ClearPageUnevictable(page)
        unlock_page(page, collapse_file_name)
        yield_point("page_count", collapse_file_name)
        page_ref_sub(page, 2)
        ops.put_page(page)
    }
}

/// The small pages stay.
private func roll_back(_ hpage: page, _ mapping: address_space, _ nr_none: Int, _ pagelist: list_head) {
    if nr_none > 0 {
        // shmem_uncharge()
        spin_lock_irq(mapping.i_pages_lock, collapse_file_name)
        mapping.nrpages -= UInt(nr_none)
        spin_unlock_irq(mapping.i_pages_lock, collapse_file_name)
    }
    while !list_empty(pagelist) {
        let page = lru_to_page(pagelist.next)
        list_del(page.lru)
        unlock_page(page, collapse_file_name)
        ops.putback_lru_page(page)
        ops.put_page(page)
    }
    hpage.mapping = nil
    unlock_page(hpage, collapse_file_name)
    ops.put_page(hpage)
}

// MARK: - Huge pages of files that nobody writes to

/// Linux v6.5, include/linux/pagemap.h, filemap_nr_thps_inc(), filemap_nr_thps_dec().
func filemap_nr_thps_inc(_ mapping: address_space, _ function: StaticString = #function) {
    yield_point("nr_thps", function)
    mapping.nr_thps += 1
}

func filemap_nr_thps_dec(_ mapping: address_space, _ function: StaticString = #function) {
    yield_point("nr_thps", function)
    mapping.nr_thps -= 1
}
