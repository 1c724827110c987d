// SPDX-License-Identifier: GPL-2.0-only
// mm/khugepaged.c of Linux v5.18-rc1: the words all of it uses, and its huge page.
//
// +register_v5_18.swift keeps the list of mms, +scan_v5_18.swift goes through it, +file_v5_18.swift collapses a
// range of shmem, +retract_v5_18.swift gets rid of the page tables below it, +anonymous_v5_18.swift and
// +copy_v5_18.swift collapse a range of anonymous memory.
//
// A struct file is the file's page cache, which is never freed.  Left out everywhere: disk files
// (CONFIG_READ_ONLY_THP_FOR_FS is off), memory cgroups, tracing, node_reclaim_mode (off, as by default), the zero
// page (nobody maps it), prctl(PR_SET_THP_DISABLE), the stacks of programs that start (they have no vma here).

import CKernel
import Simulation

func install_khugepaged_v5_18(_ ops: kernel_ops) {
    ops.hugepage_vma_check = hugepage_vma_check
    install_khugepaged_register_v5_18(ops)
    install_khugepaged_scan_v5_18(ops)
    install_khugepaged_file_v5_18(ops)
    install_khugepaged_retract_v5_18(ops)
    install_khugepaged_anonymous_v5_18(ops)
}

// MARK: - What khugepaged bears (sysfs)

/// Pages that nobody has touched yet; SGP and user memory may grow by as many.
var khugepaged_max_ptes_none: Int { hpage_pmd_nr - 1 }
var khugepaged_max_ptes_swap: Int { hpage_pmd_nr / 8 }
var khugepaged_max_ptes_shared: Int { hpage_pmd_nr / 2 }

// MARK: - vmas

/// The last user of the mm is gone: nobody may work on its page tables any more.  From v6.1 on
/// hpage_collapse_test_exit().
/// Linux v5.18-rc1, mm/khugepaged.c, khugepaged_test_exit().
func khugepaged_test_exit(_ mm: mm_struct, _ function: StaticString = #function) -> Bool {
    yield_point("mm_users", function)
    return mm.mm_users == 0
}

/// Whether the file's mount takes huge pages in this vma.
/// Linux v5.18-rc1, mm/shmem.c, shmem_is_huge(), as shmem_huge_enabled() asks it.
func shmem_huge_enabled(_ vma: vm_area_struct) -> Bool {
    let mapping = vma.vm_file!
    if vma.vm_flags & VM_NOHUGEPAGE != 0 { return false }
    return mapping.huge && (!mapping.huge_advise || vma.vm_flags & VM_HUGEPAGE != 0)
}

/// Whether khugepaged may make huge pages in the vma, whose flags are, or will be, `vm_flags`.  v6.1 moved it to
/// mm/huge_memory.c, where it serves others, too, who say so by what follows the flags.
/// Linux v5.18-rc1, mm/khugepaged.c, hugepage_vma_check().
private func hugepage_vma_check(
    _ vma: vm_area_struct, _ vm_flags: UInt, _ smaps: Bool, _ in_pf: Bool, _ enforce_sysfs: Bool
) -> Bool {
    if vm_flags & VM_NOHUGEPAGE != 0 { return false }
    if vma.vm_file != nil && ((vma.vm_start >> UInt(PAGE_SHIFT)) &- vma.vm_pgoff) & (HPAGE_PMD_NR() - 1) != 0 {
        return false
    }
    if vma_is_shmem(vma) { return shmem_huge_enabled(vma) }
    // "madvise" in sysfs.
    if vm_flags & VM_HUGEPAGE == 0 { return false }
    if vma.anon_vma == nil || !vma_is_anonymous(vma) { return false }
    // VM_NO_KHUGEPAGED
    return vm_flags & (VM_SPECIAL | VM_HUGETLB) == 0
}

/// The first and the last address in the vma at which a huge page can begin, and end.
func huge_page_range(_ vma: vm_area_struct) -> (hstart: UInt, hend: UInt) {
    ((vma.vm_start + ~PMD_MASK()) & PMD_MASK(), vma.vm_end & PMD_MASK())
}

/// The pmd that leads to a page table, read without a lock; nil if there is none.
/// Linux v5.18-rc1, mm/rmap.c, mm_find_pmd().
func mm_find_pmd(
    _ mm: mm_struct, _ address: UInt, _ function: StaticString = #function
) -> UnsafeMutablePointer<pmd_t>? {
    let pmd = pmd_offset(mm, address)
    yield_point("pmd", function)
    return pmd_is_table(pmd.pointee) ? pmd : nil
}

// MARK: - The huge page

/// The node that has most of the small pages; where several have as many, they take turns.
/// Linux v5.18-rc1, mm/khugepaged.c, khugepaged_find_target_node().
private func khugepaged_find_target_node(_ cc: UnsafeMutablePointer<collapse_control>) -> Int32 {
    var target_node: Int32 = 0
    var max_value: UInt32 = 0
    for nid in 0..<Int(MAX_NUMNODES) where node_load(cc, nid).pointee > max_value {
        max_value = node_load(cc, nid).pointee
        target_node = Int32(nid)
    }
    let last = kernel.khugepaged_scan.last_target_node
    if target_node <= last {
        for nid in Int(last) + 1..<Int(MAX_NUMNODES) where max_value == node_load(cc, nid).pointee {
            target_node = Int32(nid)
            break
        }
    }
    kernel.khugepaged_scan.last_target_node = target_node
    return target_node
}

/// Forgets what an earlier scan has found.
func clear_node_load(_ cc: UnsafeMutablePointer<collapse_control>) {
    for nid in 0..<Int(MAX_NUMNODES) { node_load(cc, nid).pointee = 0 }
}

/// From the target node alone, with reclaim and compaction (khugepaged/defrag is on).
/// Linux v5.18-rc1, mm/khugepaged.c, khugepaged_alloc_page(), alloc_hugepage_khugepaged_gfpmask().
func khugepaged_alloc_page(_ cc: UnsafeMutablePointer<collapse_control>) -> page? {
    let gfp = GFP_TRANSHUGE | GFP_HIGHUSER_MOVABLE | __GFP_THISNODE
    let node = khugepaged_find_target_node(cc)
    guard let page = ops.alloc_pages_node(node, gfp, UInt32(kernel.hpage_pmd_order)) else {
        count_vm_events(Int32(THP_COLLAPSE_ALLOC_FAILED.rawValue), 1)
        return nil
    }
    count_vm_events(Int32(THP_COLLAPSE_ALLOC.rawValue), 1)
    cc.pointee.hpage = page
    return page
}
