// SPDX-License-Identifier: GPL-2.0-only
// mm/khugepaged.c of Linux v6.5, with the series that made page table walks fallible, up to the parent of
// 1d65b771bc08 ("mm/khugepaged: retract_page_tables() without mmap or vma lock"): the words all of it uses.
//
// +file_v6_5.swift collapses a range of a file, +retract_v6_5.swift gets rid of the page tables that map it,
// +scan_v6_5.swift looks for ranges, +madvise_v6_5.swift is MADV_COLLAPSE.
// A struct folio is the head `page`; a struct file is the file's page cache, which is never freed.
// Anonymous memory is collapsed as in v5.18-rc1, Eras/v5_18/khugepaged+anonymous_v5_18.swift, but for khugepaged's
// limits, which MADV_COLLAPSE does not know, and for pages that userfaultfd protects meanwhile.
// Left out: memory cgroups, tracing, node_reclaim_mode (off, as by default), hardware poison (copies never fail).

import CKernel
import Simulation

func install_khugepaged_v6_5(_ ops: kernel_ops) {
    ops.hugepage_vma_check = hugepage_vma_check
    install_khugepaged_file_v6_5(ops)
    install_khugepaged_retract_v6_5(ops)
    install_khugepaged_scan_v6_5(ops)
    ops.collapse_huge_page = { collapse_huge_page($0, $1, $2, $3, $4, keepsProtection: true) }
    ops.madvise_collapse = madvise_collapse_v6_5
}

// MARK: - vmas

/// The last user of the mm is gone: exit_mmap() needs no mmap_lock, and nobody may work on the page tables.
/// Linux v6.5, mm/khugepaged.c, hpage_collapse_test_exit().
public func hpage_collapse_test_exit(_ mm: mm_struct) -> Bool {
    yield_point("mm_users")
    return mm.mm_users == 0
}

/// Linux v6.5, include/linux/fs.h, inode_is_open_for_write().  What maps a file writable has it open for that.
func inode_is_open_for_write(_ mapping: address_space, _ function: StaticString = #function) -> Bool {
    yield_point("i_writecount", function)
    return mapping.i_mmap_writable > 0 || mapping.i_writecount > 0
}

/// Linux v6.5, include/linux/huge_mm.h, file_thp_enabled(), with CONFIG_READ_ONLY_THP_FOR_FS.
private func file_thp_enabled(_ vma: vm_area_struct) -> Bool {
    guard let file = vma.vm_file, vma.vm_flags & VM_EXEC != 0 else { return false }
    return !inode_is_open_for_write(file)
}

/// Whether huge pages may be made in a vma, outside of a fault.  MADV_COLLAPSE asks without `enforce_sysfs`.
/// Linux v6.5, mm/huge_memory.c, hugepage_vma_check(); mm/shmem.c, shmem_is_huge().
private func hugepage_vma_check(
    _ vma: vm_area_struct, _ vm_flags: UInt, _ smaps: Bool, _ in_pf: Bool, _ enforce_sysfs: Bool
) -> Bool {
    if vm_flags & VM_NOHUGEPAGE != 0 { return false }
    if vm_flags & (VM_SPECIAL | VM_HUGETLB) != 0 { return false }
    if vma.vm_end < PMD_SIZE() { return false }
    if !transhuge_vma_suitable(vma, (vma.vm_end - PMD_SIZE()) & PMD_MASK()) { return false }
    if let file = vma.vm_file, shmem_mapping(file) {
        return !enforce_sysfs || file.huge && (!file.huge_advise || vm_flags & VM_HUGEPAGE != 0)
    }
    // "madvise" in sysfs.
    if enforce_sysfs && vm_flags & VM_HUGEPAGE == 0 { return false }
    if file_thp_enabled(vma) { return true }
    return vma_is_anonymous(vma) && (vma.anon_vma != nil || smaps || in_pf)
}

/// The vma at `address`, after mmap_lock was dropped and taken again.
/// Linux v6.5, mm/khugepaged.c, hugepage_vma_revalidate().
func hugepage_vma_revalidate(
    _ mm: mm_struct, _ address: UInt, expect_anon: Bool, _ vmap: inout vm_area_struct?,
    _ cc: UnsafeMutablePointer<collapse_control>
) -> Int32 {
    if hpage_collapse_test_exit(mm) { return SCAN_ANY_PROCESS }
    vmap = ops.find_vma(mm, address)
    guard let vma = vmap else { return SCAN_VMA_NULL }
    if !transhuge_vma_suitable(vma, address) { return SCAN_ADDRESS_RANGE }
    if !ops.hugepage_vma_check(vma, vma.vm_flags, false, false, cc.pointee.is_khugepaged) { return SCAN_VMA_CHECK }
    // What was anonymous may map a file by now.
    if expect_anon && (vma.anon_vma == nil || !vma_is_anonymous(vma)) { return SCAN_PAGE_ANON }
    return SCAN_SUCCEED
}

