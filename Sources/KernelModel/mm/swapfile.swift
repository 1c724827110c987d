// SPDX-License-Identifier: GPL-2.0-only
// Slots of the swap area and who uses them.  Source: Linux v5.13, mm/swapfile.c.
//
// There is one swap area that is never taken away; the lowest free slot is used first, so that slots are
// reused soon.  Left out: clusters and per-CPU caches of slots (they only choose among free ones), counts
// beyond SWAP_MAP_MAX, swapping a huge page as a whole (CONFIG_THP_SWAP).

import CKernel
import Simulation

func install_swapfile(_ ops: kernel_ops) {
    ops.get_swap_page = get_swap_page
    ops.put_swap_page = put_swap_page
    ops.swap_duplicate = swap_duplicate
    ops.swap_shmem_alloc = swap_shmem_alloc
    ops.swap_free = swap_free
    ops.free_swap_and_cache = free_swap_and_cache
    ops.try_to_free_swap = try_to_free_swap
    ops.reuse_swap_page = reuse_swap_page
    ops.page_swapcount = page_swapcount
}

private func set_swap_map(_ offset: Int, _ value: UInt8) {
    let si = kernel.swap_info
    si.users(offset).pointee = value
    si.changes += 1
}

private func swap_count(_ ent: UInt8) -> UInt8 {
    ent & ~UInt8(SWAP_HAS_CACHE)
}

// MARK: - Slots

/// A slot for the page, for the swap cache alone as yet; 0 if the area is full.
/// Linux v5.13, mm/swap_slots.c, get_swap_page(); mm/swapfile.c, get_swap_pages(), scan_swap_map_slots().
private func get_swap_page(_ page: page) -> swp_entry_t {
    let si = kernel.swap_info
    if PageTransHuge(page) || si.max < 2 { return swp_entry_t(val: 0) }
    spin_lock(si.lock)
    var offset = 1
    while offset < Int(si.max) {
        if si.users(offset).pointee == 0 {
            set_swap_map(offset, UInt8(SWAP_HAS_CACHE))
            spin_unlock(si.lock)
            return swp_entry(SWP_SWAPFILE, UInt(offset))
        }
        if vm_swap_full() && si.users(offset).pointee == UInt8(SWAP_HAS_CACHE) {
            // In use by the swap cache only: try to free it.
            spin_unlock(si.lock)
            let freed = __try_to_reclaim_swap(offset, TTRS_ANYWAY)
            spin_lock(si.lock)
            if freed { continue }
        }
        offset += 1
    }
    spin_unlock(si.lock)
    return swp_entry_t(val: 0)
}

/// The swap area's lock is taken if the slot is in use, as it must be.
/// Linux v5.13, mm/swapfile.c, _swap_info_get().
private func _swap_info_get(_ entry: swp_entry_t) -> Bool {
    let offset = Int(swp_offset(entry))
    yield_point("swap_map")
    if entry.val != 0 && offset < Int(kernel.swap_info.max) && kernel.swap_info.users(offset).pointee != 0 {
        return true
    }
    reportViolation(VIOLATION_swap_map, 0, 0)
    return false
}

/// Takes one user, or the swap cache, from a slot.  A slot that nobody uses stays taken by the swap cache until
/// swap_entry_free().  Returns who is left.
/// Linux v5.13, mm/swapfile.c, __swap_entry_free_locked().
private func __swap_entry_free_locked(_ offset: Int, _ usage: UInt8) -> UInt8 {
    let ent = kernel.swap_info.users(offset).pointee
    var count = swap_count(ent)
    var has_cache = ent & UInt8(SWAP_HAS_CACHE)
    if usage == UInt8(SWAP_HAS_CACHE) {
        BUG_ON(has_cache == 0, "!has_cache")
        has_cache = 0
    } else if count == UInt8(SWAP_MAP_SHMEM) {
        count = 0
    } else if count == 0 {
        reportViolation(VIOLATION_swap_map, 1, 0)
    } else {
        count -= 1
    }
    let left = count | has_cache
    set_swap_map(offset, left != 0 ? left : UInt8(SWAP_HAS_CACHE))
    return left
}

/// Linux v5.13, mm/swapfile.c, __swap_entry_free().
private func __swap_entry_free(_ entry: swp_entry_t) -> UInt8 {
    let si = kernel.swap_info
    spin_lock(si.lock)
    let usage = __swap_entry_free_locked(Int(swp_offset(entry)), 1)
    spin_unlock(si.lock)
    if usage == 0 { free_swap_slot(entry) }
    return usage
}

/// Linux v5.13, mm/swap_slots.c, free_swap_slot(); mm/swapfile.c, swap_entry_free().
private func free_swap_slot(_ entry: swp_entry_t) {
    let si = kernel.swap_info
    let offset = Int(swp_offset(entry))
    spin_lock(si.lock)
    BUG_ON(si.users(offset).pointee != UInt8(SWAP_HAS_CACHE), "count != SWAP_HAS_CACHE")
    set_swap_map(offset, 0)
    spin_unlock(si.lock)
}

// MARK: - Users

/// A page table has one entry less.
/// Linux v5.13, mm/swapfile.c, swap_free().
private func swap_free(_ entry: swp_entry_t) {
    if _swap_info_get(entry) { _ = __swap_entry_free(entry) }
}

/// The page has left the swap cache, or could not be put there.
/// Linux v5.13, mm/swapfile.c, put_swap_page().
private func put_swap_page(_ page: page, _ entry: swp_entry_t) {
    guard _swap_info_get(entry) else { return }
    let si = kernel.swap_info
    spin_lock(si.lock)
    let usage = __swap_entry_free_locked(Int(swp_offset(entry)), UInt8(SWAP_HAS_CACHE))
    spin_unlock(si.lock)
    if usage == 0 { free_swap_slot(entry) }
}

