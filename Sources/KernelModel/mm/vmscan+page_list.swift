// SPDX-License-Identifier: GPL-2.0-only
// mm/vmscan.c of Linux v5.13, continued: shrink_page_list(), which unmaps, writes and frees isolated
// pages, and what it asks about each.
//
// PGDAT_DIRTY counts as always set: kswapd may write a dirty file page that comes round a second time,
// which the kernel allows only once the flusher has fallen behind.

import CKernel
import Simulation

func install_vmscan_page_list(_ ops: kernel_ops) {
    ops.page_check_references = page_check_references
    ops.shrink_page_list = shrink_page_list
    ops.reclaim_pages = reclaim_pages
}

/// The labels at which the kernel's loop over the pages ends.
private enum page_fate {
    case free_it, activate_locked, keep_locked, keep
}

/// Linux v5.13, mm/vmscan.c, page_check_references().
private func page_check_references(_ page: page) -> UInt32 {
    var vm_flags: UInt = 0
    let referenced_ptes = ops.page_referenced(page, 1, &vm_flags)
    yield_point("PageReferenced")
    let referenced_page = TestClearPageReferenced(page)
    // mlock() lost the race for the page against this isolation: try_to_unmap() sends it to the right list.
    if vm_flags & VM_LOCKED != 0 { return PAGEREF_RECLAIM }
    return page_reference_fate(page, referenced_ptes, referenced_page, vm_flags)
}

/// The part of page_check_references() for a page that no VM_LOCKED vma maps.
func page_reference_fate(
    _ page: page, _ referenced_ptes: Int32, _ referenced_page: Bool, _ vm_flags: UInt
) -> UInt32 {
    if referenced_ptes != 0 {
        SetPageReferenced(page)
        if referenced_page || referenced_ptes > 1 { return PAGEREF_ACTIVATE }
        if vm_flags & VM_EXEC != 0 && !PageSwapBacked(page) { return PAGEREF_ACTIVATE }
        return PAGEREF_KEEP
    }
    return referenced_page && !PageSwapBacked(page) ? PAGEREF_RECLAIM_CLEAN : PAGEREF_RECLAIM
}

// MARK: - Writing

private enum pageout_t {
    case keep, activate, success, clean
}

/// Linux v5.13, mm/vmscan.c, is_page_cache_freeable().
private func is_page_cache_freeable(_ page: page) -> Bool {
    yield_point("page_count")
    return page_count(page) == 1 + thp_nr_pages(page)
}

/// Linux v5.13, mm/vmscan.c, pageout().  Left out: write errors and congestion, which the model's disk
/// does not have; pages without a mapping but with buffers.
private func pageout(_ page: page, _ mapping: address_space?) -> pageout_t {
    if !is_page_cache_freeable(page) { return .keep }
    if mapping == nil && !PageSwapCache(page) { return .keep }
    yield_point("PageDirty")
    guard ops.clear_page_dirty_for_io(page) else { return .clean }
    SetPageReclaim(page)
    if writepage(page, mapping) == AOP_WRITEPAGE_ACTIVATE {
        ClearPageReclaim(page)
        return .activate
    }
    yield_point("PageWriteback")
    if !PageWriteback(page) { ClearPageReclaim(page) }
    return .success
}

/// mapping->a_ops->writepage() of the kinds of mapping the model has.  Unlocks the page, unless it
/// returns AOP_WRITEPAGE_ACTIVATE.
func writepage(_ page: page, _ mapping: address_space?) -> Int32 {
    guard let mapping else {
        ops.swap_writepage(page)
        return 0
    }
    return mapping.kind == UInt8(MAPPING_SHMEM.rawValue) ? ops.shmem_writepage(page) : ops.writepage(page)
}

// MARK: - The list

/// Linux v5.13, mm/vmscan.c, shrink_page_list().
private func shrink_page_list(_ page_list: list_head, _ ttu_flags: UInt, _ ignore_references: Bool) -> UInt32 {
    let ret_pages = LIST_HEAD()
    let free_pages = LIST_HEAD()
    defer { leaveFrame(ret_pages) }
    var nr_reclaimed: UInt32 = 0
    while !list_empty(page_list) {
        let page = lru_to_page(page_list.prev)
        list_del(page.lru)
        switch shrink_page(page, page_list, ttu_flags, ignore_references) {
        case .free_it:
            nr_reclaimed += UInt32(thp_nr_pages(page))
            if PageTransHuge(page) {
                ops.free_transhuge_page(page)
            } else {
                list_add(page.lru, free_pages)
            }
            continue
        case .activate_locked:
            activate_locked(page)
            unlock_page(page)
        case .keep_locked:
            unlock_page(page)
        case .keep:
            break
        }
        list_add(page.lru, ret_pages)
        VM_BUG_ON_PAGE(PageLRU(page) || PageUnevictable(page), "PageLRU(page) || PageUnevictable(page)")
    }
    ops.try_to_unmap_flush()
    free_unref_page_list(free_pages)
    list_splice_init(ret_pages, page_list)
    return nr_reclaimed
}

