// SPDX-License-Identifier: GPL-2.0-only
// mm/madvise.c of Linux v5.13, continued: MADV_FREE, MADV_COLD, MADV_PAGEOUT and MADV_WILLNEED of the pages
// of one vma.  walk_page_range() (mm/pagewalk.c) is the loop over the pmds that are not none.
//
// Left out: fatal signals, the huge zero page, special mappings (vm_normal_page() always finds a page),
// PG_young and PG_idle.

import CKernel
import Simulation

/// Splits a huge page that one pte alone maps, so that its parts can be treated one by one.  The page table
/// lock is dropped meanwhile and held again at return; from v6.5 on there may be no table then.
///
/// - Returns: false if the walk of this table ends.  (v6.5 does not take the lock again if the split has failed, and
///   then has nothing to unlock.)
private func split_mapped_page(
    _ page: page, _ mm: mm_struct, _ pmd: UnsafeMutablePointer<pmd_t>, _ address: UInt,
    _ locked: inout (pte: UnsafeMutablePointer<pte_t>, ptl: spinlock_t)?, _ function: StaticString
) -> Bool {
    yield_point("mapcount", function)
    if page_mapcount(page) != 1 { return false }
    yield_point("page_count", function)
    get_page(page)
    if !trylock_page(page, function) {
        ops.put_page(page)
        return false
    }
    pte_unmap_unlock(locked!.pte, locked!.ptl, function)
    let failed = ops.split_huge_page_to_list(page, nil) != 0
    unlock_page(page, function)
    ops.put_page(page)
    locked = pte_offset_map_lock(mm, pmd, address, function)
    return !failed && locked != nil
}

// MARK: - MADV_FREE

/// Linux v5.13, mm/madvise.c, madvise_free_single_vma().
func madvise_free_single_vma(_ vma: vm_area_struct, _ start_addr: UInt, _ end_addr: UInt) -> Int {
    if !vma_is_anonymous(vma) { return -Int(EINVAL) }
    let mm = vma.vm_mm
    let start = max(vma.vm_start, start_addr)
    let end = min(vma.vm_end, end_addr)
    if start >= vma.vm_end || end <= vma.vm_start { return -Int(EINVAL) }
    var range = mmu_notifier_range(vma: vma, mm: mm, start: start, end: end, event: MMU_NOTIFY_CLEAR.rawValue)
    ops.lru_add_drain()
    var tlb = mmu_gather_of(mm)
    ops.tlb_gather_mmu(&tlb, mm, false)
    ops.mmu_notifier_invalidate_range_start(&range)
    var address = start
    while address != end {
        let next = pmd_addr_end(address, end)
        let pmd = pmd_offset(mm, address)
        yield_point("pmd")
        if !pmd_none(pmd.pointee) { madvise_free_pte_range(&tlb, vma, pmd, address, next) }
        address = next
    }
    ops.mmu_notifier_invalidate_range_end(&range)
    ops.tlb_finish_mmu(&tlb)
    return 0
}

/// Linux v5.13, mm/madvise.c, madvise_free_pte_range().
private func madvise_free_pte_range(
    _ tlb: UnsafeMutablePointer<mmu_gather>, _ vma: vm_area_struct, _ pmd: UnsafeMutablePointer<pmd_t>,
    _ start: UInt, _ end: UInt
) {
    let mm = tlb.pointee.mm
    yield_point("pmd")
    if pmd_trans_huge(pmd.pointee) && ops.madvise_free_huge_pmd(tlb, vma, pmd, start, end) { return }
    if pmd_trans_unstable(pmd) { return }
    var start_pte = pte_offset_map_lock(mm, pmd, start)
    guard var pte = start_pte?.pte else { return }
    ops.flush_tlb_batched_pending(mm)
    var nr_swap = 0
    var address = start
    while address != end {
        let ptent = pte.pointee
        noteCost(EVENT_pte_visit, UInt(mm.number), 1)
        if pte_present(ptent) {
            let page = pte_page(ptent)
            if PageTransCompound(page) {
                guard split_mapped_page(page, mm, pmd, address, &start_pte, "madvise_free_pte_range") else {
                    break
                }
                pte = start_pte!.pte
                // This pte again, which maps a small page now.
                continue
            }
            madvise_free_page(tlb, page, pte, address)
        } else if is_swap_pte(ptent) && !non_swap_entry(pte_to_swp_entry(ptent)) {
            // To read the page in again would cost more than a new one.
            nr_swap -= 1
            ops.free_swap_and_cache(pte_to_swp_entry(ptent))
            pte_clear(mm, address, pte)
        }
        pte += 1
        address += PAGE_SIZE
    }
    if nr_swap != 0 { mm.rss(Int(MM_SWAPENTS.rawValue)).pointee += nr_swap }
    if let (start_pte, ptl) = start_pte { pte_unmap_unlock(start_pte, ptl) }
}

