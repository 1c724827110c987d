// SPDX-License-Identifier: GPL-2.0-only
// mm/memory.c of Linux v5.13: ptes are taken away, from a range of addresses or from a range of a file.

import CKernel
import Simulation

func install_memory_zap(_ ops: kernel_ops) {
    ops.unmap_vmas = unmap_vmas
    ops.zap_page_range = zap_page_range
    ops.unmap_mapping_pages = unmap_mapping_pages
    ops.unmap_mapping_page = unmap_mapping_page
}

/// What unmapping a part of a file is about.
/// Linux v5.13, include/linux/mm.h, struct zap_details.
struct zap_details {
    /// Only pages of this file, not private copies.
    var check_mapping: address_space?
    var first_index: UInt = 0
    var last_index: UInt = 0
    /// The one page, locked.
    var single_page: page?
    /// Swap and migration entries are judged by what they stand for, from v5.18-rc1 on.
    var judges_entries = false
    /// Whether private copies go, from v5.18-rc1 on.
    var even_cows = true
    /// From v5.19 on.
    var zap_flags: UInt32 = 0
}

/// Markers of userfaultfd go with what they protect.
let ZAP_FLAG_DROP_MARKER: UInt32 = 1

// MARK: - Page tables

/// Returns how far it has come; from v6.5 on that may be nowhere, since there is no page table.
/// Linux v5.13, mm/memory.c, zap_pte_range().  Left out: the break at need_resched().
private func zap_pte_range(
    _ tlb: UnsafeMutablePointer<mmu_gather>, _ vma: vm_area_struct, _ pmd: UnsafeMutablePointer<pmd_t>,
    _ start: UInt, _ end: UInt, _ details: zap_details?
) -> UInt {
    let mm = tlb.pointee.mm
    var address = start
    while address != end {
        guard let (start_pte, ptl) = pte_offset_map_lock(mm, pmd, address) else { return address }
        ops.flush_tlb_batched_pending(mm)
        var force_flush = false
        var pte = start_pte
        repeat {
            noteCost(EVENT_pte_visit, UInt(mm.number) << 32 | address >> UInt(PAGE_SHIFT), 1)
            let full = zap_pte(tlb, vma, address, pte, details, &force_flush)
            pte += 1
            address += PAGE_SIZE
            if full { break }
        } while address != end
        // While the lock is held: a file page must not be cleaned before its last writers are gone.
        if force_flush {
            tlb_flush_mmu_tlbonly(tlb)
            tlb_flush_rmaps(tlb, vma)
        }
        pte_unmap_unlock(start_pte, ptl)
        if force_flush { ops.tlb_flush_mmu(tlb) }
    }
    return address
}

/// One round of the loop of zap_pte_range().  True: the gatherer is full.
private func zap_pte(
    _ tlb: UnsafeMutablePointer<mmu_gather>, _ vma: vm_area_struct, _ address: UInt,
    _ pte: UnsafeMutablePointer<pte_t>, _ details: zap_details?, _ force_flush: UnsafeMutablePointer<Bool>
) -> Bool {
    let mm = tlb.pointee.mm
    let old = pte.pointee
    if pte_none(old) { return false }
    guard pte_present(old) else {
        if should_zap_entry(details, old) {
            zap_nonpresent_pte(mm, address, pte)
            zap_install_uffd_wp_if_needed(vma, address, pte, details, old)
        }
        return false
    }
    let page = pte_page(old)
    if !should_zap_page(details, page) { return false }
    let ptent = ptep_get_and_clear(mm, address, pte, "zap_pte_range")
    tlb_remove_tlb_entry(tlb, address)
    zap_install_uffd_wp_if_needed(vma, address, pte, details, ptent)
    var delay_rmap = false
    if !PageAnon(page) {
        if pte_dirty(ptent) {
            force_flush.pointee = true
            ops.set_page_dirty(page)
            delay_rmap = ops.tlb_delay_rmap(tlb)
        }
        if pte_young(ptent) && vma.vm_flags & VM_SEQ_READ == 0 { ops.mark_page_accessed(page) }
    }
    mm.rss(Int(mm_counter(page))).pointee -= 1
    if !delay_rmap {
        ops.page_remove_rmap(page, vma, false)
        if page_mapcount(page) < 0 { reportViolation(VIOLATION_mapcount, address, UInt(mm.number)) }
    }
    if __tlb_remove_page(tlb, page, delay_rmap) {
        force_flush.pointee = true
        return true
    }
    return false
}

/// Linux v5.18-rc1, mm/memory.c, should_zap_page(); v5.13 asks for the file instead, in zap_pte_range().
private func should_zap_page(_ details: zap_details?, _ page: page) -> Bool {
    guard let details else { return true }
    if let file = details.check_mapping { return page_file_mapping(page) === file }
    return details.even_cows || !PageAnon(page)
}