/// What the loop of shrink_page_list() does with one page.
private func shrink_page(
    _ page: page, _ page_list: list_head, _ ttu_flags: UInt, _ ignore_references: Bool
) -> page_fate {
    guard trylock_page(page) else { return .keep }
    VM_BUG_ON_PAGE(PageActive(page), "PageActive(page)")
    if !ops.page_evictable(page) { return .activate_locked }
    var mapping = page_mapping(page)

    yield_point("PageWriteback")
    if PageWriteback(page) {
        // Marked for reclaim as soon as it is written; waiting for it is for cgroups only.
        SetPageReclaim(page)
        return .activate_locked
    }

    let references = ignore_references ? PAGEREF_RECLAIM : ops.page_check_references(page)
    if references == PAGEREF_ACTIVATE { return .activate_locked }
    if references == PAGEREF_KEEP { return .keep_locked }

    if PageAnon(page) && PageSwapBacked(page) {
        if !PageSwapCache(page), let fate = add_page_to_swap(page, page_list) { return fate }
    } else if PageTransHuge(page) {
        if ops.split_huge_page_to_list(page, page_list) != 0 { return .keep_locked }
    }

    yield_point("page_mapped")
    if page_mapped(page) {
        let flags = ttu_flags | TTU_BATCH_FLUSH | (PageTransHuge(page) ? TTU_SPLIT_HUGE_PMD : 0)
        if !ops.try_to_unmap(page, flags) { return .activate_locked }
    }

    yield_point("PageDirty")
    if PageDirty(page) {
        if page_is_file_lru(page) && !(current.kswapd && PageReclaim(page)) {
            SetPageReclaim(page)
            return .activate_locked
        }
        if references == PAGEREF_RECLAIM_CLEAN { return .keep_locked }
        ops.try_to_unmap_flush_dirty()
        switch pageout(page, mapping) {
        case .keep: return .keep_locked
        case .activate: return .activate_locked
        case .success:
            yield_point("PageWriteback")
            if PageWriteback(page) || PageDirty(page) { return .keep }
            // The write is done already.
            guard trylock_page(page) else { return .keep }
            if PageDirty(page) || PageWriteback(page) { return .keep_locked }
            mapping = page_mapping(page)
        case .clean: break
        }
    }

    if PageAnon(page) && !PageSwapBacked(page) {
        guard freeze_lazyfree_page(page) else { return .keep_locked }
    } else if (mapping == nil && !PageSwapCache(page)) || !__remove_mapping(mapping, page) {
        return .keep_locked
    }
    unlock_page(page)
    return .free_it
}

/// The part of shrink_page_list() that gives an anonymous page its place in the swap area, where needed
/// by splitting a huge page.
///
/// - Returns: nil if the page is in the swap cache now, otherwise its fate.
private func add_page_to_swap(_ page: page, _ page_list: list_head) -> page_fate? {
    yield_point("page_maybe_dma_pinned")
    if page_maybe_dma_pinned(page) { return .keep_locked }
    if PageTransHuge(page) {
        if !can_split_huge_page(page) { return .activate_locked }
        if compound_mapcount(page) == 0 && ops.split_huge_page_to_list(page, page_list) != 0 {
            return .activate_locked
        }
    }
    if ops.add_to_swap(page) { return nil }
    guard PageTransHuge(page) else { return .activate_locked }
    if ops.split_huge_page_to_list(page, page_list) != 0 { return .activate_locked }
    return ops.add_to_swap(page) ? nil : .activate_locked
}

/// The part of shrink_page_list() that takes the last reference of a lazily freed page, unless somebody
/// else has one or has dirtied it.
private func freeze_lazyfree_page(_ page: page) -> Bool {
    yield_point("page_count")
    guard page_ref_freeze(page, 1) else { return false }
    yield_point("PageDirty")
    if PageDirty(page) {
        page_ref_unfreeze(page, 1)
        return false
    }
    count_vm_events(Int32(PGLAZYFREED.rawValue), 1)
    return true
}

/// The label activate_locked of shrink_page_list().
private func activate_locked(_ page: page) {
    yield_point("PageMlocked")
    if PageSwapCache(page) && (vm_swap_full() || PageMlocked(page)) { _ = ops.try_to_free_swap(page) }
    VM_BUG_ON_PAGE(PageActive(page), "PageActive(page)")
    yield_point("PageMlocked")
    if !PageMlocked(page) {
        SetPageActive(page)
        count_vm_events(Int32(PGACTIVATE.rawValue), Int(thp_nr_pages(page)))
    }
}

/// Linux v5.13, mm/vmscan.c, reclaim_pages(): MADV_PAGEOUT.
private func reclaim_pages(_ page_list: list_head) -> UInt {
    let node_page_list = LIST_HEAD()
    defer { leaveFrame(node_page_list) }
    var nr_reclaimed: UInt = 0
    while !list_empty(page_list) {
        let nid = lru_to_page(page_list.prev).nid
        while !list_empty(page_list) && lru_to_page(page_list.prev).nid == nid {
            let page = lru_to_page(page_list.prev)
            ClearPageActive(page)
            list_move(page.lru, node_page_list)
        }
        nr_reclaimed += UInt(ops.shrink_page_list(node_page_list, 0, false))
        while !list_empty(node_page_list) {
            let page = lru_to_page(node_page_list.prev)
            list_del(page.lru)
            ops.putback_lru_page(page)
        }
    }
    return nr_reclaimed
}