/// Lets reclaim drop a page, if nobody writes it again: a part of madvise_free_pte_range(), whose name its
/// yield points carry.
private func madvise_free_page(
    _ tlb: UnsafeMutablePointer<mmu_gather>, _ page: page, _ pte: UnsafeMutablePointer<pte_t>, _ address: UInt
) {
    let function: StaticString = "madvise_free_pte_range"
    let mm = tlb.pointee.mm
    let ptent = pte.pointee
    yield_point("PageSwapCache", function)
    if PageSwapCache(page) || PageDirty(page) {
        if !trylock_page(page, function) { return }
        // PG_dirty speaks for all who map it.
        yield_point("mapcount", function)
        if page_mapcount(page) != 1 || PageSwapCache(page) && !ops.try_to_free_swap(page) {
            unlock_page(page, function)
            return
        }
        yield_point("PageDirty", function)
        ClearPageDirty(page)
        unlock_page(page, function)
    }
    if pte_young(ptent) || pte_dirty(ptent) {
        let old = ptep_get_and_clear(mm, address, pte, function)
        set_pte_at(mm, address, pte, pte_mkclean(pte_mkold(old)), function)
        tlb_remove_tlb_entry(tlb, address)
    }
    ops.mark_page_lazyfree(page)
}

// MARK: - MADV_COLD, MADV_PAGEOUT

/// Linux v5.13, mm/madvise.c, madvise_cold_page_range(), madvise_pageout_page_range().
func madvise_cold_or_pageout_page_range(
    _ tlb: UnsafeMutablePointer<mmu_gather>, _ vma: vm_area_struct, _ start: UInt, _ end: UInt, _ pageout: Bool
) {
    var address = start
    while address != end {
        let next = pmd_addr_end(address, end)
        let pmd = pmd_offset(vma.vm_mm, address)
        yield_point("pmd")
        if !pmd_none(pmd.pointee) { madvise_cold_or_pageout_pte_range(tlb, vma, pmd, address, next, pageout) }
        address = next
    }
}

/// Linux v5.13, mm/madvise.c, madvise_cold_or_pageout_pte_range().
private func madvise_cold_or_pageout_pte_range(
    _ tlb: UnsafeMutablePointer<mmu_gather>, _ vma: vm_area_struct, _ pmd: UnsafeMutablePointer<pmd_t>,
    _ start: UInt, _ end: UInt, _ pageout: Bool
) {
    let page_list = LIST_HEAD()
    defer { leaveFrame(page_list) }
    yield_point("pmd")
    if pmd_trans_huge(pmd.pointee) && madvise_cold_huge_pmd(tlb, vma, pmd, start, end, pageout, page_list) {
        return
    }
    if pmd_trans_unstable(pmd) { return }
    let mm = tlb.pointee.mm
    var start_pte = pte_offset_map_lock(mm, pmd, start)
    guard var pte = start_pte?.pte else { return }
    ops.flush_tlb_batched_pending(mm)
    var address = start
    while address < end {
        let ptent = pte.pointee
        noteCost(EVENT_pte_visit, UInt(mm.number), 1)
        if pte_present(ptent) {
            let page = pte_page(ptent)
            if PageTransCompound(page) {
                guard split_mapped_page(page, mm, pmd, address, &start_pte, "madvise_cold_or_pageout_pte_range") else {
                    break
                }
                pte = start_pte!.pte
                continue
            }
            // What others map is theirs too.
            yield_point("mapcount")
            if page_mapcount(page) == 1 {
                if pte_young(ptent) {
                    let old = ptep_get_and_clear(mm, address, pte)
                    set_pte_at(mm, address, pte, pte_mkold(old))
                    tlb_remove_tlb_entry(tlb, address)
                }
                cool(page, pageout, page_list)
            }
        }
        pte += 1
        address += PAGE_SIZE
    }
    if let (start_pte, ptl) = start_pte { pte_unmap_unlock(start_pte, ptl) }
    if pageout { _ = ops.reclaim_pages(page_list) }
}

