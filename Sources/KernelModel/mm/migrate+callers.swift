// SPDX-License-Identifier: GPL-2.0-only
// mm/migrate.c of Linux v5.13, continued: move_pages(2) and migration on NUMA hint faults.  Compaction is
// in compaction.swift.

import CKernel
import Simulation

func install_migrate_callers(_ ops: kernel_ops) {
    ops.do_move_pages = do_move_pages
    ops.migrate_misplaced_page = migrate_misplaced_page
}

/// Linux v5.13, include/linux/mempolicy.h, vma_migratable().
func vma_migratable(_ vma: vm_area_struct) -> Bool {
    vma.vm_flags & (VM_IO | VM_PFNMAP) == 0
}

// MARK: - move_pages(2)

/// Linux v5.13, mm/migrate.c, do_move_pages_to_node().
private func do_move_pages_to_node(_ pagelist: list_head, _ nid: Int32) -> Int {
    let err = ops.migrate_pages(pagelist, nid, MIGRATE_SYNC, MR_SYSCALL)
    if err != 0 { ops.putback_movable_pages(pagelist) }
    return Int(err)
}

/// Linux v5.13, mm/migrate.c, move_pages_and_store_status().
///
/// - Returns: how many pages were not moved, the `left` ones behind the batch included, or an error.  The
///   kernel takes one page off, as if the batch ended in one of them, at the end of the call too.
private func move_pages_and_store_status(_ pagelist: list_head, _ nid: Int32, left: Int) -> Int {
    if list_empty(pagelist) { return 0 }
    let err = do_move_pages_to_node(pagelist, nid)
    return err > 0 ? err + left - 1 : err
}

/// Linux v5.13, mm/migrate.c, add_page_for_migration().
///
/// - Returns: 1 if the page was queued, 0 if it is on the node already, otherwise an error.
private func add_page_for_migration(
    _ mm: mm_struct, _ address: UInt, _ nid: Int32, _ pagelist: list_head, _ migrate_all: Bool
) -> Int {
    down_read(mm.mmap_lock)
    defer { up_read(mm.mmap_lock) }
    guard let vma = ops.find_vma(mm, address), address >= vma.vm_start, vma_migratable(vma) else {
        return -Int(EFAULT)
    }
    guard let page = ops.follow_page(vma, address, FOLL_GET | FOLL_DUMP) else { return -Int(ENOENT) }
    if IS_ERR(page) { return PTR_ERR(page) }
    let err = isolate_for_migration(page, nid, pagelist, migrate_all)
    ops.put_page(page)
    return err
}

/// add_page_for_migration() from where the page is held to where it is let go.
private func isolate_for_migration(_ page: page, _ nid: Int32, _ pagelist: list_head, _ migrate_all: Bool) -> Int {
    if Int32(page.nid) == nid { return 0 }
    yield_point("mapcount")
    if page_mapcount(page) > 1 && !migrate_all { return -Int(EACCES) }
    let head = compound_head(page)
    let err = ops.isolate_lru_page(head)
    if err != 0 { return Int(err) }
    list_add_tail(head.lru, pagelist)
    mod_isolated_state(head, 1)
    return 1
}

/// Linux v5.13, mm/migrate.c, kernel_move_pages(), do_pages_move(): each page of a range, to one node.
/// Left out: the array of statuses, another process's mm, and rights.
private func do_move_pages(_ start: UInt, _ len: UInt, _ nid: Int32, _ flags: Int32) -> Int {
    let mm = current.mm!
    // Where no page can be the kernel would find none, page by page.
    let nr_pages = start < TASK_SIZE() ? Int(min(len, TASK_SIZE() - start) >> PAGE_SHIFT) : 0
    if flags & ~(MPOL_MF_MOVE | MPOL_MF_MOVE_ALL) != 0 { return -Int(EINVAL) }
    if nid < 0 || nid >= Int32(kernel.nr_nodes) { return -Int(ENODEV) }
    let pagelist = LIST_HEAD()
    defer { leaveFrame(pagelist) }
    ops.lru_cache_disable()
    var err = 0
    for index in 0..<nr_pages {
        let address = start + UInt(index) * PAGE_SIZE
        if add_page_for_migration(mm, address, nid, pagelist, flags & MPOL_MF_MOVE_ALL != 0) > 0 { continue }
        // A page that could not be queued ends the batch.
        err = move_pages_and_store_status(pagelist, nid, left: nr_pages - index)
        if err != 0 { break }
    }
    if err == 0 { err = move_pages_and_store_status(pagelist, nid, left: 0) }
    ops.lru_cache_enable()
    return err
}

// MARK: - NUMA hint faults

/// Linux v5.13, mm/migrate.c, migrate_balanced_pgdat(), without watermarks.
func migrate_balanced_pgdat(_ pgdat: pglist_data, _ nr_pages: Int32) -> Bool {
    pgdat.nr_free >= nr_pages
}

/// Linux v5.13, mm/migrate.c, numamigrate_isolate_page().
func numamigrate_isolate_page(_ pgdat: pglist_data, _ page: page) -> Bool {
    VM_BUG_ON_PAGE(PageTail(page), "compound_order(page) && !PageTransHuge(page)")
    if !migrate_balanced_pgdat(pgdat, compound_nr(page)) { return false }
    if ops.isolate_lru_page(page) != 0 { return false }
    yield_point("page_count")
    if PageTransHuge(page) && page_count(page) != 3 {
        ops.putback_lru_page(page)
        return false
    }
    mod_isolated_state(page, 1)
    ops.put_page(page)
    return true
}

/// Linux v5.13, mm/migrate.c, migrate_misplaced_page(): drops the caller's reference.
private func migrate_misplaced_page(_ page: page, _ vma: vm_area_struct, _ nid: Int32) -> Int32 {
    let shared_code = page_mapcount(page) != 1 && page_is_file_lru(page) && vma.vm_flags & VM_EXEC != 0
    yield_point("PageDirty")
    if shared_code || page_is_file_lru(page) && PageDirty(page)
        || !numamigrate_isolate_page(kernel.node(Int(nid)), page)
    {
        ops.put_page(page)
        return 0
    }
    let migratepages = LIST_HEAD()
    defer { leaveFrame(migratepages) }
    list_add(page.lru, migratepages)
    let nr_remaining = ops.migrate_pages(migratepages, nid, MIGRATE_ASYNC, MR_NUMA_MISPLACED)
    if nr_remaining == 0 { return 1 }
    if !list_empty(migratepages) {
        list_del(page.lru)
        mod_isolated_state(page, -1)
        ops.putback_lru_page(page)
    }
    return 0
}
