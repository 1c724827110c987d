// SPDX-License-Identifier: GPL-2.0-only
// mm/khugepaged.c of Linux v5.18-rc1: the small pages of a range of anonymous memory, on their way into a huge page.

import CKernel
import Simulation

/// Linux v5.18-rc1, mm/khugepaged.c, release_pte_page().
private func release_pte_page(_ page: page) {
    count_isolated(page, -1)
    unlock_page(page)
    ops.putback_lru_page(page)
}

/// One page more or less is isolated, whole.
private func count_isolated(_ page: page, _ sign: Int) {
    let item = page_is_file_lru(page) ? NR_ISOLATED_FILE : NR_ISOLATED_ANON
    mod_node_page_state(Int32(item.rawValue), sign * Int(compound_nr(page)))
}

/// Gives back the pages of the first `count` ptes.
/// Linux v5.18-rc1, mm/khugepaged.c, release_pte_pages().
private func release_pte_pages(
    _ pte: UnsafeMutablePointer<pte_t>, _ count: Int, _ compound_pagelist: list_head
) {
    for i in stride(from: count - 1, through: 0, by: -1) where !pte_none(pte[i]) {
        let page = pte_page(pte[i])
        if !PageCompound(page) { release_pte_page(page) }
    }
    while !list_empty(compound_pagelist) {
        let page = lru_to_page(compound_pagelist.next)
        list_del(page.lru)
        release_pte_page(page)
    }
}

/// Locks the pages of all ptes and takes them off the LRU, or none.  The page table lock is held.
/// Linux v5.18-rc1, mm/khugepaged.c, __collapse_huge_page_isolate().
func __collapse_huge_page_isolate(
    _ vma: vm_area_struct, _ address: UInt, _ pte: UnsafeMutablePointer<pte_t>, _ compound_pagelist: list_head,
    _ cc: UnsafeMutablePointer<collapse_control>, keepsProtection: Bool
) -> Int32 {
    let unlimited = !cc.pointee.is_khugepaged
    var none = 0
    var shared = 0
    var referenced = 0
    var writable = false
    for i in 0..<hpage_pmd_nr {
        let pteval = pte[i]
        if pte_none(pteval) {
            none += 1
            if !userfaultfd_armed(vma) && (unlimited || none <= khugepaged_max_ptes_none) { continue }
            count_vm_events(Int32(THP_SCAN_EXCEED_NONE_PTE.rawValue), 1)
            release_pte_pages(pte, i, compound_pagelist)
            return SCAN_EXCEED_NONE_PTE
        }
        if !pte_present(pteval) {
            release_pte_pages(pte, i, compound_pagelist)
            return SCAN_PTE_NON_PRESENT
        }
        if keepsProtection && pte_uffd_wp(pteval) {
            release_pte_pages(pte, i, compound_pagelist)
            return SCAN_PTE_UFFD_WP
        }
        let subpage = pte_page(pteval)
        VM_BUG_ON_PAGE(!PageAnon(subpage), "!PageAnon(page)")
        yield_point("mapcount")
        if page_mapcount(subpage) > 1 {
            shared += 1
            if !unlimited && shared > khugepaged_max_ptes_shared {
                count_vm_events(Int32(THP_SCAN_EXCEED_SHARED_PTE.rawValue), 1)
                release_pte_pages(pte, i, compound_pagelist)
                return SCAN_EXCEED_SHARED_PTE
            }
        }
        let page = compound_head(subpage)
        if !contains(compound_pagelist, page) {
            let result = isolate_page(page, compound_pagelist)
            if result != SCAN_SUCCEED {
                release_pte_pages(pte, i, compound_pagelist)
                return result
            }
        }
        let at = address + UInt(i) * PAGE_SIZE
        if is_referenced(vma.vm_mm, at, pteval, page, "__collapse_huge_page_isolate") { referenced += 1 }
        if pte_write(pteval) { writable = true }
    }
    if writable && (unlimited || referenced > 0) { return SCAN_SUCCEED }
    release_pte_pages(pte, hpage_pmd_nr, compound_pagelist)
    return writable ? SCAN_FAIL : SCAN_PAGE_RO
}

private func contains(_ compound_pagelist: list_head, _ page: page) -> Bool {
    var entry = compound_pagelist.next
    while entry !== compound_pagelist {
        if lru_to_page(entry) === page { return true }
        entry = entry.next
    }
    return false
}

/// Locks a page, which keeps a split away, and takes it off the LRU.
private func isolate_page(_ page: page, _ compound_pagelist: list_head) -> Int32 {
    let function: StaticString = "__collapse_huge_page_isolate"
    if !trylock_page(page, function) { return SCAN_PAGE_LOCK }
    // The mm itself cannot pin it any more; a process that shares it can, but not to write.
    yield_point("page_count", function)
    if !is_refcount_suitable(page) {
        unlock_page(page, function)
        return SCAN_PAGE_COUNT
    }
    if ops.isolate_lru_page(page) != 0 {
        unlock_page(page, function)
        return SCAN_DEL_PAGE_LRU
    }
    count_isolated(page, 1)
    VM_BUG_ON_PAGE(!PageLocked(page), "!PageLocked(page)", function)
    VM_BUG_ON_PAGE(PageLRU(page), "PageLRU(page)", function)
    if PageCompound(page) { list_add_tail(page.lru, compound_pagelist) }
    return SCAN_SUCCEED
}

/// Copies the pages, or zeros for none, into the huge page, and gives them up.
/// Linux v5.18-rc1, mm/khugepaged.c, __collapse_huge_page_copy().
func __collapse_huge_page_copy(
    _ pte: UnsafeMutablePointer<pte_t>, _ hpage: page, _ vma: vm_area_struct, _ address: UInt, _ ptl: spinlock_t,
    _ compound_pagelist: list_head
) {
    let mm = vma.vm_mm
    might_sleep()
    for i in 0..<hpage_pmd_nr {
        if pte_none(pte[i]) {
            page_add(hpage, i).contents = 0
            mm.rss(Int(MM_ANONPAGES.rawValue)).pointee += 1
            continue
        }
        let src_page = pte_page(pte[i])
        yield_point("contents")
        page_add(hpage, i).contents = src_page.contents
        if !PageCompound(src_page) { release_pte_page(src_page) }
        spin_lock(ptl)
        pte_clear(mm, address + UInt(i) * PAGE_SIZE, pte + i)
        ops.page_remove_rmap(src_page, vma, false)
        spin_unlock(ptl)
        ops.free_page_and_swap_cache(src_page)
    }
    while !list_empty(compound_pagelist) {
        let src_page = lru_to_page(compound_pagelist.next)
        list_del(src_page.lru)
        release_pte_page(src_page)
    }
}
