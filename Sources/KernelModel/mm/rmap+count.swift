// SPDX-License-Identifier: GPL-2.0-only
// mm/rmap.c of Linux v5.13: counting a page's mappings, by pte and by pmd.
//
// Left out: memory cgroups, hugetlb, KSM.

import CKernel
import Simulation

func install_rmap_count(_ ops: kernel_ops) {
    ops.page_move_anon_rmap = page_move_anon_rmap
    ops.page_add_anon_rmap = page_add_anon_rmap
    ops.do_page_add_anon_rmap = do_page_add_anon_rmap
    ops.page_add_new_anon_rmap = page_add_new_anon_rmap
    ops.page_add_file_rmap = page_add_file_rmap
    ops.page_remove_rmap = page_remove_rmap
}

private func account(_ item: node_stat_item, _ delta: Int) {
    mod_node_page_state(Int32(item.rawValue), delta)
}

/// One mapping more: true if it is the first (atomic_inc_and_test()).
private func inc_and_test(_ mapcount: Int32) -> (Int32, Bool) {
    (mapcount + 1, mapcount + 1 == 0)
}

// MARK: - Anonymous pages

/// The page belongs to this vma alone now.  Linux v5.13, mm/rmap.c, page_move_anon_rmap().
func page_move_anon_rmap(_ page: page, _ vma: vm_area_struct) {
    let head = compound_head(page)
    VM_BUG_ON_PAGE(!PageLocked(head), "!PageLocked(page)")
    VM_BUG_ON_PAGE(vma.anon_vma == nil, "!anon_vma")
    yield_point("mapping")
    set_page_anon_mapping(head, vma.anon_vma!)
}

/// Linux v5.13, mm/rmap.c, __page_set_anon_rmap().
func __page_set_anon_rmap(_ page: page, _ vma: vm_area_struct, _ address: UInt, exclusive: Bool) {
    BUG_ON(vma.anon_vma == nil, "!anon_vma")
    if PageAnon(page) { return }
    // Unless the page is known to be this vma's alone, its root reaches every vma that may map it.
    let anon_vma = exclusive ? vma.anon_vma! : vma.anon_vma!.root
    set_page_anon_mapping(page, anon_vma)
    page.index = linear_page_index(vma, address)
}

/// Linux v5.13, mm/rmap.c, __page_check_anon_rmap().
func __page_check_anon_rmap(_ page: page, _ vma: vm_area_struct, _ address: UInt) {
    VM_BUG_ON_PAGE(page_anon_vma(page)?.root !== vma.anon_vma?.root, "page_anon_vma(page)->root != vma->anon_vma->root")
    VM_BUG_ON_PAGE(
        page_to_pgoff(page) != linear_page_index(vma, address), "page_to_pgoff(page) != linear_page_index(vma, address)"
    )
}

/// Linux v5.13, mm/rmap.c, page_add_anon_rmap().
private func page_add_anon_rmap(_ page: page, _ vma: vm_area_struct, _ address: UInt, _ compound: Bool) {
    ops.do_page_add_anon_rmap(page, vma, address, compound, false)
}

/// Linux v5.13, mm/rmap.c, do_page_add_anon_rmap().
private func do_page_add_anon_rmap(
    _ page: page, _ vma: vm_area_struct, _ address: UInt, _ compound: Bool, _ exclusive: Bool
) {
    VM_BUG_ON_PAGE(!PageLocked(page), "!PageLocked(page)")
    yield_point("mapcount")
    let first: Bool
    if compound {
        VM_BUG_ON_PAGE(!PageTransHuge(page), "!PageTransHuge(page)")
        (page.compound_mapcount, first) = inc_and_test(page.compound_mapcount)
    } else {
        (page._mapcount, first) = inc_and_test(page._mapcount)
    }
    guard first else {
        __page_check_anon_rmap(page, vma, address)
        return
    }
    let nr = compound ? Int(thp_nr_pages(page)) : 1
    if compound { account(NR_ANON_THPS, nr) }
    account(NR_ANON_MAPPED, nr)
    __page_set_anon_rmap(page, vma, address, exclusive: exclusive)
}

/// The first mapping of a page that nobody else can see.  Linux v5.13, mm/rmap.c, page_add_new_anon_rmap().
func page_add_new_anon_rmap(_ page: page, _ vma: vm_area_struct, _ address: UInt, _ compound: Bool) {
    VM_BUG_ON_PAGE(address < vma.vm_start || address >= vma.vm_end, "address outside vma")
    SetPageSwapBacked(page)
    let nr = compound ? Int(thp_nr_pages(page)) : 1
    if compound {
        VM_BUG_ON_PAGE(!PageTransHuge(page), "!PageTransHuge(page)")
        page.compound_mapcount = 0
        account(NR_ANON_THPS, nr)
    } else {
        // An anonymous huge page is mapped by a pmd first.
        VM_BUG_ON_PAGE(PageTransCompound(page), "PageTransCompound(page)")
        page._mapcount = 0
    }
    account(NR_ANON_MAPPED, nr)
    __page_set_anon_rmap(page, vma, address, exclusive: true)
}

