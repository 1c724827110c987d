// SPDX-License-Identifier: GPL-2.0-only
// Unmapping: pages and page tables are gathered, and freed only after the TLBs have been flushed.
// Source: Linux v5.13, mm/mmu_gather.c, include/asm-generic/tlb.h, arch/x86/include/asm/tlb.h.
//
// Modelled: the batch in the mmu_gather itself, a flush when it is full, nested gatherers, tables freed behind the
// flush (x86 without paravirtualized flushes gathers them like pages).
// Left out: further batches, which the kernel allocates with GFP_NOWAIT and does without when that fails, as here.

import CKernel
import Simulation

func install_mmu_gather(_ ops: kernel_ops) {
    ops.tlb_gather_mmu = tlb_gather_mmu
    ops.tlb_flush_mmu = tlb_flush_mmu
    ops.tlb_finish_mmu = tlb_finish_mmu
    ops.tlb_remove_page = tlb_remove_page
    ops.pte_free_tlb = pte_free_tlb
    ops.tlb_delay_rmap = { _ in false }
}

/// Linux v5.13, mm/mmu_gather.c, tlb_gather_mmu(), tlb_gather_mmu_fullmm().
private func tlb_gather_mmu(_ tlb: UnsafeMutablePointer<mmu_gather>, _ mm: mm_struct, _ fullmm: Bool) {
    tlb.pointee.mm = mm
    tlb.pointee.fullmm = fullmm
    tlb.pointee.need_flush_all = false
    (tlb.pointee.nr, tlb.pointee.nr_tables) = (0, 0)
    __tlb_reset_range(tlb)
    yield_point("tlb_flush_pending")
    mm.tlb_flush_pending += 1
}

/// Linux v5.13, include/asm-generic/tlb.h, __tlb_reset_range().
private func __tlb_reset_range(_ tlb: UnsafeMutablePointer<mmu_gather>) {
    if tlb.pointee.fullmm {
        (tlb.pointee.start, tlb.pointee.end) = (TLB_FLUSH_ALL, TLB_FLUSH_ALL)
    } else {
        (tlb.pointee.start, tlb.pointee.end) = (TASK_SIZE(), 0)
    }
    tlb.pointee.freed_tables = false
    tlb.pointee.cleared = false
}

/// Linux v5.13, include/asm-generic/tlb.h, tlb_remove_tlb_entry(): the pte of `address` has been cleared.
func tlb_remove_tlb_entry(_ tlb: UnsafeMutablePointer<mmu_gather>, _ address: UInt) {
    __tlb_adjust_range(tlb, address, PAGE_SIZE)
    tlb.pointee.cleared = true
}

/// Linux v5.13, include/asm-generic/tlb.h, tlb_remove_pmd_tlb_entry().
func tlb_remove_pmd_tlb_entry(_ tlb: UnsafeMutablePointer<mmu_gather>, _ address: UInt) {
    __tlb_adjust_range(tlb, address, PMD_SIZE())
    tlb.pointee.cleared = true
}

/// Gathers a page.  True: the batch is full and must be flushed.
/// Linux v5.13, mm/mmu_gather.c, __tlb_remove_page_size().
func __tlb_remove_page(
    _ tlb: UnsafeMutablePointer<mmu_gather>, _ page: page, _ delay_rmap: Bool = false
) -> Bool {
    if delay_rmap { tlb.pointee.delayed |= 1 << UInt16(tlb.pointee.nr) }
    mmu_gather_pages(tlb)[Int(tlb.pointee.nr)] = page
    tlb.pointee.nr += 1
    return Int32(tlb.pointee.nr) == MMU_GATHER_BUNDLE
}

/// From v6.2 on: a file page that was written to counts as mapped until no TLB lets it be written to any more, so that
/// page_mkclean() does not pass it over.  Linux v6.5, mm/mmu_gather.c, tlb_flush_rmaps().
func tlb_flush_rmaps(_ tlb: UnsafeMutablePointer<mmu_gather>, _ vma: vm_area_struct) {
    for index in 0..<Int(tlb.pointee.nr) where tlb.pointee.delayed & 1 << UInt16(index) != 0 {
        ops.page_remove_rmap(mmu_gather_pages(tlb)[index]!, vma, false)
    }
    tlb.pointee.delayed = 0
}

