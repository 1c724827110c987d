// SPDX-License-Identifier: GPL-2.0-only
// new.v1: the patch as first posted on 28 May 2023 (Message-ID: <2e9996fa-d238-e7c-1194-834a2bd1f60@google.com>).
//
// Modelled: mm/khugepaged.c, retract_page_tables(), and the lines of collapse_file() that call it.
// Left out: page_table_check.

import CKernel
import KernelModel
import Simulation

/// mm/khugepaged.c, retract_page_tables(): nothing is looked at again under the page table lock, and nobody is
/// notified.
private func retract_page_tables(_ mapping: address_space, _ pgoff: UInt) {
    down_read(mapping.i_mmap_rwsem)
    var next = vma_interval_tree_first(mapping, pgoff, pgoff)
    while let vma = next {
        retract_page_table(vma, pgoff)
        next = vma_interval_tree_next(mapping, vma, pgoff, pgoff)
    }
    up_read(mapping.i_mmap_rwsem)
}

/// The body of the loop in retract_page_tables().
private func retract_page_table(
    _ vma: vm_area_struct, _ pgoff: UInt, _ function: StaticString = "retract_page_tables"
) {
    // Private mappings that were written to would be split soon.  It can be set after this, but the page lock is
    // taken to keep new ptes away.
    yield_point("anon_vma", function)
    if vma.anon_vma != nil { return }

    let addr = vma.vm_start &+ (pgoff &- vma.vm_pgoff) << UInt(PAGE_SHIFT)
    if addr & ~PMD_MASK() != 0 || vma.vm_end < addr + PMD_SIZE() { return }

    let mm = vma.vm_mm
    let (result, pmd) = find_pmd_or_thp_or_none(mm, addr)
    if result != SCAN_SUCCEED { return }
    if hpage_collapse_test_exit(mm) { return }

    // There may be markers in the table.  None is taken to come after this.
    yield_point("vm_flags", function)
    if userfaultfd_wp(vma) { return }

    let pml = pmd_lock(mm, pmd, function)
    let ptl = pte_lockptr(mm, pmd)
    spin_lock(ptl, subclass: 1, function)
    let pgt_pmd = pmdp_collapse_flush(vma, addr, pmd, function)
    spin_unlock(ptl, function)
    spin_unlock(pml, function)

    mm_dec_nr_ptes(mm)
    ops.pte_free_defer(mm, pmd_page_table(pgt_pmd))
}

/// mm/khugepaged.c, the end of collapse_file(): MADV_COLLAPSE goes on with collapse_pte_mapped_thp().
private func retract_after_collapse(
    _ mapping: address_space, _ pgoff: UInt, _ target_mm: mm_struct, _ target_addr: UInt, _ hpage: page,
    _ cc: UnsafeMutablePointer<collapse_control>
) -> Int32 {
    retract_page_tables(mapping, pgoff)
    return cc.pointee.is_khugepaged ? SCAN_SUCCEED : SCAN_PTE_MAPPED_HUGEPAGE
}

func installNewV1(_ ops: kernel_ops) {
    ops.retract_page_tables = retract_after_collapse
}
