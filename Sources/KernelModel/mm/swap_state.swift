// SPDX-License-Identifier: GPL-2.0-only
// The swap cache.  Source: Linux v5.13, mm/swap_state.c.
//
// Left out: readahead of neighbouring slots, shadow entries and workingset, memory cgroups, swapoff (nothing
// keeps the area alive, and nothing needs to).

import CKernel
import Simulation

func install_swap_state(_ ops: kernel_ops) {
    ops.add_to_swap = add_to_swap
    ops.add_to_swap_cache = add_to_swap_cache
    ops.delete_from_swap_cache = delete_from_swap_cache
    ops.__delete_from_swap_cache = __delete_from_swap_cache
    ops.lookup_swap_cache = lookup_swap_cache
    ops.swapin_readahead = swapin_readahead
    ops.free_page_and_swap_cache = free_page_and_swap_cache
    ops.free_pages_and_swap_cache = free_pages_and_swap_cache
}

// MARK: - Into and out of the cache

/// Linux v5.13, mm/swap_state.c, add_to_swap_cache().  The page is locked.
private func add_to_swap_cache(_ page: page, _ entry: swp_entry_t) -> Int32 {
    let si = kernel.swap_info
    let slot = si.slot(Int(swp_offset(entry)))
    VM_BUG_ON_PAGE(!PageLocked(page), "!PageLocked(page)")
    VM_BUG_ON_PAGE(PageSwapCache(page), "PageSwapCache(page)")
    VM_BUG_ON_PAGE(!PageSwapBacked(page), "!PageSwapBacked(page)")
    yield_point("page_count")
    page_ref_add(page, 1)
    SetPageSwapCacheFlag(page)
    spin_lock_irq(si.cache_lock)
    VM_BUG_ON_PAGE(slot.pointee != 0, "xas_load(&xas) != entry")
    page.private_ = entry.val
    yield_point("i_pages")
    slot.pointee = entry_of(page)
    si.changes += 1
    mod_node_page_state(Int32(NR_FILE_PAGES.rawValue), 1)
    spin_unlock_irq(si.cache_lock)
    return 0
}

/// Linux v5.13, mm/swap_state.c, __delete_from_swap_cache().  cache_lock is held.
private func __delete_from_swap_cache(_ page: page, _ entry: swp_entry_t) {
    let si = kernel.swap_info
    let slot = si.slot(Int(swp_offset(entry)))
    VM_BUG_ON_PAGE(!PageLocked(page), "!PageLocked(page)")
    VM_BUG_ON_PAGE(!PageSwapCache(page), "!PageSwapCache(page)")
    VM_BUG_ON_PAGE(PageWriteback(page), "PageWriteback(page)")
    VM_BUG_ON_PAGE(slot.pointee != entry_of(page), "entry != page")
    yield_point("i_pages")
    slot.pointee = 0
    si.changes += 1
    page.private_ = 0
    ClearPageSwapCacheFlag(page)
    mod_node_page_state(Int32(NR_FILE_PAGES.rawValue), -1)
}

/// Gives the page a slot of the swap area and a place in the swap cache.
/// Linux v5.13, mm/swap_state.c, add_to_swap().
private func add_to_swap(_ page: page) -> Bool {
    VM_BUG_ON_PAGE(!PageLocked(page), "!PageLocked(page)")
    VM_BUG_ON_PAGE(!PageUptodate(page), "!PageUptodate(page)")
    let entry = ops.get_swap_page(page)
    if entry.val == 0 { return false }
    if ops.add_to_swap_cache(page, entry) != 0 {
        ops.put_swap_page(page, entry)
        return false
    }
    // A page that was lazily freed and then dirtied through its pte may be clean itself: reclaim must not drop it.
    ops.set_page_dirty(page)
    return true
}

/// Linux v5.13, mm/swap_state.c, delete_from_swap_cache().  The page is locked.
private func delete_from_swap_cache(_ page: page) {
    let entry = swp_entry_t(val: page.private_)
    spin_lock_irq(kernel.swap_info.cache_lock)
    ops.__delete_from_swap_cache(page, entry)
    spin_unlock_irq(kernel.swap_info.cache_lock)
    ops.put_swap_page(page, entry)
    yield_point("page_count")
    page_ref_sub(page, thp_nr_pages(page))
}

// MARK: - Freeing with a page table

/// Tries to take the page out of the swap cache: not if anybody may need it there.
/// Linux v5.13, mm/swap_state.c, free_swap_cache().
func free_swap_cache(_ page: page) {
    yield_point("PageSwapCache")
    if PageSwapCache(page) && !page_mapped(page) && trylock_page(page) {
        _ = ops.try_to_free_swap(page)
        unlock_page(page)
    }
}

/// Linux v5.13, mm/swap_state.c, free_page_and_swap_cache().
private func free_page_and_swap_cache(_ page: page) {
    free_swap_cache(page)
    ops.put_page(page)
}

/// Linux v5.13, mm/swap_state.c, free_pages_and_swap_cache().
private func free_pages_and_swap_cache(_ pages: UnsafeMutablePointer<page?>?, _ nr: Int32) {
    ops.lru_add_drain()
    for n in 0..<Int(nr) { free_swap_cache(pages![n]!) }
    ops.release_pages(pages, nr)
}

// MARK: - Lookup

/// Linux v5.13, mm/swap_state.c, lookup_swap_cache(): with a reference, unlocked.
private func lookup_swap_cache(_ entry: swp_entry_t) -> page? {
    find_get_swap_page(entry)
}

/// find_get_page() on the address_space of the swap area.
private func find_get_swap_page(_ entry: swp_entry_t) -> page? {
    let si = kernel.swap_info
    return entry_to_page(mapping_get_entry(si.slot(Int(swp_offset(entry))), si.cache_lock))
}

/// Linux v5.13, mm/swap_state.c, swapin_readahead(), read_swap_cache_async().
private func swapin_readahead(_ entry: swp_entry_t) -> page? {
    var allocated = false
    let page = __read_swap_cache_async(entry, &allocated)
    if allocated, let page { ops.swap_readpage(page) }
    return page
}

/// Finds the page of the entry in the swap cache, or adds a new one, locked, for the caller to read into.
/// Linux v5.13, mm/swap_state.c, __read_swap_cache_async().
private func __read_swap_cache_async(_ entry: swp_entry_t, _ new_page_allocated: inout Bool) -> page? {
    while true {
        let changes = kernel.swap_info.changes
        if let page = find_get_swap_page(entry) { return page }
        // The entry may be gone since the caller saw it.
        if __swp_swapcount(entry) == 0 { return nil }
        guard let page = ops.alloc_pages(GFP_HIGHUSER_MOVABLE, 0) else { return nil }
        let error = swapcache_prepare(entry)
        if error == 0 {
            __SetPageLocked(page)
            SetPageSwapBacked(page)
            _ = ops.add_to_swap_cache(page, entry)
            // The caller reads into the locked page.
            ops.lru_cache_add(page)
            new_page_allocated = true
            return page
        }
        ops.put_page(page)
        if error != -EEXIST { return nil }
        // Somebody has claimed the slot but not added the page yet, or removed the page but not given up the slot.
        waitForChange(of: kernel.swap_info.changes_word, from: changes, "swap_map")
    }
}
