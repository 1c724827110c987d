// SPDX-License-Identifier: GPL-2.0-only
// mm/swap.c of Linux v5.13, continued: the batches by which pages that are on an LRU list move to
// another place: activation, deactivation, lazy freeing, rotation.
//
// A page whose PG_lru another task has cleared is skipped: who isolated it puts it back where it belongs.

import CKernel
import Simulation

func install_swap_batches(_ ops: kernel_ops) {
    ops.mark_page_accessed = mark_page_accessed
    ops.activate_page = activate_page
    ops.deactivate_page = deactivate_page
    ops.deactivate_file_page = deactivate_file_page
    ops.mark_page_lazyfree = mark_page_lazyfree
    ops.rotate_reclaimable_page = rotate_reclaimable_page
    ops.lru_add_drain_cpu = lru_add_drain_cpu
}

// MARK: - Moving a batch

/// Linux v5.13, mm/swap.c, pagevec_lru_move_fn().
private func pagevec_lru_move_fn(_ pvec: pagevec, _ move_fn: @convention(c) (page, pglist_data) -> Void) {
    var lruvec: pglist_data?
    for index in 0..<Int(pagevec_count(pvec)) {
        let page = pvec.page(index).pointee!
        yield_point("PageLRU")
        guard TestClearPageLRU(page) else { continue }
        let locked = relock_page_lruvec_irq(page, lruvec)
        lruvec = locked
        move_fn(page, locked)
        SetPageLRU(page)
    }
    if let locked = lruvec { unlock_page_lruvec_irq(locked) }
    ops.release_pages(pvec.page(0), Int32(pvec.nr))
    pagevec_reinit(pvec)
}

/// Linux v5.13, mm/swap.c, pagevec_move_tail_fn().
private func pagevec_move_tail_fn(_ page: page, _ lruvec: pglist_data) {
    guard !PageUnevictable(page) else { return }
    del_page_from_lru_list(page, lruvec)
    ClearPageActive(page)
    add_page_to_lru_list_tail(page, lruvec)
    count_vm_events(Int32(PGROTATED.rawValue), Int(thp_nr_pages(page)))
}

/// Linux v5.13, mm/swap.c, __activate_page().
private func __activate_page(_ page: page, _ lruvec: pglist_data) {
    guard !PageActive(page) && !PageUnevictable(page) else { return }
    del_page_from_lru_list(page, lruvec)
    SetPageActive(page)
    add_page_to_lru_list(page, lruvec)
    count_vm_events(Int32(PGACTIVATE.rawValue), Int(thp_nr_pages(page)))
}

/// Linux v5.13, mm/swap.c, lru_deactivate_file_fn().
private func lru_deactivate_file_fn(_ page: page, _ lruvec: pglist_data) {
    if PageUnevictable(page) { return }
    if page_mapped(page) { return }
    let active = PageActive(page)
    let nr_pages = Int(thp_nr_pages(page))
    del_page_from_lru_list(page, lruvec)
    ClearPageActive(page)
    ClearPageReferenced(page)
    if PageWriteback(page) || PageDirty(page) {
        // The flusher gets time to write it; the end of writeback then rotates it to the tail.
        add_page_to_lru_list(page, lruvec)
        SetPageReclaim(page)
    } else {
        add_page_to_lru_list_tail(page, lruvec)
        count_vm_events(Int32(PGROTATED.rawValue), nr_pages)
    }
    if active { count_vm_events(Int32(PGDEACTIVATE.rawValue), nr_pages) }
}

/// Linux v5.13, mm/swap.c, lru_deactivate_fn().
private func lru_deactivate_fn(_ page: page, _ lruvec: pglist_data) {
    guard PageActive(page) && !PageUnevictable(page) else { return }
    del_page_from_lru_list(page, lruvec)
    ClearPageActive(page)
    ClearPageReferenced(page)
    add_page_to_lru_list(page, lruvec)
    count_vm_events(Int32(PGDEACTIVATE.rawValue), Int(thp_nr_pages(page)))
}

/// Linux v5.13, mm/swap.c, lru_lazyfree_fn().  Without PG_swapbacked an anonymous page counts as lazily
/// freed, and lies on a file list.
private func lru_lazyfree_fn(_ page: page, _ lruvec: pglist_data) {
    guard PageAnon(page) && PageSwapBacked(page) && !PageSwapCache(page) && !PageUnevictable(page) else { return }
    del_page_from_lru_list(page, lruvec)
    ClearPageActive(page)
    ClearPageReferenced(page)
    ClearPageSwapBacked(page)
    add_page_to_lru_list(page, lruvec)
    count_vm_events(Int32(PGLAZYFREE.rawValue), Int(thp_nr_pages(page)))
}

// MARK: - Joining a batch

/// Linux v5.13, mm/swap.c, mark_page_accessed().  Left out: workingset_activation() and page_idle, whose
/// figures nothing modelled reads.
private func mark_page_accessed(_ page: page) {
    let page = compound_head(page)
    yield_point("PageReferenced")
    if !PageReferenced(page) {
        SetPageReferenced(page)
    } else if PageUnevictable(page) {
        // The unevictable list is never scanned: its order means nothing.
    } else if !PageActive(page) {
        if PageLRU(page) {
            ops.activate_page(page)
        } else {
            __lru_cache_activate_page(page)
        }
        ClearPageReferenced(page)
    }
}

