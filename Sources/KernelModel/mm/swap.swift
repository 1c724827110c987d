// SPDX-License-Identifier: GPL-2.0-only
// mm/swap.c of Linux v5.13: references to pages, and the way of pages onto the LRU lists.  Each CPU
// gathers pages in batches, with a reference each, and moves a batch under the node's lru_lock.
// The batches of other moves than the first are in swap+batches.swift.
//
// Left out: memory cgroups, device and hugetlb pages, the huge zero page (not in the model);
// lru_note_cost() (its figures only steer how much of each list is scanned); PG_waiters (waits are
// predicates); buffer heads.

import CKernel
import Simulation

func install_swap(_ ops: kernel_ops) {
    ops.put_page = put_page
    ops.release_pages = release_pages
    ops.lru_cache_add = lru_cache_add
    ops.lru_cache_add_inactive_or_unevictable = lru_cache_add_inactive_or_unevictable
    ops.pagevec_lru_add = pagevec_lru_add
    ops.lru_add_drain = lru_add_drain
    ops.lru_add_drain_cpu_zone = lru_add_drain_cpu_zone
    ops.lru_add_drain_all = lru_add_drain_all
    ops.lru_cache_disable = lru_cache_disable
    ops.lru_cache_enable = lru_cache_enable
}

// MARK: - References

/// Linux v5.13, include/linux/mm.h, put_page().
private func put_page(_ page: page) {
    let page = compound_head(page)
    yield_point("page_count")
    VM_BUG_ON_PAGE(page_count(page) == 0, "page_ref_count(page) == 0")
    if put_page_testzero(page) { __put_page(page) }
}

/// Linux v5.13, mm/swap.c, __put_page(), with __put_single_page() and __put_compound_page().
private func __put_page(_ page: page) {
    __page_cache_release(page)
    if PageCompound(page) {
        ops.free_transhuge_page(page)
    } else {
        ops.free_unref_page(page)
    }
}

/// Linux v5.13, mm/swap.c, __page_cache_release().
private func __page_cache_release(_ page: page) {
    guard PageLRU(page) else { return }
    let lruvec = lock_page_lruvec_irq(page)
    del_page_from_lru_list(page, lruvec)
    __clear_page_lru_flags(page)
    unlock_page_lruvec_irq(lruvec)
}

/// Linux v5.13, mm/swap.c, release_pages().  The break after SWAP_CLUSTER_MAX pages under one lock is
/// left out: no batch of the model is that long.
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
        list_add(page.lru, pages_to_free)
    }
    if let locked = lruvec { unlock_page_lruvec_irq(locked) }
    free_unref_page_list(pages_to_free)
}

/// Linux v5.13, mm/page_alloc.c, free_unref_page_list().  Freeing with interrupts off in one go is left
/// out: each free is a step of its own, so more orders are seen, not fewer.
func free_unref_page_list(_ list: list_head) {
    while !list_empty(list) {
        let page = lru_to_page(list.next)
        list_del(page.lru)
        ops.free_unref_page(page)
    }
}

// MARK: - New pages

/// Linux v5.13, mm/swap.c, pagevec_add_and_need_flush().
func pagevec_add_and_need_flush(_ pvec: pagevec, _ page: page) -> Bool {
    pagevec_add(pvec, page) == 0 || PageCompound(page) || lru_cache_disabled()
}

/// Linux v5.13, mm/swap.c, lru_cache_add().
private func lru_cache_add(_ page: page) {
    VM_BUG_ON_PAGE(PageActive(page) && PageUnevictable(page), "PageActive(page) && PageUnevictable(page)")
    VM_BUG_ON_PAGE(PageLRU(page), "PageLRU(page)")
    yield_point("page_count")
    get_page(page)
    may_change_cpu()
    let cpu = this_cpu
    local_lock(cpu.lru_pvecs_lock)
    if pagevec_add_and_need_flush(cpu.lru_add, page) { ops.pagevec_lru_add(cpu.lru_add) }
    local_unlock(cpu.lru_pvecs_lock)
}

