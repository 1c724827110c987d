// SPDX-License-Identifier: GPL-2.0-only
// mm/rmap.c of Linux v5.18-rc1: counting a page's mappings.  Each that comes or goes in a VM_LOCKED vma is told to
// mm/mlock.c, so that PG_mlocked needs no other care, and the last unmap leaves it alone.
//
// Left out: memory cgroups, hugetlb, KSM.

import CKernel
import Simulation

func install_rmap_count_v5_18(_ ops: kernel_ops) {
    ops.do_page_add_anon_rmap = add_anon_rmap
    ops.page_add_file_rmap = page_add_file_rmap
    ops.page_remove_rmap = page_remove_rmap
}

private func account(_ item: node_stat_item, _ delta: Int) {
    mod_node_page_state(Int32(item.rawValue), delta)
}

// MARK: - One mapping more

/// Linux v5.18-rc1, mm/rmap.c, do_page_add_anon_rmap().
func add_anon_rmap(
    _ page: page, _ vma: vm_area_struct, _ address: UInt, _ compound: Bool, _ exclusive: Bool
) {
    VM_BUG_ON_PAGE(!PageLocked(page), "!PageLocked(page)")
    yield_point("mapcount")
    let first: Bool
    if compound {
        VM_BUG_ON_PAGE(!PageTransHuge(page), "!PageTransHuge(page)")
        page.compound_mapcount += 1
        first = page.compound_mapcount == 0
    } else {
        page._mapcount += 1
        first = page._mapcount == 0
    }
    if first {
        let nr = compound ? Int(thp_nr_pages(page)) : 1
        if compound { account(NR_ANON_THPS, nr) }
        account(NR_ANON_MAPPED, nr)
        __page_set_anon_rmap(page, vma, address, exclusive: exclusive)
    } else {
        __page_check_anon_rmap(page, vma, address)
    }
    mlock_vma_page(page, vma, compound)
}

/// Linux v5.18-rc1, mm/rmap.c, page_add_file_rmap().
private func page_add_file_rmap(_ page: page, _ vma: vm_area_struct, _ compound: Bool) {
    VM_BUG_ON_PAGE(compound && !PageTransHuge(page), "compound && !PageTransHuge(page)")
    yield_point("mapcount")
    var nr = 0
    if compound {
        let nr_pages = Int(thp_nr_pages(page))
        for i in 0..<nr_pages {
            let subpage = page_add(page, i)
            subpage._mapcount += 1
            if subpage._mapcount == 0 { nr += 1 }
        }
        page.compound_mapcount += 1
        if page.compound_mapcount == 0 {
            // All who map it by a pmd hold the page lock, as do those that set the mark: here it can go.
            if nr == nr_pages { ClearPageDoubleMap(page) }
            account(pmdmapped(page), nr_pages)
        }
    } else {
        if PageTransCompound(page) && page_file_mapping(page) != nil { SetPageDoubleMap(compound_head(page)) }
        page._mapcount += 1
        if page._mapcount == 0 { nr = 1 }
    }
    if nr != 0 { account(NR_FILE_MAPPED, nr) }
    mlock_vma_page(page, vma, compound)
}

// MARK: - One mapping less

/// Linux v5.18-rc1, mm/rmap.c, page_remove_file_rmap().
private func page_remove_file_rmap(_ page: page, _ compound: Bool) {
    VM_BUG_ON_PAGE(compound && !PageHead(page), "compound && !PageHead(page)")
    var nr = 0
    if compound && PageTransHuge(page) {
        let nr_pages = Int(thp_nr_pages(page))
        for i in 0..<nr_pages {
            let subpage = page_add(page, i)
            subpage._mapcount -= 1
            if subpage._mapcount < 0 { nr += 1 }
        }
        page.compound_mapcount -= 1
        if page.compound_mapcount < 0 { account(pmdmapped(page), -nr_pages) }
    } else {
        page._mapcount -= 1
        if page._mapcount < 0 { nr = 1 }
    }
    if nr != 0 { account(NR_FILE_MAPPED, -nr) }
}

/// Linux v5.18-rc1, mm/rmap.c, page_remove_anon_compound_rmap().
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
    if nr != 0 { account(NR_ANON_MAPPED, -nr) }
}

/// The part of page_remove_rmap() before its label out.
private func remove_mapping_of(_ page: page, _ compound: Bool) {
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
    if PageTransCompound(page) { ops.deferred_split_huge_page(compound_head(page)) }
}

/// Linux v5.18-rc1, mm/rmap.c, page_remove_rmap().
private func page_remove_rmap(_ page: page, _ vma: vm_area_struct, _ compound: Bool) {
    yield_point("mapcount")
    remove_mapping_of(page, compound)
    munlock_vma_page(page, vma, compound)
}
