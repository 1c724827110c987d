// SPDX-License-Identifier: GPL-2.0-only
// mm/migrate.c of Linux v5.13: moving pages between page frames.  Here is the way of one list of pages;
// what replaces ptes is in migrate+entries.swift, who asks for migration in migrate+callers.swift.
//
// Left out: hugetlb pages, movable pages that are not on the LRU, device memory, buffer heads, KSM (not in
// the model); per-zone statistics.

import CKernel
import Simulation

func install_migrate(_ ops: kernel_ops) {
    ops.migrate_pages = migrate_pages
    ops.__unmap_and_move = __unmap_and_move
    ops.migrate_page_move_mapping = migrate_page_move_mapping
    ops.putback_movable_pages = putback_movable_pages
}

// MARK: - Statistics of isolated pages

/// NR_ISOLATED_ANON or NR_ISOLATED_FILE of a page, with all its base pages.
func mod_isolated_state(_ page: page, _ sign: Int) {
    let item = page_is_file_lru(page) ? NR_ISOLATED_FILE : NR_ISOLATED_ANON
    mod_node_page_state(Int32(item.rawValue), sign * Int(thp_nr_pages(page)))
}

/// Linux v5.13, mm/migrate.c, putback_movable_pages().
private func putback_movable_pages(_ list: list_head) {
    while !list_empty(list) {
        let page = lru_to_page(list.next)
        list_del(page.lru)
        mod_isolated_state(page, -1)
        ops.putback_lru_page(page)
    }
}

// MARK: - From the old page to the new one

/// Linux v5.13, mm/migrate.c, expected_page_refs().
private func expected_page_refs(_ mapping: address_space?, _ page: page) -> Int32 {
    mapping != nil || PageSwapCache(page) ? 1 + compound_nr(page) : 1
}

/// Linux v5.13, mm/migrate.c, migrate_page_move_mapping().
///
/// `mapping` is nil for a page of the swap cache, too: its address_space is the swap area.
private func migrate_page_move_mapping(
    _ mapping: address_space?, _ newpage: page, _ page: page, _ extra_count: Int32
) -> Int32 {
    let expected_count = expected_page_refs(mapping, page) + extra_count
    guard mapping != nil || PageSwapCache(page) else {
        yield_point("page_count")
        if page_count(page) != expected_count { return -EAGAIN }
        newpage.index = page.index
        newpage.mapping = page.mapping
        if PageSwapBacked(page) { SetPageSwapBacked(newpage) }
        return 0
    }

    let lock = mapping?.i_pages_lock ?? kernel.swap_info.cache_lock
    let slot = mapping?.slot(Int(page.index)) ?? kernel.swap_info.slot(Int(swp_offset(swp_entry_t(val: page.private_))))
    spin_lock_irq(lock)
    yield_point("page_count")
    if slot.pointee != UInt(bitPattern: address(page)) || !page_ref_freeze(page, expected_count) {
        spin_unlock_irq(lock)
        return -EAGAIN
    }
    // Nobody else looks at the page now.
    newpage.index = page.index
    newpage.mapping = page.mapping
    page_ref_add(newpage, compound_nr(page))
    if PageSwapBacked(page) {
        SetPageSwapBacked(newpage)
        if PageSwapCache(page) {
            SetPageSwapCacheFlag(newpage)
            newpage.private_ = page.private_
        }
    } else {
        VM_BUG_ON_PAGE(PageSwapCacheFlag(page), "PageSwapCache(page)")
    }
    if TestClearPageDirty(page) { SetPageDirty(newpage) }
    for index in 0..<Int(compound_nr(page)) { slot[index] = UInt(bitPattern: address(newpage)) }
    page_ref_unfreeze(page, expected_count - compound_nr(page))
    spin_unlock_irq(lock)
    return 0
}

/// Linux v5.13, mm/migrate.c, migrate_page_states().  PG_mlocked is not among them: the old page lost it
/// with its last mapping, the new one gets it with each mapping by a VM_LOCKED vma.
private func migrate_page_states(_ newpage: page, _ page: page) {
    if PageError(page) { SetPageError(newpage) }
    if PageReferenced(page) { SetPageReferenced(newpage) }
    if PageUptodate(page) { SetPageUptodate(newpage) }
    if TestClearPageActive(page) {
        VM_BUG_ON_PAGE(PageUnevictable(page), "PageUnevictable(page)")
        SetPageActive(newpage)
    } else if TestClearPageUnevictable(page) {
        SetPageUnevictable(newpage)
    }
    if PageWorkingset(page) { SetPageWorkingset(newpage) }
    if PageDirty(page) { SetPageDirty(newpage) }
    ClearPageSwapCacheFlag(page)
    page.private_ = 0
    if PageWriteback(newpage) { ops.end_page_writeback(newpage) }
    // PG_readahead is the same bit.
    if PageReclaim(page) { SetPageReclaim(newpage) }
}