// MARK: - pmds

/// Whether the pmd leads to a page table, read without a lock.  mm_find_pmd() finds one always: the levels above
/// are folded.
/// Linux v6.5, mm/khugepaged.c, find_pmd_or_thp_or_none().
public func find_pmd_or_thp_or_none(
    _ mm: mm_struct, _ address: UInt
) -> (result: Int32, pmd: UnsafeMutablePointer<pmd_t>) {
    let pmd = pmd_offset(mm, address)
    yield_point("pmd")
    let pmde = pmd.pointee
    if pmd_none(pmde) { return (SCAN_PMD_NONE, pmd) }
    if !pmd_present(pmde) { return (SCAN_PMD_NULL, pmd) }
    if pmd_trans_huge(pmde) { return (SCAN_PMD_MAPPED, pmd) }
    return (SCAN_SUCCEED, pmd)
}

/// Linux v6.5, mm/khugepaged.c, check_pmd_still_valid().
func check_pmd_still_valid(_ mm: mm_struct, _ address: UInt, _ pmd: UnsafeMutablePointer<pmd_t>) -> Int32 {
    let (result, new_pmd) = find_pmd_or_thp_or_none(mm, address)
    if result != SCAN_SUCCEED { return result }
    return new_pmd == pmd ? SCAN_SUCCEED : SCAN_FAIL
}

// MARK: - The huge page

/// The first of the nodes that have most of the small pages.  Others that have as many are asked where this one
/// has nothing, as all are.
/// Linux v6.5, mm/khugepaged.c, hpage_collapse_find_target_node().
private func hpage_collapse_find_target_node(_ cc: UnsafeMutablePointer<collapse_control>) -> Int32 {
    var target_node: Int32 = 0
    var max_value: UInt32 = 0
    for nid in 0..<Int(kernel.nr_nodes) where node_load(cc, nid).pointee > max_value {
        max_value = node_load(cc, nid).pointee
        target_node = Int32(nid)
    }
    return target_node
}

/// Linux v6.5, mm/khugepaged.c, alloc_charge_hpage(), hpage_collapse_alloc_page().  Both khugepaged (with
/// defrag on) and MADV_COLLAPSE reclaim and compact for it.
func alloc_charge_hpage(_ cc: UnsafeMutablePointer<collapse_control>) -> page? {
    let node = hpage_collapse_find_target_node(cc)
    return ops.alloc_pages_node(node, GFP_TRANSHUGE | GFP_HIGHUSER_MOVABLE, UInt32(kernel.hpage_pmd_order))
}

// MARK: - What others have in headers

/// Linux v6.5, include/linux/mm.h, vma_lookup(): the vma that `address` lies in.
func vma_lookup(_ mm: mm_struct, _ address: UInt) -> vm_area_struct? {
    guard let vma = ops.find_vma(mm, address), vma.vm_start <= address else { return nil }
    return vma
}

/// Linux v6.5, include/linux/sched/mm.h, mmgrab().
func mmgrab(_ mm: mm_struct) {
    yield_point("mm_count")
    mm.mm_count += 1
}

/// Waits for walks with interrupts off.  Linux v6.5, mm/mmu_gather.c, tlb_remove_table_sync_one().
func tlb_remove_table_sync_one(_ function: StaticString = #function) {
    let all = UInt(1) << UInt(kernel.nr_cpus) - 1
    let others = all & ~(1 << UInt(smp_processor_id()))
    if others != 0 { interruptCPUs(others, function) }
}

/// Reads a page of a file, if it lies within it.
/// Linux v6.5, include/linux/pagemap.h, page_cache_sync_readahead().
func page_cache_sync_readahead(_ mapping: address_space, _ index: UInt) {
    yield_point("i_size")
    guard index < mapping.i_size, let page = ops.alloc_pages(GFP_HIGHUSER_MOVABLE, 0) else { return }
    if ops.add_to_page_cache_lru(page, mapping, index) == 0 { readpage(mapping, page) }
    ops.put_page(page)
}
