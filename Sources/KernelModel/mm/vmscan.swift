// SPDX-License-Identifier: GPL-2.0-only
// mm/vmscan.c of Linux v5.13: taking pages off the LRU and putting them back, and detaching a page from
// its mapping.  What happens to isolated pages is in vmscan+page_list.swift, what is scanned and when in
// vmscan+node.swift.
//
// Left out of the whole file: memory cgroups; workingset shadows and refault accounting, demotion and
// lumpy reclaim, which only choose what is scanned; slab shrinkers other than that of deferred splits;
// vmpressure and throttling (congestion_wait(), too_many_isolated()), which only delay.

import CKernel
import Simulation

func install_vmscan(_ ops: kernel_ops) {
    ops.isolate_lru_page = isolate_lru_page
    ops.putback_lru_page = putback_lru_page
    ops.page_evictable = page_evictable
    ops.check_move_unevictable_pages = check_move_unevictable_pages
    ops.remove_mapping = remove_mapping
}

// MARK: - Isolation

/// Linux v5.13, mm/vmscan.c, isolate_lru_page().
private func isolate_lru_page(_ page: page) -> Int32 {
    VM_BUG_ON_PAGE(page_count(page) == 0, "!page_count(page)")
    yield_point("PageLRU")
    guard TestClearPageLRU(page) else { return -EBUSY }
    get_page(page)
    let lruvec = lock_page_lruvec_irq(page)
    del_page_from_lru_list(page, lruvec)
    unlock_page_lruvec_irq(lruvec)
    return 0
}

/// Linux v5.13, mm/vmscan.c, putback_lru_page().
private func putback_lru_page(_ page: page) {
    ops.lru_cache_add(page)
    ops.put_page(page)
}

/// Linux v5.13, mm/vmscan.c, __isolate_lru_page_prepare().
func __isolate_lru_page_prepare(_ page: page, evictableOnly: Bool, asyncMigrate: Bool) -> Bool {
    yield_point("PageLRU")
    if !PageLRU(page) { return false }
    if PageUnevictable(page) && evictableOnly { return false }
    guard asyncMigrate else { return true }
    if PageWriteback(page) { return false }
    if PageDirty(page) {
        // Every mapping of the model can migrate dirty pages; what is left is the trylock of the page.
        guard trylock_page(page) else { return false }
        unlock_page(page)
    }
    return true
}

// MARK: - Evictability

/// Linux v5.13, mm/internal.h, page_evictable().  The RCU read section keeps the inode; files of the
/// model live as long as the machine.
private func page_evictable(_ page: page) -> Bool {
    if let mapping = page_file_mapping(page) {
        yield_point("AS_UNEVICTABLE")
        if mapping.as_flags & AS_UNEVICTABLE != 0 { return false }
    }
    yield_point("PageMlocked")
    return !PageMlocked(page)
}

/// Linux v5.13, mm/vmscan.c, check_move_unevictable_pages().
private func check_move_unevictable_pages(_ pvec: pagevec) {
    var lruvec: pglist_data?
    var pgscanned = 0
    var pgrescued = 0
    for index in 0..<Int(pagevec_count(pvec)) {
        let page = pvec.page(index).pointee!
        if PageTransTail(page) { continue }
        let nr_pages = Int(thp_nr_pages(page))
        pgscanned += nr_pages
        yield_point("PageLRU")
        guard TestClearPageLRU(page) else { continue }
        let locked = relock_page_lruvec_irq(page, lruvec)
        lruvec = locked
        if ops.page_evictable(page) && PageUnevictable(page) {
            del_page_from_lru_list(page, locked)
            ClearPageUnevictable(page)
            add_page_to_lru_list(page, locked)
            pgrescued += nr_pages
        }
        SetPageLRU(page)
    }
    count_vm_events(Int32(UNEVICTABLE_PGRESCUED.rawValue), pgrescued)
    count_vm_events(Int32(UNEVICTABLE_PGSCANNED.rawValue), pgscanned)
    if let locked = lruvec { unlock_page_lruvec_irq(locked) }
}

// MARK: - Detaching a page from its mapping

/// Linux v5.13, mm/vmscan.c, __remove_mapping(): freezes the references of a locked page that nobody but
/// its mapping and the caller holds, and takes it out of the mapping.
///
/// `mapping` is nil for a page of the swap cache, whose address_space is the swap area.  The order of the
/// two tests matters: who holds a reference may dirty the page before dropping it.
func __remove_mapping(_ mapping: address_space?, _ page: page) -> Bool {
    BUG_ON(!PageLocked(page), "!PageLocked(page)")
    BUG_ON(mapping !== page_mapping(page), "mapping != page_mapping(page)")
    let lock = mapping?.i_pages_lock ?? kernel.swap_info.cache_lock
    spin_lock_irq(lock)
    let refcount = 1 + compound_nr(page)
    yield_point("page_count")
    guard page_ref_freeze(page, refcount) else {
        spin_unlock_irq(lock)
        return false
    }
    yield_point("PageDirty")
    if PageDirty(page) {
        page_ref_unfreeze(page, refcount)
        spin_unlock_irq(lock)
        return false
    }
    if PageSwapCache(page) {
        let swap = swp_entry_t(val: page.private_)
        ops.__delete_from_swap_cache(page, swap)
        spin_unlock_irq(lock)
        ops.put_swap_page(page, swap)
    } else {
        ops.__delete_from_page_cache(page)
        spin_unlock_irq(lock)
    }
    return true
}

/// Linux v5.13, mm/vmscan.c, remove_mapping().
private func remove_mapping(_ mapping: address_space?, _ page: page) -> Int32 {
    guard __remove_mapping(mapping, page) else { return 0 }
    page_ref_unfreeze(page, 1)
    return 1
}

/// Linux v5.13, mm/util.c, page_mapping(), without the address_space of the swap area: nil for anonymous
/// pages and for all pages of the swap cache.
func page_mapping(_ page: page) -> address_space? {
    PageSwapCache(compound_head(page)) ? nil : page_file_mapping(page)
}