/// A huge pmd: a part of madvise_cold_or_pageout_pte_range(), whose name its yield points carry.  False if
/// the page has been split, and its ptes are to be looked at.
private func madvise_cold_huge_pmd(
    _ tlb: UnsafeMutablePointer<mmu_gather>, _ vma: vm_area_struct, _ pmd: UnsafeMutablePointer<pmd_t>,
    _ address: UInt, _ next: UInt, _ pageout: Bool, _ page_list: list_head
) -> Bool {
    let function: StaticString = "madvise_cold_or_pageout_pte_range"
    guard let ptl = ops.pmd_trans_huge_lock(pmd, vma) else { return true }
    let orig_pmd = pmd.pointee
    if pmd_present(orig_pmd) {
        let page = pmd_page(orig_pmd)
        yield_point("mapcount", function)
        if page_mapcount(page) == 1 {
            if next - address != PMD_SIZE() {
                yield_point("page_count", function)
                get_page(page)
                spin_unlock(ptl, function)
                lock_page(page, function)
                let failed = ops.split_huge_page_to_list(page, nil) != 0
                unlock_page(page, function)
                ops.put_page(page)
                return failed
            }
            if pmd_young(orig_pmd) {
                _ = pmdp_invalidate(vma, address, pmd, function)
                set_pmd_at(tlb.pointee.mm, address, pmd, pmd_mkold(orig_pmd), function)
                tlb_remove_pmd_tlb_entry(tlb, address)
            }
            cool(page, pageout, page_list)
        }
    }
    spin_unlock(ptl, function)
    if pageout { _ = ops.reclaim_pages(page_list) }
    return true
}

/// Isolates the page for reclaim, or moves it to the inactive list: what the two parts of
/// madvise_cold_or_pageout_pte_range() end with.
private func cool(_ page: page, _ pageout: Bool, _ page_list: list_head) {
    yield_point("PageReferenced", "madvise_cold_or_pageout_pte_range")
    ClearPageReferenced(page)
    if !pageout {
        ops.deactivate_page(page)
    } else if ops.isolate_lru_page(page) == 0 {
        yield_point("PageUnevictable", "madvise_cold_or_pageout_pte_range")
        if PageUnevictable(page) {
            ops.putback_lru_page(page)
        } else {
            list_add(page.lru, page_list)
        }
    }
}

// MARK: - MADV_WILLNEED

/// Reads in what is swapped out of an anonymous mapping.
func swapin_walk_page_range(_ vma: vm_area_struct, _ start: UInt, _ end: UInt) {
    var address = start
    while address != end {
        let next = pmd_addr_end(address, end)
        swapin_walk_pmd_entry(vma, pmd_offset(vma.vm_mm, address), address, next)
        address = next
    }
}

/// Linux v5.13, mm/madvise.c, swapin_walk_pmd_entry().
private func swapin_walk_pmd_entry(
    _ vma: vm_area_struct, _ pmd: UnsafeMutablePointer<pmd_t>, _ start: UInt, _ end: UInt
) {
    if pmd_none_or_trans_huge_or_clear_bad(pmd) { return }
    var address = start
    while address != end {
        // The lock is taken for each pte anew: to read a page in sleeps.
        guard let (pte, ptl) = pte_offset_map_lock(vma.vm_mm, pmd, address) else { break }
        let ptent = pte.pointee
        pte_unmap_unlock(pte, ptl)
        if is_swap_pte(ptent) && !non_swap_entry(pte_to_swp_entry(ptent)) { read_ahead(pte_to_swp_entry(ptent)) }
        address += PAGE_SIZE
    }
}

/// Reads in what is swapped out of a shmem file, mapped or not.
/// Linux v5.13, mm/madvise.c, force_shm_swapin_readahead().
func force_shm_swapin_readahead(_ vma: vm_area_struct, _ start: UInt, _ end: UInt, _ mapping: address_space) {
    let first = linear_page_index(vma, start)
    let last = min(linear_page_index(vma, end), UInt(MAX_FILE_PAGES))
    var index = first
    while index < last {
        yield_point("i_pages")
        let entry = mapping.slot(Int(index)).pointee
        if xa_is_value(entry) { read_ahead(radix_to_swp_entry(entry)) }
        index += 1
    }
    ops.lru_add_drain()
}

private func read_ahead(_ entry: swp_entry_t) {
    if let page = ops.swapin_readahead(entry) { ops.put_page(page) }
}