/// Whether what is not present goes.  With details, v5.13 leaves swap and migration entries, even where copies are to
/// go as well.
private func should_zap_entry(_ details: zap_details?, _ pte: pte_t) -> Bool {
    let entry = pte_to_swp_entry(pte)
    if is_pte_marker_entry(entry) { return zap_drop_file_uffd_wp(details) }
    guard let details else { return true }
    if !details.judges_entries { return false }
    if is_migration_entry(entry) { return should_zap_page(details, migration_entry_to_page(entry)) }
    return details.even_cows
}

/// Linux v5.19, mm/memory.c, zap_drop_file_uffd_wp().
private func zap_drop_file_uffd_wp(_ details: zap_details?) -> Bool {
    (details?.zap_flags ?? 0) & ZAP_FLAG_DROP_MARKER != 0
}

/// Linux v5.19, mm/memory.c, zap_install_uffd_wp_if_needed().
private func zap_install_uffd_wp_if_needed(
    _ vma: vm_area_struct, _ address: UInt, _ pte: UnsafeMutablePointer<pte_t>, _ details: zap_details?,
    _ pteval: pte_t
) {
    if !zap_drop_file_uffd_wp(details) { pte_install_uffd_wp_if_needed(vma, address, pte, pteval, "zap_pte_range") }
}

/// Leaves a marker where a write-protected pte of a file was: the protection outlives the page.
/// Linux v5.19, include/linux/mm_inline.h, pte_install_uffd_wp_if_needed().
func pte_install_uffd_wp_if_needed(
    _ vma: vm_area_struct, _ address: UInt, _ pte: UnsafeMutablePointer<pte_t>, _ pteval: pte_t,
    _ function: StaticString = #function
) {
    if vma_is_anonymous(vma) || !userfaultfd_wp(vma) { return }
    if pte_present(pteval) && pte_uffd_wp(pteval) || pte_swp_uffd_wp_any(pteval) {
        set_pte_at(vma.vm_mm, address, pte, make_pte_marker(PTE_MARKER_UFFD_WP), function)
    }
}

private func zap_nonpresent_pte(_ mm: mm_struct, _ address: UInt, _ pte: UnsafeMutablePointer<pte_t>) {
    let entry = pte_to_swp_entry(pte.pointee)
    if !non_swap_entry(entry) {
        mm.rss(Int(MM_SWAPENTS.rawValue)).pointee -= 1
        ops.free_swap_and_cache(entry)
    } else if is_migration_entry(entry) {
        mm.rss(Int(mm_counter(migration_entry_to_page(entry)))).pointee -= 1
    }
    pte_clear(mm, address, pte, "zap_pte_range")
}

/// Linux v5.13, mm/memory.c, zap_pmd_range().
private func zap_pmd_range(
    _ tlb: UnsafeMutablePointer<mmu_gather>, _ vma: vm_area_struct, _ start: UInt, _ end: UInt,
    _ details: zap_details?
) {
    var address = start
    while address != end {
        address = zap_pmd(tlb, vma, address, pmd_addr_end(address, end), details)
    }
}

/// One round of the loop of zap_pmd_range(): returns where the next one begins.
private func zap_pmd(
    _ tlb: UnsafeMutablePointer<mmu_gather>, _ vma: vm_area_struct, _ address: UInt, _ next: UInt,
    _ details: zap_details?
) -> UInt {
    let pmd = pmd_offset(vma.vm_mm, address)
    let whole = next - address == PMD_SIZE()
    yield_point("pmd", "zap_pmd_range")
    if is_swap_pmd(pmd.pointee) || pmd_trans_huge(pmd.pointee) {
        if !whole {
            ops.__split_huge_pmd(vma, pmd, address, false, nil)
        } else if ops.zap_huge_pmd(tlb, vma, pmd, address) != 0 {
            return next
        }
    } else if let page = details?.single_page, PageTransCompound(page), whole, pmd_none(pmd.pointee) {
        // zap_huge_pmd() may have cleared the pmd and not yet uncharged the page: wait for it.
        spin_unlock(pmd_lock(tlb.pointee.mm, pmd, "zap_pmd_range"), "zap_pmd_range")
    }
    // MADV_DONTNEED and faults change a pmd with mmap_lock held for reading only.
    if pmd_none_or_trans_huge_or_clear_bad(pmd, "zap_pmd_range") { return next }
    return zap_pte_range(tlb, vma, pmd, address, next, details)
}

/// Linux v5.13, mm/memory.c, unmap_page_range().
private func unmap_page_range(
    _ tlb: UnsafeMutablePointer<mmu_gather>, _ vma: vm_area_struct, _ start: UInt, _ end: UInt,
    _ details: zap_details?
) {
    BUG_ON(start >= end, "addr >= end")
    zap_pmd_range(tlb, vma, start, end, details)
}

// MARK: - Ranges of addresses

/// Linux v5.13, mm/memory.c, unmap_single_vma().
private func unmap_single_vma(
    _ tlb: UnsafeMutablePointer<mmu_gather>, _ vma: vm_area_struct, _ start_addr: UInt, _ end_addr: UInt,
    _ details: zap_details?
) {
    let start = max(vma.vm_start, start_addr)
    let end = min(vma.vm_end, end_addr)
    if start < end { unmap_page_range(tlb, vma, start, end, details) }
}