/// Linux v5.13, include/asm-generic/tlb.h, tlb_remove_page().
private func tlb_remove_page(_ tlb: UnsafeMutablePointer<mmu_gather>, _ page: page) {
    if __tlb_remove_page(tlb, page) { ops.tlb_flush_mmu(tlb) }
}

/// Linux v5.13, include/asm-generic/tlb.h, pte_free_tlb(); mm/mmu_gather.c, tlb_remove_table().
private func pte_free_tlb(_ tlb: UnsafeMutablePointer<mmu_gather>, _ table: page_table, _ address: UInt) {
    __tlb_adjust_range(tlb, address, PAGE_SIZE)
    tlb.pointee.freed_tables = true
    tlb.pointee.cleared = true
    mmu_gather_tables(tlb)[Int(tlb.pointee.nr_tables)] = table
    tlb.pointee.nr_tables += 1
    if Int32(tlb.pointee.nr_tables) == MAX_PTRS_PER_PMD { ops.tlb_flush_mmu(tlb) }
}

/// Linux v5.13, include/asm-generic/tlb.h, tlb_flush_mmu_tlbonly(); arch/x86/include/asm/tlb.h, tlb_flush().
func tlb_flush_mmu_tlbonly(_ tlb: UnsafeMutablePointer<mmu_gather>) {
    guard tlb.pointee.freed_tables || tlb.pointee.cleared else { return }
    let mm = tlb.pointee.mm
    if tlb.pointee.fullmm || tlb.pointee.need_flush_all {
        ops.flush_tlb_mm_range(mm, 0, TLB_FLUSH_ALL)
    } else {
        ops.flush_tlb_mm_range(mm, tlb.pointee.start, tlb.pointee.end)
    }
    ops.mmu_notifier_invalidate_range(mm, tlb.pointee.start, tlb.pointee.end)
    __tlb_reset_range(tlb)
}

/// Linux v5.13, mm/mmu_gather.c, tlb_flush_mmu().
private func tlb_flush_mmu(_ tlb: UnsafeMutablePointer<mmu_gather>) {
    tlb_flush_mmu_tlbonly(tlb)
    tlb_flush_mmu_free(tlb)
}

/// Linux v5.13, mm/mmu_gather.c, tlb_flush_mmu_free(), tlb_table_flush(), tlb_batch_pages_flush().  Page tables go at
/// once, from v6.5 on by RCU (CONFIG_MMU_GATHER_RCU_TABLE_FREE).
private func tlb_flush_mmu_free(_ tlb: UnsafeMutablePointer<mmu_gather>) {
    let tables = Int(tlb.pointee.nr_tables)
    tlb.pointee.nr_tables = 0
    for index in 0..<tables { ops.tlb_remove_table_free(tlb.pointee.mm, mmu_gather_tables(tlb)[index]!) }
    let pages = Int32(tlb.pointee.nr)
    tlb.pointee.nr = 0
    if pages > 0 { ops.free_pages_and_swap_cache(mmu_gather_pages(tlb), pages) }
}

/// Linux v5.13, mm/mmu_gather.c, tlb_finish_mmu().
private func tlb_finish_mmu(_ tlb: UnsafeMutablePointer<mmu_gather>) {
    let mm = tlb.pointee.mm
    yield_point("tlb_flush_pending")
    if mm.tlb_flush_pending > 1 {
        // Another gatherer may have cleared ptes that this one found clear.
        tlb.pointee.fullmm = true
        __tlb_reset_range(tlb)
        tlb.pointee.freed_tables = true
    }
    ops.tlb_flush_mmu(tlb)
    yield_point("tlb_flush_pending")
    mm.tlb_flush_pending -= 1
}
