// SPDX-License-Identifier: GPL-2.0-only
// mm/khugepaged.c of Linux v5.18-rc1: collapse of a range of anonymous memory, whose page table is taken away
// before its pages are.  From v6.1 on MADV_COLLAPSE does the same without khugepaged's limits: is_khugepaged is false.

import CKernel
import Simulation

func install_khugepaged_anonymous_v5_18(_ ops: kernel_ops) {
    ops.khugepaged_scan_pmd = khugepaged_scan_pmd
    ops.collapse_huge_page = { collapse_huge_page($0, $1, $2, $3, $4, keepsProtection: false) }
}

// MARK: - Whether it is worth it

/// What the ptes of a range were found to be.
private struct FoundPtes {
    var none = 0, unmapped = 0, shared = 0, referenced: Int32 = 0
    var writable = false
}

/// Whether a range is worth a collapse; if so, collapses it, and drops mmap_lock for that.
/// Linux v5.18-rc1, mm/khugepaged.c, khugepaged_scan_pmd().
private func khugepaged_scan_pmd(
    _ mm: mm_struct, _ vma: vm_area_struct, _ address: UInt, _ mmap_locked: UnsafeMutablePointer<Bool>,
    _ cc: UnsafeMutablePointer<collapse_control>
) -> Int32 {
    BUG_ON(address & ~PMD_MASK() != 0, "address & ~HPAGE_PMD_MASK")
    guard let pmd = mm_find_pmd(mm, address) else { return SCAN_PMD_NULL }
    clear_node_load(cc)
    guard let (pte, ptl) = pte_offset_map_lock(mm, pmd, address) else { return SCAN_PMD_NULL }
    var found = FoundPtes()
    var result = SCAN_SUCCEED
    var i = 0
    while result == SCAN_SUCCEED && i < hpage_pmd_nr {
        result = scan_pte(vma, address + UInt(i) * PAGE_SIZE, pte[i], &found, cc)
        i += 1
    }
    if result == SCAN_SUCCEED {
        if !found.writable {
            result = SCAN_PAGE_RO
        } else if !cc.pointee.is_khugepaged {
            result = SCAN_SUCCEED
        } else if found.referenced == 0 || found.unmapped > 0 && Int(found.referenced) < hpage_pmd_nr / 2 {
            result = SCAN_LACK_REFERENCED_PAGE
        }
    }
    pte_unmap_unlock(pte, ptl)
    if result != SCAN_SUCCEED { return result }
    mmap_locked.pointee = false
    return ops.collapse_huge_page(mm, address, found.referenced, Int32(found.unmapped), cc)
}

/// The loop's body in khugepaged_scan_pmd().
private func scan_pte(
    _ vma: vm_area_struct, _ address: UInt, _ pteval: pte_t, _ found: UnsafeMutablePointer<FoundPtes>,
    _ cc: UnsafeMutablePointer<collapse_control>
) -> Int32 {
    let function: StaticString = "khugepaged_scan_pmd"
    let unlimited = !cc.pointee.is_khugepaged
    if is_swap_pte(pteval) {
        found.pointee.unmapped += 1
        if unlimited || found.pointee.unmapped <= khugepaged_max_ptes_swap {
            return pte_uffd_wp(pteval) ? SCAN_PTE_UFFD_WP : SCAN_SUCCEED
        }
        count_vm_events(Int32(THP_SCAN_EXCEED_SWAP_PTE.rawValue), 1)
        return SCAN_EXCEED_SWAP_PTE
    }
    if pte_none(pteval) {
        found.pointee.none += 1
        if !userfaultfd_armed(vma) && (unlimited || found.pointee.none <= khugepaged_max_ptes_none) {
            return SCAN_SUCCEED
        }
        count_vm_events(Int32(THP_SCAN_EXCEED_NONE_PTE.rawValue), 1)
        return SCAN_EXCEED_NONE_PTE
    }
    if pte_uffd_wp(pteval) { return SCAN_PTE_UFFD_WP }
    if pte_write(pteval) { found.pointee.writable = true }

    let page = pte_page(pteval)
    yield_point("mapcount", function)
    if page_mapcount(page) > 1 {
        found.pointee.shared += 1
        if !unlimited && found.pointee.shared > khugepaged_max_ptes_shared {
            count_vm_events(Int32(THP_SCAN_EXCEED_SHARED_PTE.rawValue), 1)
            return SCAN_EXCEED_SHARED_PTE
        }
    }
    let head = compound_head(page)
    node_load(cc, Int(head.nid)).pointee += 1
    yield_point("PageLRU", function)
    if !PageLRU(head) { return SCAN_PAGE_LRU }
    yield_point("PageLocked", function)
    if PageLocked(head) { return SCAN_PAGE_LOCK }
    if !PageAnon(head) { return SCAN_PAGE_ANON }
    yield_point("page_count", function)
    if !is_refcount_suitable(head) { return SCAN_PAGE_COUNT }
    if is_referenced(vma.vm_mm, address, pteval, head, function) { found.pointee.referenced += 1 }
    return SCAN_SUCCEED
}