/// Linux v5.13, mm/migrate.c, migrate_page_copy().
func migrate_page_copy(_ newpage: page, _ page: page) {
    for index in 0..<Int(thp_nr_pages(page)) {
        yield_point("contents")
        page_add(newpage, index).contents = page_add(page, index).contents
    }
    migrate_page_states(newpage, page)
}

/// Linux v5.13, mm/migrate.c, migrate_page(): what every kind of mapping in the model does.
private func migrate_page(_ mapping: address_space?, _ newpage: page, _ page: page) -> Int32 {
    BUG_ON(PageWriteback(page), "PageWriteback(page)")
    let rc = ops.migrate_page_move_mapping(mapping, newpage, page, 0)
    if rc != 0 { return rc }
    migrate_page_copy(newpage, page)
    return 0
}

/// Linux v5.13, mm/migrate.c, move_to_new_page().
func move_to_new_page(_ newpage: page, _ page: page) -> Int32 {
    VM_BUG_ON_PAGE(!PageLocked(page), "!PageLocked(page)")
    VM_BUG_ON_PAGE(!PageLocked(newpage), "!PageLocked(newpage)")
    let rc = migrate_page(page_mapping(page), newpage, page)
    // Anonymous pages keep theirs until they are freed: statistics ask for it.
    if rc == 0 && !PageAnon(page) { page.mapping = nil }
    return rc
}

// MARK: - One page

/// Linux v5.13, mm/migrate.c, __unmap_and_move().
private func __unmap_and_move(_ page: page, _ newpage: page, _ force: Bool, _ mode: Int32) -> Int32 {
    if !trylock_page(page) {
        if !force || mode == MIGRATE_ASYNC || current.memalloc { return -EAGAIN }
        lock_page(page)
    }
    let rc = unmap_and_move_locked(page, newpage, force, mode)
    unlock_page(page)
    // Back to the LRU with the old page's flags; this drops the reference of the allocation.
    if rc == 0 { ops.putback_lru_page(newpage) }
    return rc
}

/// __unmap_and_move() from where the old page is locked to where it is unlocked.
private func unmap_and_move_locked(_ page: page, _ newpage: page, _ force: Bool, _ mode: Int32) -> Int32 {
    yield_point("PageWriteback")
    if PageWriteback(page) {
        if mode != MIGRATE_SYNC { return -EBUSY }
        if !force { return -EAGAIN }
        wait_on_page_writeback(page)
    }

    // Unmapping may drop the last mapping, so the walks back need the anon_vma held.
    let anon_vma = PageAnon(page) ? ops.page_get_anon_vma(page) : nil
    defer { if let anon_vma { ops.put_anon_vma(anon_vma) } }
    guard trylock_page(newpage) else { return -EAGAIN }
    defer { unlock_page(newpage) }

    // A page just read into the swap cache has no rmap; a truncated one may be left without a mapping.
    var page_was_mapped = false
    if page.mapping == nil {
        VM_BUG_ON_PAGE(PageAnon(page), "PageAnon(page)")
    } else {
        yield_point("page_mapped")
        if page_mapped(page) {
            VM_BUG_ON_PAGE(PageAnon(page) && anon_vma == nil, "PageAnon(page) && !anon_vma")
            _ = ops.try_to_unmap(page, TTU_MIGRATION | TTU_IGNORE_MLOCK)
            page_was_mapped = true
        }
    }

    yield_point("page_mapped")
    let rc = page_mapped(page) ? -EAGAIN : move_to_new_page(newpage, page)
    if page_was_mapped { ops.remove_migration_ptes(page, rc == 0 ? newpage : page, false) }
    return rc
}