/// Linux v5.13, mm/swap.c, lru_cache_add_inactive_or_unevictable().
private func lru_cache_add_inactive_or_unevictable(_ page: page, _ vma: vm_area_struct) {
    VM_BUG_ON_PAGE(PageLRU(page), "PageLRU(page)")
    yield_point("vm_flags")
    let unevictable = vma.vm_flags & (VM_LOCKED | VM_SPECIAL) == VM_LOCKED
    if unevictable && !TestSetPageMlocked(page) {
        let nr_pages = Int(thp_nr_pages(page))
        mod_node_page_state(Int32(NR_MLOCK.rawValue), nr_pages)
        count_vm_events(Int32(UNEVICTABLE_PGMLOCKED.rawValue), nr_pages)
    }
    ops.lru_cache_add(page)
}

/// Linux v5.13, mm/swap.c, __pagevec_lru_add_fn().
///
/// PG_lru is set before PG_mlocked is read again (in page_evictable()): clear_page_mlock() does it the
/// other way round, so at least one of the two sees the other and no evictable page stays behind on the
/// unevictable list.  The kernel needs a barrier in between; memory is sequentially consistent here.
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
        if !was_unevictable { count_vm_events(Int32(UNEVICTABLE_PGCULLED.rawValue), nr_pages) }
    }
    add_page_to_lru_list(page, lruvec)
}

/// Linux v5.13, mm/swap.c, __pagevec_lru_add().
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

/// Linux v5.13, mm/swap.c, lru_add_drain().
private func lru_add_drain() {
    may_change_cpu()
    let cpu = this_cpu
    local_lock(cpu.lru_pvecs_lock)
    ops.lru_add_drain_cpu(Int32(cpu.number))
    local_unlock(cpu.lru_pvecs_lock)
}

/// Drops the references of a batch, after a drain of this CPU: pages in its batches could not be freed.
/// Linux v5.13, mm/swap.c, __pagevec_release().
func __pagevec_release(_ pvec: pagevec) {
    guard pagevec_count(pvec) != 0 else { return }
    ops.lru_add_drain()
    ops.release_pages(pvec.page(0), Int32(pvec.nr))
    pagevec_reinit(pvec)
}

/// Linux v5.13, mm/swap.c, lru_add_drain_cpu_zone().
private func lru_add_drain_cpu_zone() {
    may_change_cpu()
    let cpu = this_cpu
    local_lock(cpu.lru_pvecs_lock)
    ops.lru_add_drain_cpu(Int32(cpu.number))
    drain_local_pages()
    local_unlock(cpu.lru_pvecs_lock)
}

/// Linux v5.13, mm/swap.c, lru_add_drain_all().
private func lru_add_drain_all() {
    __lru_add_drain_all(force_all_cpus: false)
}

/// Linux v5.13, mm/swap.c, __lru_add_drain_all().
///
/// The work queued on each CPU is done by the caller, who moves there for it.  The kernel's workers run
/// side by side; each drains its own CPU's batches only, so that their order is all that is lost.
private func __lru_add_drain_all(force_all_cpus: Bool) {
    yield_point("lru_drain_gen")
    let this_gen = kernel.lru_drain_gen
    mutex_lock(kernel.lru_add_drain_all_lock)
    // Somebody else has drained everything since this call began.
    if this_gen == kernel.lru_drain_gen || force_all_cpus {
        kernel.lru_drain_gen &+= 1
        let home = smp_processor_id()
        for number in 0..<Int(kernel.nr_cpus) {
            yield_point("pagevec_count")
            guard force_all_cpus || hasPagesInBatches(kernel.cpu(number)) else { continue }
            if number != smp_processor_id() { moveToCPU(number) }
            ops.lru_add_drain()
        }
        if home != smp_processor_id() { moveToCPU(home) }
    }
    mutex_unlock(kernel.lru_add_drain_all_lock)
}

func hasPagesInBatches(_ cpu: per_cpu) -> Bool {
    pagevec_count(cpu.lru_add) != 0 || pagevec_count(cpu.lru_rotate) != 0
        || pagevec_count(cpu.lru_deactivate_file) != 0 || pagevec_count(cpu.lru_deactivate) != 0
        || pagevec_count(cpu.lru_lazyfree) != 0 || pagevec_count(cpu.activate_page) != 0
}

/// Linux v5.13, mm/swap.c, lru_cache_disable(): until lru_cache_enable() no page stays in a batch.
private func lru_cache_disable() {
    yield_point("lru_disable_count")
    kernel.lru_disable_count += 1
    __lru_add_drain_all(force_all_cpus: true)
}

/// Linux v5.13, include/linux/swap.h, lru_cache_enable().
private func lru_cache_enable() {
    yield_point("lru_disable_count")
    kernel.lru_disable_count -= 1
}