/// Whether nobody but its mappings and the swap cache holds the page.
/// Linux v5.18-rc1, mm/khugepaged.c, is_refcount_suitable().
func is_refcount_suitable(_ page: page) -> Bool {
    var expected_refcount = total_mapcount(page)
    if PageSwapCache(page) { expected_refcount += compound_nr(page) }
    return page_count(page) == expected_refcount
}

func is_referenced(
    _ mm: mm_struct, _ address: UInt, _ pteval: pte_t, _ page: page, _ function: StaticString
) -> Bool {
    if pte_young(pteval) { return true }
    yield_point("PageReferenced", function)
    return PageReferenced(page) || mmu_notifier_test_young(mm, address)
}

// MARK: - Collapse

/// The vma at `address`, which khugepaged may still work on, after mmap_lock was dropped and taken again; nil and why
/// not otherwise.
/// Linux v5.18-rc1, mm/khugepaged.c, hugepage_vma_revalidate().
private func hugepage_vma_revalidate(
    _ mm: mm_struct, _ address: UInt, _ cc: UnsafeMutablePointer<collapse_control>
) -> (vma: vm_area_struct?, result: Int32) {
    if khugepaged_test_exit(mm) { return (nil, SCAN_ANY_PROCESS) }
    guard let vma = ops.find_vma(mm, address) else { return (nil, SCAN_VMA_NULL) }
    let (hstart, hend) = huge_page_range(vma)
    if address < hstart || address + PMD_SIZE() > hend { return (nil, SCAN_ADDRESS_RANGE) }
    if !ops.hugepage_vma_check(vma, vma.vm_flags, false, false, cc.pointee.is_khugepaged) {
        return (nil, SCAN_VMA_CHECK)
    }
    if vma.anon_vma == nil || !vma_is_anonymous(vma) { return (nil, SCAN_VMA_CHECK) }
    return (vma, SCAN_SUCCEED)
}

/// Brings in what is in swap.  mmap_lock is held before and after, and may have been dropped in between.
/// Linux v5.18-rc1, mm/khugepaged.c, __collapse_huge_page_swapin().
private func __collapse_huge_page_swapin(
    _ mm: mm_struct, _ first: vm_area_struct, _ haddr: UInt, _ pmd: UnsafeMutablePointer<pmd_t>,
    _ cc: UnsafeMutablePointer<collapse_control>
) -> Bool {
    var vma = first
    var swapped_in = 0
    for address in stride(from: haddr, to: haddr + PMD_SIZE(), by: Int(PAGE_SIZE)) {
        guard let (pte, _) = pte_offset_map_nolock(mm, pmd, address) else { return false }
        yield_point("pte")
        let orig_pte = pte.pointee
        if !is_swap_pte(orig_pte) {
            ops.pte_unmap(pte)
            continue
        }
        var vmf = vm_fault(
            vma: vma, flags: FAULT_FLAG_ALLOW_RETRY, address: address, pgoff: linear_page_index(vma, haddr),
            pmd: pmd, pte: pte, ptl: nil, orig_pte: orig_pte, orig_pmd: __pmd(0), cow_page: nil, page: nil,
            prealloc_pte: nil)
        swapped_in += 1
        let ret = ops.do_swap_page(&vmf)
        if ret & VM_FAULT_RETRY != 0 {
            down_read(mm.mmap_lock)
            guard let found = hugepage_vma_revalidate(mm, haddr, cc).vma else { return false }
            vma = found
            if mm_find_pmd(mm, haddr) != pmd { return false }
        }
        if ret & VM_FAULT_ERROR != 0 { return false }
    }
    // The batch holds a reference.
    if swapped_in > 0 { ops.lru_add_drain() }
    return true
}