/// Linux v5.13, mm/swapfile.c, swap_duplicate().
private func swap_duplicate(_ entry: swp_entry_t) -> Int32 {
    __swap_duplicate(entry, 1)
}

/// Linux v5.13, mm/swapfile.c, swap_shmem_alloc(): the entry of a shmem file's slot is never copied.
private func swap_shmem_alloc(_ entry: swp_entry_t) {
    _ = __swap_duplicate(entry, UInt8(SWAP_MAP_SHMEM))
}

/// Claims the slot for a page that is about to be added to the swap cache.
/// Linux v5.13, mm/swapfile.c, swapcache_prepare().
func swapcache_prepare(_ entry: swp_entry_t) -> Int32 {
    __swap_duplicate(entry, UInt8(SWAP_HAS_CACHE))
}

/// Linux v5.13, mm/swapfile.c, __swap_duplicate().
private func __swap_duplicate(_ entry: swp_entry_t, _ usage: UInt8) -> Int32 {
    let si = kernel.swap_info
    let offset = Int(swp_offset(entry))
    if offset >= Int(si.max) { return -EINVAL }
    spin_lock(si.lock)
    defer { spin_unlock(si.lock, "__swap_duplicate") }
    let ent = si.users(offset).pointee
    let count = swap_count(ent)
    let has_cache = ent & UInt8(SWAP_HAS_CACHE)
    if usage == UInt8(SWAP_HAS_CACHE) {
        if has_cache != 0 { return -EEXIST }
        if count == 0 { return -ENOENT }
        set_swap_map(offset, count | UInt8(SWAP_HAS_CACHE))
        return 0
    }
    if ent == 0 { return -ENOENT }
    if count > UInt8(SWAP_MAP_MAX) { return -EINVAL }
    if count == UInt8(SWAP_MAP_MAX) { return -ENOMEM }
    set_swap_map(offset, count + usage | has_cache)
    return 0
}

/// A page table is thrown away with this entry in it.
/// Linux v5.13, mm/swapfile.c, free_swap_and_cache().
private func free_swap_and_cache(_ entry: swp_entry_t) {
    if non_swap_entry(entry) { return }
    guard _swap_info_get(entry) else { return }
    if __swap_entry_free(entry) == UInt8(SWAP_HAS_CACHE) && __swp_swapcount(entry) == 0 {
        _ = __try_to_reclaim_swap(Int(swp_offset(entry)), TTRS_UNMAPPED | TTRS_FULL)
    }
}

/// Linux v5.13, mm/swapfile.c, __swp_swapcount().
func __swp_swapcount(_ entry: swp_entry_t) -> Int {
    yield_point("swap_map")
    return Int(swap_count(kernel.swap_info.users(Int(swp_offset(entry))).pointee))
}

// MARK: - The swap cache of a slot

private let TTRS_ANYWAY = 0x1
private let TTRS_UNMAPPED = 0x2
private let TTRS_FULL = 0x4

/// Linux v5.13, mm/swapfile.c, __try_to_reclaim_swap().
private func __try_to_reclaim_swap(_ offset: Int, _ flags: Int) -> Bool {
    let si = kernel.swap_info
    guard let page = entry_to_page(mapping_get_entry(si.slot(offset), si.cache_lock)) else { return false }
    var freed = false
    // A caller may hold locks that the page's owner waits for.
    if trylock_page(page) {
        yield_point("page_mapped")
        if flags & TTRS_ANYWAY != 0 || flags & TTRS_UNMAPPED != 0 && !page_mapped(page)
            || flags & TTRS_FULL != 0 && vm_swap_full()
        {
            freed = ops.try_to_free_swap(page)
        }
        unlock_page(page)
    }
    ops.put_page(page)
    return freed
}

/// Linux v5.13, mm/swapfile.c, page_swapcount().
private func page_swapcount(_ page: page) -> Int32 {
    let entry = swp_entry_t(val: page.private_)
    guard _swap_info_get(entry) else { return 0 }
    return Int32(__swp_swapcount(entry))
}

/// Takes the page, which is locked, out of the swap cache if no page table has an entry for it.
/// Linux v5.13, mm/swapfile.c, try_to_free_swap(), page_swapped().
private func try_to_free_swap(_ page: page) -> Bool {
    VM_BUG_ON_PAGE(!PageLocked(page), "!PageLocked(page)")
    if !PageSwapCache(page) { return false }
    yield_point("PageWriteback")
    if PageWriteback(page) { return false }
    if ops.page_swapcount(page) != 0 { return false }
    let page = compound_head(page)
    ops.delete_from_swap_cache(page)
    SetPageDirty(page)
    return true
}

/// Whether the page, which is locked, is the caller's alone, so that it may be written.  It leaves the swap
/// cache then: what is in the slot will be out of date.
/// Linux v5.13, mm/swapfile.c, reuse_swap_page(), page_trans_huge_map_swapcount().  A page in the swap cache is
/// never huge.
private func reuse_swap_page(_ page: page) -> Bool {
    VM_BUG_ON_PAGE(!PageLocked(page), "!PageLocked(page)")
    yield_point("page_mapcount")
    var count = page_trans_huge_mapcount(page, nil)
    if PageSwapCache(page) { count += ops.page_swapcount(page) }
    if count == 1 && PageSwapCache(page) {
        yield_point("PageWriteback")
        if !PageWriteback(page) {
            let page = compound_head(page)
            ops.delete_from_swap_cache(page)
            SetPageDirty(page)
        }
        // Else the device takes changes while it writes (no SWP_STABLE_WRITES).
    }
    return count <= 1
}
