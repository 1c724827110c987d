// SPDX-License-Identifier: GPL-2.0-only
// mm/khugepaged.c of Linux v5.18-rc1: page tables below which a file has a huge page now.  They are freed, so that
// the next fault can map it by its pmd.
//
// The mmap_lock keeps faults away, the i_mmap lock reverse maps; hardware walks and GUP fast are over when the
// flush is, since CPUs that walk have interrupts off.  Known defects of this version, repaired later: see
// docs/fidelity/khugepaged.md.

import CKernel
import Simulation

func install_khugepaged_retract_v5_18(_ ops: kernel_ops) {
    ops.retract_page_tables = retract_page_tables
    ops.collapse_pte_mapped_thp = collapse_pte_mapped_thp
}

/// Notes an address at which the mm maps a huge page by ptes, or may keep an empty table; true if there was room.
/// Linux v5.18-rc1, mm/khugepaged.c, khugepaged_add_pte_mapped_thp().
@discardableResult
func khugepaged_add_pte_mapped_thp(_ mm: mm_struct, _ addr: UInt) -> Bool {
    BUG_ON(addr & ~PMD_MASK() != 0, "addr & ~HPAGE_PMD_MASK")
    spin_lock(kernel.khugepaged_mm_lock)
    var added = false
    if let mm_slot = get_mm_slot(mm), mm_slot.nr_pte_mapped_thp < MAX_PTE_MAPPED_THP {
        mm_slot.address(Int(mm_slot.nr_pte_mapped_thp)).pointee = addr
        mm_slot.nr_pte_mapped_thp += 1
        added = true
    }
    spin_unlock(kernel.khugepaged_mm_lock)
    return added
}

/// Linux v5.18-rc1, mm/khugepaged.c, collapse_and_free_pmd().
private func collapse_and_free_pmd(
    _ mm: mm_struct, _ vma: vm_area_struct, _ addr: UInt, _ pmdp: UnsafeMutablePointer<pmd_t>
) {
    let ptl = pmd_lock(mm, pmdp)
    let pmd = pmdp_collapse_flush(vma, addr, pmdp)
    spin_unlock(ptl)
    mm_dec_nr_ptes(mm)
    pte_free(mm, pmd_page_table(pmd))
}

/// Frees the page tables of all mappings of a range that are known to be empty: its pages were unmapped, and nobody
/// maps the huge page before it is unlocked.
/// Linux v5.18-rc1, mm/khugepaged.c, retract_page_tables().
private func retract_page_tables(
    _ mapping: address_space, _ pgoff: UInt, _ target_mm: mm_struct, _ target_addr: UInt, _ hpage: page,
    _ cc: UnsafeMutablePointer<collapse_control>
) -> Int32 {
    down_write(mapping.i_mmap_rwsem)
    var next = vma_interval_tree_first(mapping, pgoff, pgoff)
    while let vma = next {
        next = vma_interval_tree_next(mapping, vma, pgoff, pgoff)
        // A private mapping with pages of its own would soon split the pmd.  It may come by its first one behind
        // this look, but not here: a copy is made of a page of the file, and that is locked.
        yield_point("anon_vma")
        if vma.anon_vma != nil { continue }
        let addr = vma.vm_start &+ (pgoff &- vma.vm_pgoff) << UInt(PAGE_SHIFT)
        if addr & ~PMD_MASK() != 0 { continue }
        if vma.vm_end < addr + PMD_SIZE() { continue }
        let mm = vma.vm_mm
        guard let pmd = mm_find_pmd(mm, addr) else { continue }
        // Faults take mmap_lock first and then wait for the page.
        if down_write_trylock(mm.mmap_lock) {
            if !khugepaged_test_exit(mm) { collapse_and_free_pmd(mm, vma, addr, pmd) }
            mmap_write_unlock(mm)
        } else {
            khugepaged_add_pte_mapped_thp(mm, addr)
        }
    }
    up_write(mapping.i_mmap_rwsem)
    return SCAN_SUCCEED
}

/// Frees the page table at `addr` if it maps nothing but the file's huge page there.  mmap_lock is held for writing.
/// Linux v5.18-rc1, mm/khugepaged.c, collapse_pte_mapped_thp().
private func collapse_pte_mapped_thp(_ mm: mm_struct, _ addr: UInt, _ install_pmd: Bool) -> Int32 {
    let haddr = addr & PMD_MASK()
    guard let vma = vma_lookup(mm, haddr), let mapping = vma.vm_file, vma.vm_end >= haddr + PMD_SIZE() else {
        return SCAN_VMA_CHECK
    }
    // The huge page is there, whether or not this vma asked for it.
    if !ops.hugepage_vma_check(vma, vma.vm_flags | VM_HUGEPAGE, false, false, true) { return SCAN_VMA_CHECK }
    guard let hpage = ops.find_lock_page(mapping, linear_page_index(vma, haddr)) else { return SCAN_PAGE_NULL }
    var result = SCAN_FAIL
    if PageHead(hpage), let pmd = mm_find_pmd(mm, haddr) { result = retract_mapped_table(vma, haddr, pmd, hpage) }
    unlock_page(hpage)
    ops.put_page(hpage)
    return result
}

/// The part of collapse_pte_mapped_thp() that holds the locked huge page.
private func retract_mapped_table(
    _ vma: vm_area_struct, _ haddr: UInt, _ pmd: UnsafeMutablePointer<pmd_t>, _ hpage: page
) -> Int32 {
    let function: StaticString = "collapse_pte_mapped_thp"
    let mm = vma.vm_mm
    let ptl = pte_lockptr(mm, pmd)
    let start_pte = pte_offset_map(pmd, haddr)
    spin_lock(ptl, function)
    var count: Int32 = 0
    for i in 0..<hpage_pmd_nr {
        let pte = start_pte[i]
        if pte_none(pte) { continue }
        // Swapped out, or a private mapping's own page.
        guard pte_present(pte), pte_page(pte) === page_add(hpage, i) else {
            pte_unmap_unlock(start_pte, ptl, function)
            return SCAN_FAIL
        }
        count += 1
    }
    for i in 0..<hpage_pmd_nr where !pte_none(start_pte[i]) {
        ops.page_remove_rmap(pte_page(start_pte[i]), vma, false)
    }
    pte_unmap_unlock(start_pte, ptl, function)
    if count != 0 {
        yield_point("page_count", function)
        page_ref_sub(hpage, count)
        mm.rss(Int(mm_counter_file(hpage))).pointee -= Int(count)
    }
    collapse_and_free_pmd(mm, vma, haddr, pmd)
    return SCAN_SUCCEED
}

/// What was noted while the mm's mmap_lock was busy.
/// Linux v5.18-rc1, mm/khugepaged.c, khugepaged_collapse_pte_mapped_thps().
func khugepaged_collapse_pte_mapped_thps(_ mm_slot: khugepaged_mm_slot) {
    yield_point("nr_pte_mapped_thp")
    if mm_slot.nr_pte_mapped_thp == 0 { return }
    let mm = mm_slot.mm
    if !down_write_trylock(mm.mmap_lock) { return }
    if !khugepaged_test_exit(mm) {
        var i = 0
        while i < Int(mm_slot.nr_pte_mapped_thp) {
            _ = ops.collapse_pte_mapped_thp(mm, mm_slot.address(i).pointee, false)
            yield_point("nr_pte_mapped_thp")
            i += 1
        }
    }
    yield_point("nr_pte_mapped_thp")
    mm_slot.nr_pte_mapped_thp = 0
    mmap_write_unlock(mm)
}
