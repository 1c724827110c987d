// SPDX-License-Identifier: GPL-2.0-only
// new: the patch as queued in -mm on 11 July 2023 and merged as 1d65b771bc08 ("mm/khugepaged:
// retract_page_tables() without mmap or vma lock", v6.6).
//
// Modelled: mm/khugepaged.c, retract_page_tables(), and the lines of collapse_file() that call it.
// Left out: pmdp_get_lockless_sync() (nothing but on 32-bit machines with PAE), page_table_check, the comment in
// collapse_pte_mapped_thp().

import CKernel
import KernelModel
import Simulation

/// mm/khugepaged.c, retract_page_tables(): page tables go under their own spinlocks, and are freed when nobody walks
/// them any more.
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
    // Private mappings that were written to would be split soon.
    yield_point("anon_vma", function)
    if vma.anon_vma != nil { return }

    let addr = vma.vm_start &+ (pgoff &- vma.vm_pgoff) << UInt(PAGE_SHIFT)
    if addr & ~PMD_MASK() != 0 || vma.vm_end < addr + PMD_SIZE() { return }

    let mm = vma.vm_mm
    let (result, pmd) = find_pmd_or_thp_or_none(mm, addr)
    if result != SCAN_SUCCEED { return }
    if hpage_collapse_test_exit(mm) { return }

    // There may be markers in the table.
    yield_point("vm_flags", function)
    if userfaultfd_wp(vma) { return }

    // The ptes were notified of when they went; now it is about the pmd.
    var range = mmu_notifier_range(
        vma: nil, mm: mm, start: addr, end: addr + PMD_SIZE(), event: MMU_NOTIFY_CLEAR.rawValue)
    ops.mmu_notifier_invalidate_range_start(&range)

    let pml = pmd_lock(mm, pmd, function)
    let ptl = pte_lockptr(mm, pmd)
    spin_lock(ptl, subclass: 1, function)

    // The page lock keeps faults out, but not userfaultfd, which needs nothing but this lock: it may have inserted
    // pages or markers after the first looks.
    let skipped_uffd = vma.anon_vma != nil || userfaultfd_wp(vma)
    let pgt_pmd = skipped_uffd ? pmd.pointee : pmdp_collapse_flush(vma, addr, pmd, function)

    spin_unlock(ptl, function)
    spin_unlock(pml, function)
    ops.mmu_notifier_invalidate_range_end(&range)

    if !skipped_uffd {
        mm_dec_nr_ptes(mm)
        ops.pte_free_defer(mm, pmd_page_table(pgt_pmd))
    }
}

/// mm/khugepaged.c, the end of collapse_file(): MADV_COLLAPSE goes on with collapse_pte_mapped_thp().
private func retract_after_collapse(
    _ mapping: address_space, _ pgoff: UInt, _ target_mm: mm_struct, _ target_addr: UInt, _ hpage: page,
    _ cc: UnsafeMutablePointer<collapse_control>
) -> Int32 {
    retract_page_tables(mapping, pgoff)
    return cc.pointee.is_khugepaged ? SCAN_SUCCEED : SCAN_PTE_MAPPED_HUGEPAGE
}

func installNew(_ ops: kernel_ops) {
    ops.retract_page_tables = retract_after_collapse
}
