// SPDX-License-Identifier: GPL-2.0-only
// mm/mlock.c of Linux v5.13: PG_mlocked of single pages, and munlock of a range in its batched phases.
//
// The system calls are in mlock+syscalls.swift.
// Left out: hugetlb and gate vmas (none here), memory cgroups, SHM_LOCK (mm/shmem.swift, as in mm/shmem.c).

import CKernel
import Simulation

func install_mlock(_ ops: kernel_ops) {
    ops.clear_page_mlock = clear_page_mlock
    ops.mlock_vma_page = mlock_vma_page
    ops.__munlock_isolated_page = __munlock_isolated_page
    ops.munlock_vma_page = munlock_vma_page
    ops.munlock_vma_pages_range = munlock_vma_pages_range
}

/// NR_MLOCK counts base pages.
private func account_mlocked(_ delta: Int) {
    yield_point("NR_MLOCK", "mod_zone_page_state")
    mod_node_page_state(Int32(NR_MLOCK.rawValue), delta)
}

private func count(_ event: vm_event_item, _ delta: Int) {
    count_vm_events(Int32(event.rawValue), delta)
}

// MARK: - One page

/// For a page that nobody maps any more, or that truncation takes away.
/// Linux v5.13, mm/mlock.c, clear_page_mlock().
private func clear_page_mlock(_ page: page) {
    yield_point("PageMlocked")
    if !TestClearPageMlocked(page) { return }
    let nr_pages = Int(thp_nr_pages(page))
    account_mlocked(-nr_pages)
    count(UNEVICTABLE_PGCLEARED, nr_pages)
    if ops.isolate_lru_page(page) == 0 {
        ops.putback_lru_page(page)
    } else if PageUnevictable(page) {
        count(UNEVICTABLE_PGSTRANDED, nr_pages)
    }
}

/// Marks a page mlocked and moves it to the unevictable list, if it can be isolated.
/// Linux v5.13, mm/mlock.c, mlock_vma_page().
private func mlock_vma_page(_ page: page) {
    BUG_ON(!PageLocked(page), "!PageLocked(page)")
    VM_BUG_ON_PAGE(PageTail(page), "PageTail(page)")
    VM_BUG_ON_PAGE(PageCompound(page) && PageDoubleMap(page), "PageCompound(page) && PageDoubleMap(page)")
    yield_point("PageMlocked")
    if TestSetPageMlocked(page) { return }
    let nr_pages = Int(thp_nr_pages(page))
    account_mlocked(nr_pages)
    count(UNEVICTABLE_PGMLOCKED, nr_pages)
    if ops.isolate_lru_page(page) == 0 { ops.putback_lru_page(page) }
}

/// Ends the munlock of an isolated page: other vmas may still want it mlocked.
/// Linux v5.13, mm/mlock.c, __munlock_isolated_page().
private func __munlock_isolated_page(_ page: page) {
    // Mapped once, the mapping is ours: there is nobody to ask.
    yield_point("mapcount")
    if page_mapcount(page) > 1 { ops.try_to_munlock(page) }
    yield_point("PageMlocked")
    if !PageMlocked(page) { count(UNEVICTABLE_PGMUNLOCKED, Int(thp_nr_pages(page))) }
    ops.putback_lru_page(page)
}

/// Calls __munlock_isolated_page(), and notes what became of the mlocks of others.
private func munlock_isolated_page(_ page: page) {
    let wanted = isMlockedByVMA(page)
    ops.__munlock_isolated_page(page)
    page.lost_mlock = wanted && !PageMlocked(page) && isMlockedByVMA(page) ? 1 : 0
}

/// Somebody else holds the page off its list.  What is lost here, reclaim repairs.
/// Linux v5.13, mm/mlock.c, __munlock_isolation_failed().
private func __munlock_isolation_failed(_ page: page) {
    yield_point("PageUnevictable")
    count(PageUnevictable(page) ? UNEVICTABLE_PGSTRANDED : UNEVICTABLE_PGMUNLOCKED, Int(thp_nr_pages(page)))
}

/// Munlocks one page; how many more base pages went with it.  Linux v5.13, mm/mlock.c, munlock_vma_page().
private func munlock_vma_page(_ page: page) -> UInt32 {
    BUG_ON(!PageLocked(page), "!PageLocked(page)")
    VM_BUG_ON_PAGE(PageTail(page), "PageTail(page)")
    yield_point("PageMlocked")
    if !TestClearPageMlocked(page) { return 0 }
    let nr_pages = Int(thp_nr_pages(page))
    account_mlocked(-nr_pages)
    if ops.isolate_lru_page(page) == 0 {
        munlock_isolated_page(page)
    } else {
        __munlock_isolation_failed(page)
    }
    return UInt32(nr_pages - 1)
}

// MARK: - A range

/// Linux v5.13, mm/mlock.c, __putback_lru_fast_prepare().
private func __putback_lru_fast_prepare(_ page: page, _ pvec: pagevec, _ pgrescued: inout Int) -> Bool {
    VM_BUG_ON_PAGE(PageLRU(page), "PageLRU(page)")
    VM_BUG_ON_PAGE(!PageLocked(page), "!PageLocked(page)")
    yield_point("mapcount")
    guard page_mapcount(page) <= 1 && ops.page_evictable(page) else { return false }
    _ = pagevec_add(pvec, page)
    yield_point("PageUnevictable")
    if TestClearPageUnevictable(page) { pgrescued += 1 }
    unlock_page(page)
    return true
}