/// mmap_lock is held for reading, and dropped.
/// Linux v5.18-rc1, mm/khugepaged.c, collapse_huge_page().
///
/// - Parameter keepsProtection: gives up where userfaultfd has protected a page since the scan, as from v6.4 on.
func collapse_huge_page(
    _ mm: mm_struct, _ address: UInt, _ referenced: Int32, _ unmapped: Int32,
    _ cc: UnsafeMutablePointer<collapse_control>, keepsProtection: Bool
) -> Int32 {
    // An allocation may take long.
    up_read(mm.mmap_lock)
    guard let new_page = khugepaged_alloc_page(cc) else { return SCAN_ALLOC_HUGE_PAGE_FAIL }

    down_read(mm.mmap_lock)
    let (before, checked) = hugepage_vma_revalidate(mm, address, cc)
    guard let before else {
        up_read(mm.mmap_lock)
        return checked
    }
    guard let pmd = mm_find_pmd(mm, address) else {
        up_read(mm.mmap_lock)
        return SCAN_PMD_NULL
    }
    let swapped_in = unmapped == 0 || __collapse_huge_page_swapin(mm, before, address, pmd, cc)
    up_read(mm.mmap_lock)
    if !swapped_in { return SCAN_FAIL }

    // Nobody may use the page table but GUP fast and reverse maps.
    down_write(mm.mmap_lock)
    let (found, result) = hugepage_vma_revalidate(mm, address, cc)
    guard let vma = found else {
        mmap_write_unlock(mm)
        return result
    }
    let collapsed =
        mm_find_pmd(mm, address) == pmd
        ? collapse_table(vma, address, pmd, new_page, cc, keepsProtection: keepsProtection) : SCAN_FAIL
    if collapsed == SCAN_SUCCEED { cc.pointee.hpage = nil }
    mmap_write_unlock(mm)
    return collapsed
}

/// The part of collapse_huge_page() that holds mmap_lock for writing.
private func collapse_table(
    _ vma: vm_area_struct, _ address: UInt, _ pmd: UnsafeMutablePointer<pmd_t>, _ new_page: page,
    _ cc: UnsafeMutablePointer<collapse_control>, keepsProtection: Bool
) -> Int32 {
    let function: StaticString = "collapse_huge_page"
    let mm = vma.vm_mm
    let anon_vma = vma.anon_vma!
    let compound_pagelist = LIST_HEAD()
    defer { leaveFrame(compound_pagelist) }

    // From v6.4 on: faults that hold the vma's lock alone.
    vma_start_write(vma)
    down_write(anon_vma.root.rwsem, function)
    var range = mmu_notifier_range(
        vma: nil, mm: mm, start: address, end: address + PMD_SIZE(), event: MMU_NOTIFY_CLEAR.rawValue)
    ops.mmu_notifier_invalidate_range_start(&range)
    let pte_ptl = pte_lockptr(mm, pmd)
    let pte = pte_offset_map(pmd, address)
    let pmd_ptl = pmd_lock(mm, pmd, function)
    // Walks of hardware and GUP fast end here.
    let _pmd = pmdp_collapse_flush(vma, address, pmd, function)
    spin_unlock(pmd_ptl, function)
    ops.mmu_notifier_invalidate_range_end(&range)

    spin_lock(pte_ptl, function)
    let result = __collapse_huge_page_isolate(
        vma, address, pte, compound_pagelist, cc, keepsProtection: keepsProtection)
    spin_unlock(pte_ptl, function)
    if result != SCAN_SUCCEED {
        spin_lock(pmd_ptl, function)
        BUG_ON(!pmd_none(pmd.pointee), "!pmd_none(*pmd)", function)
        pmd_populate(mm, pmd, pmd_page_table(_pmd), function)
        spin_unlock(pmd_ptl, function)
        up_write(anon_vma.root.rwsem, function)
        return result
    }
    // The pages are locked and isolated: reverse maps have no business here any more.
    up_write(anon_vma.root.rwsem, function)

    __collapse_huge_page_copy(pte, new_page, vma, address, pte_ptl, compound_pagelist)
    SetPageUptodate(new_page)
    let entry = maybe_pmd_mkwrite(pmd_mkdirty(mk_huge_pmd(new_page, vm_page_prot(vma))), vma)

    spin_lock(pmd_ptl, function)
    BUG_ON(!pmd_none(pmd.pointee), "!pmd_none(*pmd)", function)
    ops.page_add_new_anon_rmap(new_page, vma, address, true)
    ops.lru_cache_add_inactive_or_unevictable(new_page, vma)
    pgtable_trans_huge_deposit(mm, pmd, pmd_page_table(_pmd))
    set_pmd_at(mm, address, pmd, entry, function)
    spin_unlock(pmd_ptl, function)
    return SCAN_SUCCEED
}
