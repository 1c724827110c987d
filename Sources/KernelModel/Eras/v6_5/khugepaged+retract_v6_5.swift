// SPDX-License-Identifier: GPL-2.0-only
// mm/khugepaged.c of Linux v6.5: page tables whose ptes map a huge page of a file, or none any more, go, so that
// the next fault, or the collapse itself, can map the huge page by its pmd.
//
// Left out: page_table_check (a debugging aid).

import CKernel
import Simulation

func install_khugepaged_retract_v6_5(_ ops: kernel_ops) {
    ops.collapse_pte_mapped_thp = collapse_pte_mapped_thp
    ops.retract_page_tables = retract_page_tables
}

// MARK: - One page table

/// Maps the huge page, which is locked, by an empty pmd.
/// Linux v6.5, mm/khugepaged.c, set_huge_pmd().
func set_huge_pmd(
    _ vma: vm_area_struct, _ addr: UInt, _ pmdp: UnsafeMutablePointer<pmd_t>, _ hpage: page
) -> Int32 {
    var vmf = vm_fault(
        vma: vma, flags: 0, address: addr, pgoff: linear_page_index(vma, addr), pmd: pmdp, pte: nil, ptl: nil,
        orig_pte: __pte(0), orig_pmd: __pmd(0), cow_page: nil, page: nil, prealloc_pte: nil)
    VM_BUG_ON_PAGE(!PageTransHuge(hpage), "!PageTransHuge(hpage)")
    if ops.do_set_pmd(&vmf, hpage) != 0 { return SCAN_FAIL }
    yield_point("page_count")
    get_page(hpage)
    return SCAN_SUCCEED
}

/// mmap_lock, the vma's lock, i_mmap_rwsem and the anon_vma's lock keep everybody out but the hardware and fast GUP.
/// Linux v6.5, mm/khugepaged.c, collapse_and_free_pmd().
private func collapse_and_free_pmd(
    _ mm: mm_struct, _ vma: vm_area_struct, _ addr: UInt, _ pmdp: UnsafeMutablePointer<pmd_t>
) {
    var range = mmu_notifier_range(
        vma: vma, mm: mm, start: addr, end: addr + PMD_SIZE(), event: MMU_NOTIFY_CLEAR.rawValue)
    ops.mmu_notifier_invalidate_range_start(&range)
    let pmd = pmdp_collapse_flush(vma, addr, pmdp)
    tlb_remove_table_sync_one()
    ops.mmu_notifier_invalidate_range_end(&range)
    mm_dec_nr_ptes(mm)
    pte_free(mm, pmd_page_table(pmd))
}

/// If all ptes at `addr` map the huge page that belongs there, or nothing, gets rid of them and their table, and
/// with `install_pmd` maps the page by the pmd.  mmap_lock is held for writing.
/// Linux v6.5, mm/khugepaged.c, collapse_pte_mapped_thp().
private func collapse_pte_mapped_thp(_ mm: mm_struct, _ addr: UInt, _ install_pmd: Bool) -> Int32 {
    let haddr = addr & PMD_MASK()
    let (result, pmd) = find_pmd_or_thp_or_none(mm, haddr)
    if result == SCAN_PMD_MAPPED { return result }

    guard let vma = vma_lookup(mm, haddr), let file = vma.vm_file, vma.vm_end >= haddr + PMD_SIZE() else {
        return SCAN_VMA_CHECK
    }
    // The huge page is there: a fault would map it whatever sysfs says.
    if !ops.hugepage_vma_check(vma, vma.vm_flags, false, false, false) { return SCAN_VMA_CHECK }
    // There may be markers in the table.
    if userfaultfd_wp(vma) { return SCAN_PTE_UFFD_WP }

    guard let hpage = ops.find_lock_page(file, linear_page_index(vma, haddr)) else { return SCAN_PAGE_NULL }
    let collapsed = collapse_ptes(vma, haddr, pmd, hpage, result, install_pmd)
    unlock_page(hpage)
    ops.put_page(hpage)
    return collapsed
}