/// Puts pages back on their lists and drops the references of the batch.
/// Linux v5.13, mm/mlock.c, __putback_lru_fast().
private func __putback_lru_fast(_ pvec: pagevec, _ pgrescued: Int) {
    count(UNEVICTABLE_PGMUNLOCKED, Int(pagevec_count(pvec)))
    ops.pagevec_lru_add(pvec)
    count(UNEVICTABLE_PGRESCUED, pgrescued)
}

/// Phase 1: takes the pages that are mlocked off the LRU; the others lose the batch's reference, by way of
/// `pvec_putback`, which is empty again afterwards.
private func isolate_for_munlock(_ pvec: pagevec, _ pvec_putback: pagevec) {
    let nr = Int(pagevec_count(pvec))
    var delta_munlocked = -nr
    var lruvec: pglist_data?
    for i in 0..<nr {
        let page = pvec.page(i).pointee!
        yield_point("PageMlocked", "__munlock_pagevec")
        if TestClearPageMlocked(page) {
            yield_point("PageLRU", "__munlock_pagevec")
            if TestClearPageLRU(page) {
                let locked = relock_page_lruvec_irq(page, lruvec, "__munlock_pagevec")
                lruvec = locked
                del_page_from_lru_list(page, locked)
                continue
            }
            __munlock_isolation_failed(page)
        } else {
            delta_munlocked += 1
        }
        // The reference cannot be dropped under lru_lock: it may be the last.
        _ = pagevec_add(pvec_putback, page)
        pvec.page(i).pointee = nil
    }
    if let locked = lruvec {
        mod_node_page_state(Int32(NR_MLOCK.rawValue), delta_munlocked)
        unlock_page_lruvec_irq(locked, "__munlock_pagevec")
    } else if delta_munlocked != 0 {
        account_mlocked(delta_munlocked)
    }
    __pagevec_release(pvec_putback)
}

/// Munlocks a batch of small pages of one node.  Linux v5.13, mm/mlock.c, __munlock_pagevec().
private func __munlock_pagevec(_ pvec: pagevec) {
    let pvec_putback = pagevec_init()
    defer { leaveFrame(pvec_putback) }
    var pgrescued = 0
    isolate_for_munlock(pvec, pvec_putback)

    // Phase 2: ask the other mappings; pages mapped once take the fast way.
    for i in 0..<Int(pagevec_count(pvec)) {
        guard let page = pvec.page(i).pointee else { continue }
        lock_page(page)
        if !__putback_lru_fast_prepare(page, pvec_putback, &pgrescued) {
            get_page(page)
            munlock_isolated_page(page)
            unlock_page(page)
            ops.put_page(page)
        }
    }

    // Phase 3: put back what took the fast way, with the references from follow_page().
    if pagevec_count(pvec_putback) != 0 { __putback_lru_fast(pvec_putback, pgrescued) }
}

/// Fills the batch with the pages that follow `start` in its page table, and returns the address after
/// the last one.  Linux v5.13, mm/mlock.c, __munlock_pagevec_fill().
private func __munlock_pagevec_fill(
    _ pvec: pagevec, _ vma: vm_area_struct, _ nid: UInt8, _ first: UInt, _ limit: UInt
) -> UInt {
    let mm = vma.vm_mm
    var start = first
    let end = pmd_addr_end(start, limit)
    let pmd = pmd_offset(mm, start)
    yield_point("pmd")
    // The first page is pinned under a lock that keeps its table; a table that is not there holds nothing.
    guard pmd_is_table(pmd.pointee) else { return start + PAGE_SIZE }
    let ptl = pte_lockptr(mm, pmd)
    var pte = pte_offset_map(pmd, start)
    spin_lock(ptl)
    start += PAGE_SIZE
    while start < end {
        pte += 1
        guard pte_present(pte.pointee) else { break }
        let page = pte_page(pte.pointee)
        if page.nid != nid || PageTransCompound(page) { break }
        get_page(page)
        start += PAGE_SIZE
        if pagevec_add(pvec, page) == 0 { break }
    }
    spin_unlock(ptl)
    return start
}

/// Clears VM_LOCKED and munlocks what is mapped in the range.  munlock(2), mremap(2) and munmap(2), which
/// lowers its lock only afterwards, hold mmap_lock for writing; exit holds nothing.
/// Linux v5.13, mm/mlock.c, munlock_vma_pages_range().
private func munlock_vma_pages_range(_ vma: vm_area_struct, _ first: UInt, _ end: UInt) {
    yield_point("vm_flags")
    vma.vm_flags &= VM_LOCKED_CLEAR_MASK
    var start = first
    while start < end {
        var page_mask: UInt = 0
        if let page = ops.follow_page(vma, start, UInt32(FOLL_GET | FOLL_DUMP)), !IS_ERR(page) {
            if PageTail(page) {
                VM_BUG_ON_PAGE(PageMlocked(page), "PageMlocked(page)")
                ops.put_page(page)
            } else if PageTransHuge(page) {
                lock_page(page)
                // It may have been split before it was locked.
                page_mask = UInt(ops.munlock_vma_page(page))
                unlock_page(page)
                ops.put_page(page)
            } else {
                let pvec = pagevec_init()
                defer { leaveFrame(pvec) }
                _ = pagevec_add(pvec, page)
                start = __munlock_pagevec_fill(pvec, vma, page.nid, start, end)
                __munlock_pagevec(pvec)
                continue
            }
        }
        start += (1 + page_mask) * PAGE_SIZE
    }
}
