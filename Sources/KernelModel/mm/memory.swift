// SPDX-License-Identifier: GPL-2.0-only
// mm/memory.c of Linux v5.13: page tables come and go.  Faults are in memory+fault.swift, memory+file_fault.swift,
// memory+swap_fault.swift and memory+wp.swift, unmapping in memory+zap.swift, fork in memory+copy.swift.
//
// Left out everywhere: the levels above the pmd (one table of pmds, part of the mm); hugetlb, DAX, PFN mappings
// and device memory (so vm_normal_page() is pte_page()); memory cgroups; KSM; hardware poison.
// The shared zero page: a read fault maps a fresh page, as in an mm where mm_forbids_zeropage() is true.

import CKernel
import Simulation

func install_memory(_ ops: kernel_ops) {
    ops.pte_alloc = pte_alloc
    ops.free_pgtables = free_pgtables
    ops.wp_page_copied = wp_page_copied
    install_memory_fault(ops)
    install_memory_file_fault(ops)
    install_memory_swap_fault(ops)
    install_memory_wp(ops)
    install_memory_zap(ops)
    install_memory_copy(ops)
}

/// Linux v5.13, mm/memory.c, __pte_alloc(); include/linux/mm.h, pte_alloc().
private func pte_alloc(_ mm: mm_struct, _ pmd: UnsafeMutablePointer<pmd_t>) -> Int32 {
    yield_point("pmd")
    guard pmd_none(pmd.pointee) else { return 0 }
    guard let new = pte_alloc_one(mm) else { return -ENOMEM }
    let ptl = pmd_lock(mm, pmd)
    let populated = pmd_none(pmd.pointee)
    if populated {
        mm_inc_nr_ptes(mm)
        pmd_populate(mm, pmd, new)
    }
    spin_unlock(ptl)
    if !populated { pte_free(mm, new) }
    return 0
}

/// Frees the page tables of a list of vmas that are mapped no more, after hiding these from reverse maps.
/// Linux v5.13, mm/memory.c, free_pgtables().
private func free_pgtables(
    _ tlb: UnsafeMutablePointer<mmu_gather>, _ vma: vm_area_struct, _ floor: UInt, _ ceiling: UInt
) {
    var rest: vm_area_struct? = vma
    while let first = rest {
        let start = first.vm_start
        var last = first
        ops.unlink_anon_vmas(last)
        ops.unlink_file_vma(last)
        while let next = last.vm_next, next.vm_start <= last.vm_end + PMD_SIZE() {
            last = next
            ops.unlink_anon_vmas(last)
            ops.unlink_file_vma(last)
        }
        rest = last.vm_next
        free_pgd_range(tlb, start, last.vm_end, floor, rest?.vm_start ?? ceiling)
    }
}

/// Frees the tables below [start, end) that no other vma needs: those from `floor` up to `ceiling` (0: no end).
/// Linux v5.13, mm/memory.c, free_pgd_range(), free_pmd_range().
private func free_pgd_range(
    _ tlb: UnsafeMutablePointer<mmu_gather>, _ start: UInt, _ end: UInt, _ floor: UInt, _ ceiling: UInt
) {
    var (address, end, ceiling) = (start & PMD_MASK(), end, ceiling)
    if address < floor { address += PMD_SIZE() }
    if ceiling != 0 {
        ceiling &= PMD_MASK()
        if ceiling == 0 { return }
    }
    if end - 1 > ceiling &- 1 { end -= PMD_SIZE() }
    while address <= end - 1 {
        let pmd = pmd_offset(tlb.pointee.mm, address)
        if !pmd_none(pmd.pointee) { free_pte_range(tlb, pmd, address) }
        address = pmd_addr_end(address, end)
        if address == end { break }
    }
}

/// Linux v5.13, mm/memory.c, free_pte_range().
private func free_pte_range(
    _ tlb: UnsafeMutablePointer<mmu_gather>, _ pmd: UnsafeMutablePointer<pmd_t>, _ address: UInt
) {
    BUG_ON(!pmd_is_table(pmd.pointee), "pmd_bad(*pmd)")
    let table = pmd_page_table(pmd.pointee)
    pmd_clear(pmd)
    ops.pte_free_tlb(tlb, table, address)
    mm_dec_nr_ptes(tlb.pointee.mm)
}

// MARK: - Contents

/// A page of user memory with nothing in it.
/// Linux v5.13, include/linux/highmem.h, alloc_zeroed_user_highpage_movable().
func alloc_zeroed_user_highpage_movable(_ vma: vm_area_struct, _ address: UInt) -> page? {
    guard let page = ops.alloc_pages(GFP_HIGHUSER_MOVABLE, 0) else { return nil }
    page.contents = 0
    return page
}

/// Linux v5.13, include/linux/highmem.h, copy_user_highpage().
func copy_user_highpage(_ to: page, _ from: page, _ function: StaticString = #function) {
    yield_point("contents", function)
    to.contents = from.contents
}