/// The part of collapse_pte_mapped_thp() under the page lock.
private func collapse_ptes(
    _ vma: vm_area_struct, _ haddr: UInt, _ pmd: UnsafeMutablePointer<pmd_t>, _ hpage: page, _ result: Int32,
    _ install_pmd: Bool
) -> Int32 {
    let function: StaticString = "collapse_pte_mapped_thp"
    let mm = vma.vm_mm
    let mapping = vma.vm_file!
    if !PageHead(hpage) { return SCAN_FAIL }
    if UInt8(thp_order(hpage)) != kernel.hpage_pmd_order { return SCAN_PAGE_COMPOUND }
    switch result {
    case SCAN_SUCCEED: break
    // Somebody else got rid of the table.
    case SCAN_PMD_NONE: return install_pmd ? set_huge_pmd(vma, haddr, pmd, hpage) : SCAN_SUCCEED
    default: return result
    }

    vma_start_write(vma)
    down_write(mapping.i_mmap_rwsem, function)
    guard let (start_pte, ptl) = pte_offset_map_lock(mm, pmd, haddr, function) else {
        up_write(mapping.i_mmap_rwsem, function)
        return SCAN_FAIL
    }
    // Step 1: are all ptes those of the huge page?
    let (checked, count) = check_ptes(mm, start_pte, hpage)
    guard checked == SCAN_SUCCEED else {
        pte_unmap_unlock(start_pte, ptl, function)
        up_write(mapping.i_mmap_rwsem, function)
        return checked
    }
    // Step 2: the rmap.
    for i in 0..<hpage_pmd_nr where !pte_none(start_pte[i]) {
        ops.page_remove_rmap(pte_page(start_pte[i]), vma, false)
    }
    pte_unmap_unlock(start_pte, ptl, function)

    // Step 3: references and counters.
    if count > 0 {
        yield_point("page_count", function)
        page_ref_sub(hpage, Int32(count))
        mm.rss(Int(mm_counter_file(hpage))).pointee -= count
    }

    // Step 4: the table.  Walks that look for anonymous pages would still come to it.
    let anon_vma = vma.anon_vma
    if let anon_vma { down_write(anon_vma.root.rwsem, function) }
    collapse_and_free_pmd(mm, vma, haddr, pmd)
    if let anon_vma { up_write(anon_vma.root.rwsem, function) }
    up_write(mapping.i_mmap_rwsem, function)

    // Step 5: the pmd.
    return install_pmd ? set_huge_pmd(vma, haddr, pmd, hpage) : SCAN_SUCCEED
}

/// How many ptes map their part of the huge page, if all that map anything do.
private func check_ptes(
    _ mm: mm_struct, _ start_pte: UnsafeMutablePointer<pte_t>, _ hpage: page
) -> (result: Int32, count: Int) {
    var count = 0
    for i in 0..<hpage_pmd_nr {
        noteCost(EVENT_pte_visit, UInt(mm.number), 1)
        if pte_none(start_pte[i]) { continue }
        if !pte_present(start_pte[i]) { return (SCAN_PTE_NON_PRESENT, count) }
        // A private mapping may have a copy.
        if pte_page(start_pte[i]) !== page_add(hpage, i) { return (SCAN_FAIL, count) }
        count += 1
    }
    return (SCAN_SUCCEED, count)
}

// MARK: - The page tables of all mappings

/// Gets rid of the page tables at `pgoff` in all mappings of the file, if they can be locked at once; the target,
/// with MADV_COLLAPSE, is mapped anew by its pmd, and the others are left to khugepaged.  The huge page is locked,
/// so the tables are empty.
/// Linux v6.5, mm/khugepaged.c, retract_page_tables().
private func retract_page_tables(
    _ mapping: address_space, _ pgoff: UInt, _ target_mm: mm_struct, _ target_addr: UInt, _ hpage: page,
    _ cc: UnsafeMutablePointer<collapse_control>
) -> Int32 {
    var target_result = SCAN_FAIL
    down_write(mapping.i_mmap_rwsem)
    var next = vma_interval_tree_first(mapping, pgoff, pgoff)
    while let vma = next {
        let mm = vma.vm_mm
        let addr = vma.vm_start &+ (pgoff &- vma.vm_pgoff) << UInt(PAGE_SHIFT)
        let is_target = mm === target_mm && addr == target_addr
        let result = retract_page_table(vma, addr, hpage, cc, is_target: is_target)
        if is_target { target_result = result }
        next = vma_interval_tree_next(mapping, vma, pgoff, pgoff)
    }
    up_write(mapping.i_mmap_rwsem)
    return target_result
}

/// One mapping.
private func retract_page_table(
    _ vma: vm_area_struct, _ addr: UInt, _ hpage: page, _ cc: UnsafeMutablePointer<collapse_control>,
    is_target: Bool
) -> Int32 {
    let function: StaticString = "retract_page_tables"
    let mm = vma.vm_mm
    // Private mappings that were written to would be split soon.  Looked at again under mmap_lock.
    yield_point("anon_vma", function)
    if vma.anon_vma != nil { return SCAN_PAGE_ANON }
    if addr & ~PMD_MASK() != 0 || vma.vm_end < addr + PMD_SIZE() { return SCAN_VMA_CHECK }
    let (result, pmd) = find_pmd_or_thp_or_none(mm, addr)
    if result != SCAN_SUCCEED { return result }

    // Faults take mmap_lock first and the page lock then.  Who called sees to the target, khugepaged to the others.
    guard cc.pointee.is_khugepaged || is_target, down_write_trylock(mm.mmap_lock, function) else {
        if !is_target { khugepaged_add_pte_mapped_thp(mm, addr) }
        return SCAN_PTE_MAPPED_HUGEPAGE
    }
    defer { mmap_write_unlock(mm, function) }
    if !vma_try_start_write(vma) { return SCAN_PTE_MAPPED_HUGEPAGE }
    // Faults set it while they only read mmap_lock.
    if vma.anon_vma != nil { return SCAN_PAGE_ANON }
    if hpage_collapse_test_exit(mm) { return SCAN_ANY_PROCESS }
    // There may be markers in the table.
    if userfaultfd_wp(vma) { return SCAN_PTE_UFFD_WP }
    collapse_and_free_pmd(mm, vma, addr, pmd)
    return !cc.pointee.is_khugepaged && is_target ? set_huge_pmd(vma, addr, pmd, hpage) : SCAN_SUCCEED
}
