// SPDX-License-Identifier: GPL-2.0-only
// mm/swap.c of Linux v5.18-rc1, where it knows of mlock: a new page of a VM_LOCKED vma goes by the batch of
// mm/mlock.c, a page that comes back to its list is counted anew, drains reach that batch as well, and PG_mlocked
// goes with the last reference.  folio_xxx() there is page_xxx() here, on the head page.
//
// Left out: what mm/swap.swift says.

import CKernel
import Simulation

func install_swap_v5_18(_ ops: kernel_ops) {
    ops.put_page = put_page
    ops.release_pages = release_pages
    ops.lru_cache_add_inactive_or_unevictable = lru_cache_add_inactive_or_unevictable
    ops.pagevec_lru_add = pagevec_lru_add
    ops.lru_add_drain = lru_add_drain
    ops.lru_add_drain_cpu_zone = lru_add_drain_cpu_zone
    ops.lru_add_drain_all = lru_add_drain_all
    ops.lru_cache_disable = lru_cache_disable
}

// MARK: - References

/// Linux v5.18-rc1, include/linux/mm.h, put_page().
private func put_page(_ page: page) {
    let page = compound_head(page)
    yield_point("page_count")
    VM_BUG_ON_PAGE(page_count(page) == 0, "page_ref_count(page) == 0")
    if put_page_testzero(page) { __put_page(page) }
}

/// Linux v5.18-rc1, mm/swap.c, __put_page(), with __put_single_page() and __put_compound_page().
private func __put_page(_ page: page) {
    __page_cache_release(page)
    if PageCompound(page) {
        ops.free_transhuge_page(page)
    } else {
        ops.free_unref_page(page)
    }
}

/// Linux v5.18-rc1, mm/swap.c, __page_cache_release().
private func __page_cache_release(_ page: page) {
    if PageLRU(page) {
        let lruvec = lock_page_lruvec_irq(page)
        del_page_from_lru_list(page, lruvec)
        __clear_page_lru_flags(page)
        unlock_page_lruvec_irq(lruvec)
    }
    clear_mlocked_at_free(page)
}

/// A page that truncation unmapped while munlock(2) was at work may still be marked: VM_LOCKED was gone already, so
/// page_remove_rmap() did not munlock it, and the walk did not find it.  Nobody else sees the page any more.
/// Part of __page_cache_release() and release_pages().
private func clear_mlocked_at_free(_ page: page) {
    guard PageMlocked(page) else { return }
    let nr_pages = Int(thp_nr_pages(page))
    ClearPageMlocked(page)
    mod_node_page_state(Int32(NR_MLOCK.rawValue), -nr_pages)
    count_vm_events(Int32(UNEVICTABLE_PGCLEARED.rawValue), nr_pages)
}

/// Linux v5.18-rc1, mm/swap.c, release_pages().
private func release_pages(_ pages: UnsafeMutablePointer<page?>?, _ nr: Int32) {
    let pages = pages!
    let pages_to_free = LIST_HEAD()
    defer { leaveFrame(pages_to_free) }
    var lruvec: pglist_data?
    for index in 0..<Int(nr) {
        let page = compound_head(pages[index]!)
        yield_point("page_count")
        VM_BUG_ON_PAGE(page_count(page) == 0, "page_ref_count(page) == 0")
        guard put_page_testzero(page) else { continue }
        if PageCompound(page) {
            if let locked = lruvec { unlock_page_lruvec_irq(locked) }
            lruvec = nil
            __put_page(page)
            continue
        }
        if PageLRU(page) {
            let locked = relock_page_lruvec_irq(page, lruvec)
            lruvec = locked
            del_page_from_lru_list(page, locked)
            __clear_page_lru_flags(page)
        }
        clear_mlocked_at_free(page)
        list_add(page.lru, pages_to_free)
    }
    if let locked = lruvec { unlock_page_lruvec_irq(locked) }
    free_unref_page_list(pages_to_free)
}

// MARK: - New pages

/// Linux v5.18-rc1, mm/swap.c, lru_cache_add_inactive_or_unevictable().
private func lru_cache_add_inactive_or_unevictable(_ page: page, _ vma: vm_area_struct) {
    VM_BUG_ON_PAGE(PageLRU(page), "PageLRU(page)")
    yield_point("vm_flags")
    if vma.vm_flags & (VM_LOCKED | VM_SPECIAL) == VM_LOCKED {
        ops.mlock_new_page(page)
    } else {
        ops.lru_cache_add(page)
    }
}