/// Linux v5.13, mm/memory.c, unmap_vmas().
private func unmap_vmas(
    _ tlb: UnsafeMutablePointer<mmu_gather>, _ vma: vm_area_struct, _ start_addr: UInt, _ end_addr: UInt
) {
    var range = mmu_notifier_range(
        vma: vma, mm: vma.vm_mm, start: start_addr, end: end_addr, event: MMU_NOTIFY_UNMAP.rawValue)
    ops.mmu_notifier_invalidate_range_start(&range)
    unmap_each_vma(
        tlb, vma, start_addr, end_addr, zap_details(judges_entries: true, zap_flags: ZAP_FLAG_DROP_MARKER))
    ops.mmu_notifier_invalidate_range_end(&range)
}

private func unmap_each_vma(
    _ tlb: UnsafeMutablePointer<mmu_gather>, _ first: vm_area_struct, _ start: UInt, _ end: UInt,
    _ details: zap_details?
) {
    var rest: vm_area_struct? = first
    while let vma = rest, vma.vm_start < end {
        unmap_single_vma(tlb, vma, start, end, details)
        rest = vma.vm_next
    }
}

/// Linux v5.13, mm/memory.c, zap_page_range().
private func zap_page_range(_ vma: vm_area_struct, _ start: UInt, _ size: UInt) {
    let mm = vma.vm_mm
    ops.lru_add_drain()
    var range = mmu_notifier_range(
        vma: vma, mm: mm, start: start, end: start + size, event: MMU_NOTIFY_CLEAR.rawValue)
    var tlb = mmu_gather_of(mm)
    ops.tlb_gather_mmu(&tlb, mm, false)
    ops.mmu_notifier_invalidate_range_start(&range)
    unmap_each_vma(&tlb, vma, start, start + size, nil)
    ops.mmu_notifier_invalidate_range_end(&range)
    ops.tlb_finish_mmu(&tlb)
}

/// Linux v5.13, mm/memory.c, zap_page_range_single().
private func zap_page_range_single(_ vma: vm_area_struct, _ start: UInt, _ size: UInt, _ details: zap_details?) {
    let mm = vma.vm_mm
    ops.lru_add_drain()
    var range = mmu_notifier_range(
        vma: vma, mm: mm, start: start, end: start + size, event: MMU_NOTIFY_CLEAR.rawValue)
    var tlb = mmu_gather_of(mm)
    ops.tlb_gather_mmu(&tlb, mm, false)
    ops.mmu_notifier_invalidate_range_start(&range)
    unmap_single_vma(&tlb, vma, start, start + size, details)
    ops.mmu_notifier_invalidate_range_end(&range)
    ops.tlb_finish_mmu(&tlb)
}

// MARK: - Ranges of a file

/// Linux v5.13, mm/memory.c, unmap_mapping_range_tree().
func unmap_mapping_range_tree(_ mapping: address_space, _ details: zap_details) {
    var node = mapping.i_mmap.next
    while node !== mapping.i_mmap {
        let vma = vma_of_shared(node)
        node = node.next
        let (vba, vea) = (vma.vm_pgoff, vma.vm_pgoff + vma_pages(vma) - 1)
        guard details.first_index <= vea && vba <= details.last_index else { continue }
        noteCost(EVENT_vma_visit, UInt(mapping.number), 1)
        let zba = max(details.first_index, vba)
        let zea = min(details.last_index, vea)
        let start = (zba - vba) << UInt(PAGE_SHIFT) + vma.vm_start
        zap_page_range_single(vma, start, (zea - zba + 1) << UInt(PAGE_SHIFT), details)
    }
}

private func unmap_mapping(_ mapping: address_space, _ details: zap_details, _ function: StaticString) {
    down_write(mapping.i_mmap_rwsem, function)
    unmap_mapping_range_tree(mapping, details)
    up_write(mapping.i_mmap_rwsem, function)
}

/// Unmaps `nr` pages of a file from `start` on (0: all), with `even_cows` private copies as well.
/// Linux v5.13, mm/memory.c, unmap_mapping_pages(): i_mmap_rwsem is taken for writing until v5.18.
private func unmap_mapping_pages(_ mapping: address_space, _ start: UInt, _ nr: UInt, _ even_cows: Bool) {
    let last = start &+ nr &- 1
    let details = zap_details(
        check_mapping: even_cows ? nil : mapping, first_index: start, last_index: last < start ? UInt.max : last)
    unmap_mapping(mapping, details, "unmap_mapping_pages")
}

/// Unmaps a locked page cache page from everywhere.  Linux v5.13, mm/memory.c, unmap_mapping_page().
private func unmap_mapping_page(_ page: page) {
    VM_BUG_ON_PAGE(!PageLocked(page), "!PageLocked(page)")
    VM_BUG_ON_PAGE(PageTail(page), "PageTail(page)")
    guard let mapping = page_file_mapping(page) else { return }
    let details = zap_details(
        check_mapping: mapping, first_index: page.index, last_index: page.index + UInt(thp_nr_pages(page)) - 1,
        single_page: page)
    unmap_mapping(mapping, details, "unmap_mapping_page")
}