/// The callbacks get_new_page() of migrate_pages()'s callers: a page on the wanted node.
/// Linux v5.13, mm/migrate.c, alloc_migration_target(), alloc_misplaced_dst_page(); mm/compaction.c,
/// compaction_alloc().
private func get_new_page(_ page: page, _ nid: Int32, _ reason: Int32) -> page? {
    switch reason {
    case MR_COMPACTION: return compaction_alloc(Int(page.nid))
    // From v5.14 on: alloc_misplaced_dst_page_thp().
    case MR_NUMA_MISPLACED where PageTransHuge(page):
        return ops.alloc_pages_node(nid, GFP_TRANSHUGE | __GFP_THISNODE, UInt32(kernel.hpage_pmd_order))
    case MR_NUMA_MISPLACED: return ops.alloc_pages_node(nid, __GFP_THISNODE | __GFP_NORETRY, 0)
    case MR_LONGTERM_PIN:
        // From near the old page, but not from ZONE_MOVABLE.
        return PageTransHuge(page)
            ? ops.alloc_pages_node(Int32(page.nid), GFP_TRANSHUGE | GFP_USER, UInt32(kernel.hpage_pmd_order))
            : ops.alloc_pages_node(Int32(page.nid), GFP_USER, 0)
    default:
        if PageTransHuge(page) {
            return ops.alloc_pages_node(nid, GFP_TRANSHUGE | __GFP_THISNODE, UInt32(kernel.hpage_pmd_order))
        }
        return ops.alloc_pages_node(nid < 0 ? Int32(page.nid) : nid, GFP_HIGHUSER_MOVABLE | __GFP_THISNODE, 0)
    }
}

/// Linux v5.13, mm/migrate.c, unmap_and_move().
func unmap_and_move(
    _ page: page, _ nid: Int32, _ force: Bool, _ mode: Int32, _ reason: Int32, _ ret: list_head
) -> Int32 {
    var newpage: CKernel.page?
    var rc: Int32 = 0
    yield_point("page_count")
    if page_count(page) == 1 {
        // Freed by all others meanwhile.
        ClearPageActive(page)
        ClearPageUnevictable(page)
    } else {
        newpage = get_new_page(page, nid, reason)
        guard let newpage else { return -ENOMEM }
        rc = ops.__unmap_and_move(page, newpage, force, mode)
    }
    noteAttempt(EVENT_migrate, page.index, error: Int(rc))

    if rc != -EAGAIN { list_del(page.lru) }
    if rc == 0 {
        mod_isolated_state(page, -1)
        ops.put_page(page)
    } else {
        if rc != -EAGAIN { list_add_tail(page.lru, ret) }
        ops.put_page(newpage!)
    }
    return rc
}

// MARK: - A list

/// Linux v5.13, mm/migrate.c, try_split_thp().
func try_split_thp(_ page: page, _ from: list_head) -> Bool {
    lock_page(page)
    let rc = ops.split_huge_page_to_list(page, from)
    unlock_page(page)
    return rc == 0
}

/// Linux v5.13, mm/migrate.c, migrate_pages().
///
/// - Returns: how many pages were not moved and are still on `from`, or an error.
private func migrate_pages(_ from: list_head, _ nid: Int32, _ mode: Int32, _ reason: Int32) -> Int32 {
    let ret_pages = LIST_HEAD()
    defer { leaveFrame(ret_pages) }
    var nr_failed: Int32 = 0
    var nr_succeeded: Int32 = 0
    var retry: Int32 = 1
    var pass = 0
    var rc: Int32 = 0
    passes: while pass < 10 && retry != 0 {
        retry = 0
        var entry = from.next
        while entry !== from {
            let page = lru_to_page(entry)
            let nr_subpages = compound_nr(page)
            let is_thp = PageTransHuge(page)
            var next = entry.next
            rc = unmap_and_move(page, nid, pass > 2, mode, reason, ret_pages)
            switch rc {
            case 0:
                nr_succeeded += nr_subpages
            case -EAGAIN:
                retry += 1
            case -ENOMEM:
                if is_thp && try_split_thp(page, from) {
                    // The head is tried again at once, the tails after the rest.
                    next = entry
                    break
                }
                nr_failed += nr_subpages
                break passes
            default:
                nr_failed += nr_subpages
            }
            entry = next
        }
        pass += 1
    }
    if rc != -ENOMEM {
        nr_failed += retry
        rc = nr_failed
    }
    list_splice_init(ret_pages, from)
    count_vm_events(Int32(PGMIGRATE_SUCCESS.rawValue), Int(nr_succeeded))
    count_vm_events(Int32(PGMIGRATE_FAIL.rawValue), Int(nr_failed))
    return rc
}