/// How many vmas lock the page is not known: mlock_page() may have it in a batch, or not.  Too few is what reclaim
/// repairs; with too many the page would stay unevictable.
/// Linux v5.18-rc1, mm/swap.c, __pagevec_lru_add_fn().
private func __pagevec_lru_add_fn(_ page: page, _ lruvec: pglist_data) {
    let was_unevictable = TestClearPageUnevictable(page)
    let nr_pages = Int(thp_nr_pages(page))
    VM_BUG_ON_PAGE(PageLRU(page), "PageLRU(page)")
    yield_point("PageLRU")
    SetPageLRU(page)
    if ops.page_evictable(page) {
        if was_unevictable { count_vm_events(Int32(UNEVICTABLE_PGRESCUED.rawValue), nr_pages) }
    } else {
        ClearPageActive(page)
        SetPageUnevictable(page)
        page.mlock_count = 0
        if !was_unevictable { count_vm_events(Int32(UNEVICTABLE_PGCULLED.rawValue), nr_pages) }
    }
    add_page_to_lru_list(page, lruvec)
}

/// Linux v5.18-rc1, mm/swap.c, __pagevec_lru_add().
private func pagevec_lru_add(_ pvec: pagevec) {
    var lruvec: pglist_data?
    for index in 0..<Int(pagevec_count(pvec)) {
        let page = pvec.page(index).pointee!
        let locked = relock_page_lruvec_irq(page, lruvec)
        lruvec = locked
        __pagevec_lru_add_fn(page, locked)
    }
    if let locked = lruvec { unlock_page_lruvec_irq(locked) }
    ops.release_pages(pvec.page(0), Int32(pvec.nr))
    pagevec_reinit(pvec)
}

// MARK: - Drains

/// Linux v5.18-rc1, mm/swap.c, lru_add_drain(), and lru_add_and_bh_lrus_drain() without buffer heads.
private func lru_add_drain() {
    may_change_cpu()
    let cpu = this_cpu
    local_lock(cpu.lru_pvecs_lock)
    ops.lru_add_drain_cpu(Int32(cpu.number))
    local_unlock(cpu.lru_pvecs_lock)
    ops.mlock_page_drain(Int32(smp_processor_id()))
}

/// Linux v5.18-rc1, mm/swap.c, lru_add_drain_cpu_zone().
private func lru_add_drain_cpu_zone() {
    may_change_cpu()
    let cpu = this_cpu
    local_lock(cpu.lru_pvecs_lock)
    ops.lru_add_drain_cpu(Int32(cpu.number))
    drain_local_pages()
    local_unlock(cpu.lru_pvecs_lock)
    ops.mlock_page_drain(Int32(smp_processor_id()))
}

/// Linux v5.18-rc1, mm/swap.c, lru_add_drain_all().
private func lru_add_drain_all() {
    __lru_add_drain_all(force_all_cpus: false)
}

/// Linux v5.18-rc1, mm/swap.c, __lru_add_drain_all(): as in mm/swap.swift, but no CPU without pages is visited.
/// `force_all_cpus` only says that a drain which began earlier is not enough.
private func __lru_add_drain_all(force_all_cpus: Bool) {
    yield_point("lru_drain_gen")
    let this_gen = kernel.lru_drain_gen
    mutex_lock(kernel.lru_add_drain_all_lock)
    if this_gen == kernel.lru_drain_gen || force_all_cpus {
        kernel.lru_drain_gen &+= 1
        let home = smp_processor_id()
        // Each CPU is drained by a worker of its own, which does not leave it.
        migrate_disable()
        for number in 0..<Int(kernel.nr_cpus) {
            yield_point("pagevec_count")
            guard hasPagesInBatches(kernel.cpu(number)) || ops.need_mlock_page_drain(Int32(number)) else { continue }
            if number != smp_processor_id() { moveToCPU(number) }
            ops.lru_add_drain()
        }
        if home != smp_processor_id() { moveToCPU(home) }
        migrate_enable()
    }
    mutex_unlock(kernel.lru_add_drain_all_lock)
}

/// Until lru_cache_enable() no page stays in a batch.
///
/// synchronize_rcu() waits for sections with preemption off, too: who has not seen the new count has left its batch
/// by then.  A visit of each CPU stands for it.
/// Linux v5.18-rc1, mm/swap.c, lru_cache_disable().
private func lru_cache_disable() {
    yield_point("lru_disable_count")
    kernel.lru_disable_count += 1
    let home = smp_processor_id()
    for number in 0..<Int(kernel.nr_cpus) where number != home { moveToCPU(number) }
    moveToCPU(home)
    __lru_add_drain_all(force_all_cpus: true)
}