// MARK: - File pages

func pmdmapped(_ page: page) -> node_stat_item {
    PageSwapBacked(page) ? NR_SHMEM_PMDMAPPED : NR_FILE_PMDMAPPED
}

/// Linux v5.13, mm/rmap.c, page_add_file_rmap().
private func page_add_file_rmap(_ page: page, _ vma: vm_area_struct, _ compound: Bool) {
    yield_point("mapcount")
    var nr = 1
    if compound && PageTransHuge(page) {
        let nr_pages = Int(thp_nr_pages(page))
        nr = 0
        for i in 0..<nr_pages {
            let subpage = page_add(page, i)
            let (mapcount, first) = inc_and_test(subpage._mapcount)
            subpage._mapcount = mapcount
            if first { nr += 1 }
        }
        let (mapcount, first) = inc_and_test(page.compound_mapcount)
        page.compound_mapcount = mapcount
        if !first { return }
        account(pmdmapped(page), nr_pages)
    } else {
        if PageTransCompound(page) && page_file_mapping(page) != nil {
            // Mapped by ptes as well: it cannot stay mlocked.
            SetPageDoubleMap(compound_head(page))
            if PageMlocked(page) { ops.clear_page_mlock(compound_head(page)) }
        }
        let (mapcount, first) = inc_and_test(page._mapcount)
        page._mapcount = mapcount
        if !first { return }
    }
    account(NR_FILE_MAPPED, nr)
}

/// Linux v5.13, mm/rmap.c, page_remove_file_rmap().
private func page_remove_file_rmap(_ page: page, _ compound: Bool) {
    VM_BUG_ON_PAGE(compound && !PageHead(page), "compound && !PageHead(page)")
    var nr = 1
    if compound && PageTransHuge(page) {
        let nr_pages = Int(thp_nr_pages(page))
        nr = 0
        for i in 0..<nr_pages {
            let subpage = page_add(page, i)
            subpage._mapcount -= 1
            if subpage._mapcount < 0 { nr += 1 }
        }
        page.compound_mapcount -= 1
        if page.compound_mapcount >= 0 { return }
        account(pmdmapped(page), -nr_pages)
    } else {
        page._mapcount -= 1
        if page._mapcount >= 0 { return }
    }
    account(NR_FILE_MAPPED, -nr)
    yield_point("PageMlocked", "page_remove_rmap")
    if PageMlocked(page) { ops.clear_page_mlock(compound_head(page)) }
}

// MARK: - One mapping less

/// Linux v5.13, mm/rmap.c, page_remove_anon_compound_rmap().
private func page_remove_anon_compound_rmap(_ page: page) {
    page.compound_mapcount -= 1
    if page.compound_mapcount >= 0 { return }
    let nr_pages = Int(thp_nr_pages(page))
    account(NR_ANON_THPS, -nr_pages)
    var nr = nr_pages
    if TestClearPageDoubleMap(page) {
        // Some of its pages may still be mapped by ptes.
        nr = 0
        for i in 0..<nr_pages {
            let subpage = page_add(page, i)
            subpage._mapcount -= 1
            if subpage._mapcount < 0 { nr += 1 }
        }
        if nr != 0 && nr < nr_pages { ops.deferred_split_huge_page(page) }
    }
    yield_point("PageMlocked", "page_remove_rmap")
    if PageMlocked(page) { ops.clear_page_mlock(page) }
    if nr != 0 { account(NR_ANON_MAPPED, -nr) }
}

/// Linux v5.13, mm/rmap.c, page_remove_rmap().
private func page_remove_rmap(_ page: page, _ vma: vm_area_struct, _ compound: Bool) {
    yield_point("mapcount")
    guard PageAnon(page) else {
        page_remove_file_rmap(page, compound)
        return
    }
    guard !compound else {
        page_remove_anon_compound_rmap(page)
        return
    }
    page._mapcount -= 1
    if page._mapcount >= 0 { return }
    account(NR_ANON_MAPPED, -1)
    // It may be a page that mlock could not reach, or one that munlock has not come to yet.
    yield_point("PageMlocked")
    if PageMlocked(page) { ops.clear_page_mlock(compound_head(page)) }
    if PageTransCompound(page) { ops.deferred_split_huge_page(compound_head(page)) }
}