/// Linux v5.13, mm/swap.c, activate_page().
private func activate_page(_ page: page) {
    let page = compound_head(page)
    guard PageLRU(page) && !PageActive(page) && !PageUnevictable(page) else { return }
    may_change_cpu()
    let cpu = this_cpu
    local_lock(cpu.lru_pvecs_lock)
    get_page(page)
    if pagevec_add_and_need_flush(cpu.activate_page, page) { pagevec_lru_move_fn(cpu.activate_page, __activate_page) }
    local_unlock(cpu.lru_pvecs_lock)
}

/// Linux v5.13, mm/swap.c, __lru_cache_activate_page(): a page that still waits in this CPU's batch will
/// be added to the active list.
private func __lru_cache_activate_page(_ page: page) {
    may_change_cpu()
    let cpu = this_cpu
    local_lock(cpu.lru_pvecs_lock)
    var index = Int(pagevec_count(cpu.lru_add)) - 1
    while index >= 0 {
        if cpu.lru_add.page(index).pointee === page {
            SetPageActive(page)
            break
        }
        index -= 1
    }
    local_unlock(cpu.lru_pvecs_lock)
}

/// Linux v5.13, mm/swap.c, deactivate_file_page().
private func deactivate_file_page(_ page: page) {
    yield_point("PageUnevictable")
    if PageUnevictable(page) { return }
    yield_point("page_count")
    guard get_page_unless_zero(page) else { return }
    may_change_cpu()
    let cpu = this_cpu
    local_lock(cpu.lru_pvecs_lock)
    if pagevec_add_and_need_flush(cpu.lru_deactivate_file, page) {
        pagevec_lru_move_fn(cpu.lru_deactivate_file, lru_deactivate_file_fn)
    }
    local_unlock(cpu.lru_pvecs_lock)
}

/// Linux v5.13, mm/swap.c, deactivate_page().
private func deactivate_page(_ page: page) {
    yield_point("PageLRU")
    guard PageLRU(page) && PageActive(page) && !PageUnevictable(page) else { return }
    may_change_cpu()
    let cpu = this_cpu
    local_lock(cpu.lru_pvecs_lock)
    get_page(page)
    if pagevec_add_and_need_flush(cpu.lru_deactivate, page) {
        pagevec_lru_move_fn(cpu.lru_deactivate, lru_deactivate_fn)
    }
    local_unlock(cpu.lru_pvecs_lock)
}

/// Linux v5.13, mm/swap.c, mark_page_lazyfree().
private func mark_page_lazyfree(_ page: page) {
    yield_point("PageLRU")
    guard PageLRU(page) && PageAnon(page) && PageSwapBacked(page) && !PageSwapCache(page) && !PageUnevictable(page)
    else { return }
    may_change_cpu()
    let cpu = this_cpu
    local_lock(cpu.lru_pvecs_lock)
    get_page(page)
    if pagevec_add_and_need_flush(cpu.lru_lazyfree, page) { pagevec_lru_move_fn(cpu.lru_lazyfree, lru_lazyfree_fn) }
    local_unlock(cpu.lru_pvecs_lock)
}

/// Linux v5.13, mm/swap.c, rotate_reclaimable_page().
private func rotate_reclaimable_page(_ page: page) {
    yield_point("PageLRU")
    guard !PageLocked(page) && !PageDirty(page) && !PageUnevictable(page) && PageLRU(page) else { return }
    yield_point("page_count")
    get_page(page)
    local_irq_disable()
    let cpu = this_cpu
    local_lock(cpu.lru_rotate_lock)
    if pagevec_add_and_need_flush(cpu.lru_rotate, page) { pagevec_lru_move_fn(cpu.lru_rotate, pagevec_move_tail_fn) }
    local_unlock(cpu.lru_rotate_lock)
    local_irq_enable()
}

// MARK: - Drain

/// Linux v5.13, mm/swap.c, lru_add_drain_cpu(): for the current CPU, with preemption off.
private func lru_add_drain_cpu(_ number: Int32) {
    let cpu = kernel.cpu(Int(number))
    noteEvent(EVENT_lru_drain, UInt(number), 0)
    if pagevec_count(cpu.lru_add) != 0 { ops.pagevec_lru_add(cpu.lru_add) }
    if pagevec_count(cpu.lru_rotate) != 0 {
        local_irq_disable()
        local_lock(cpu.lru_rotate_lock)
        pagevec_lru_move_fn(cpu.lru_rotate, pagevec_move_tail_fn)
        local_unlock(cpu.lru_rotate_lock)
        local_irq_enable()
    }
    if pagevec_count(cpu.lru_deactivate_file) != 0 {
        pagevec_lru_move_fn(cpu.lru_deactivate_file, lru_deactivate_file_fn)
    }
    if pagevec_count(cpu.lru_deactivate) != 0 { pagevec_lru_move_fn(cpu.lru_deactivate, lru_deactivate_fn) }
    if pagevec_count(cpu.lru_lazyfree) != 0 { pagevec_lru_move_fn(cpu.lru_lazyfree, lru_lazyfree_fn) }
    if pagevec_count(cpu.activate_page) != 0 { pagevec_lru_move_fn(cpu.activate_page, __activate_page) }
}
