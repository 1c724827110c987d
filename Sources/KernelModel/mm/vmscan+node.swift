// SPDX-License-Identifier: GPL-2.0-only
// mm/vmscan.c of Linux v5.13, continued: what of a node's LRU lists is scanned, by kswapd and by direct
// reclaim.
//
// Scaled: lists hold a few dozen pages, so priorities start at 1 (half of each list) and not at 12, and
// one page freed is enough for a direct reclaimer.  The balance between anonymous and file pages is left
// out: it chooses how much of each list is scanned, and here each is scanned.

import CKernel
import Simulation

func install_vmscan_node(_ ops: kernel_ops) {
    ops.shrink_node = shrink_node
    ops.try_to_free_pages = try_to_free_pages
}

/// include/linux/swap.h and mmzone.h; DEF_PRIORITY scaled to the lists' lengths.
private let SWAP_CLUSTER_MAX = 32
private let DEF_PRIORITY: Int32 = 1

// MARK: - Swap space

/// Linux v5.13, include/linux/swap.h, get_nr_swap_pages().
private func get_nr_swap_pages() -> Int {
    var free = 0
    for offset in 1..<max(1, Int(kernel.swap_info.max)) where kernel.swap_info.users(offset).pointee == 0 { free += 1 }
    return free
}

/// Linux v5.13, include/linux/swap.h, vm_swap_full().
func vm_swap_full() -> Bool {
    get_nr_swap_pages() * 2 < Int(kernel.swap_info.max) - 1
}

// MARK: - From a list and back

/// Linux v5.13, mm/vmscan.c, isolate_lru_pages(), with lru_lock held.
private func isolate_lru_pages(_ nr_to_scan: Int, _ lruvec: pglist_data, _ dst: list_head, _ lru: lru_list) -> Int {
    let src = lruvec.list(Int(lru.rawValue))
    var scan = 0
    var nr_taken = 0
    while scan < nr_to_scan && !list_empty(src) {
        let page = lru_to_page(src.prev)
        let nr_pages = Int(compound_nr(page))
        scan += nr_pages
        // A page that is being freed, or that somebody else isolates, waits for lru_lock.
        guard __isolate_lru_page_prepare(page, evictableOnly: true, asyncMigrate: false) else {
            list_move(page.lru, src)
            continue
        }
        yield_point("page_count")
        guard get_page_unless_zero(page) else {
            list_move(page.lru, src)
            continue
        }
        yield_point("PageLRU")
        guard TestClearPageLRU(page) else {
            ops.put_page(page)
            list_move(page.lru, src)
            continue
        }
        nr_taken += nr_pages
        del_page_from_lru_list(page, lruvec)
        list_add(page.lru, dst)
    }
    return nr_taken
}

/// Linux v5.13, mm/vmscan.c, move_pages_to_lru(), with lru_lock held.  What is left on `list` are pages to
/// be freed.
private func move_pages_to_lru(_ lruvec: pglist_data, _ list: list_head) -> Int {
    let pages_to_free = LIST_HEAD()
    defer { leaveFrame(pages_to_free) }
    var nr_moved = 0
    while !list_empty(list) {
        let page = lru_to_page(list.prev)
        VM_BUG_ON_PAGE(PageLRU(page), "PageLRU(page)")
        list_del(page.lru)
        if !ops.page_evictable(page) {
            spin_unlock_irq(lruvec.lru_lock)
            ops.putback_lru_page(page)
            spin_lock_irq(lruvec.lru_lock)
            continue
        }
        // Before the reference is dropped: who drops the last one must see that the page is on a list.
        SetPageLRU(page)
        yield_point("page_count")
        if put_page_testzero(page) {
            __clear_page_lru_flags(page)
            if PageCompound(page) {
                spin_unlock_irq(lruvec.lru_lock)
                ops.free_transhuge_page(page)
                spin_lock_irq(lruvec.lru_lock)
            } else {
                list_add(page.lru, pages_to_free)
            }
            continue
        }
        add_page_to_lru_list(page, lruvec)
        nr_moved += Int(thp_nr_pages(page))
    }
    list_splice_init(pages_to_free, list)
    return nr_moved
}

/// NR_ISOLATED_ANON or NR_ISOLATED_FILE.
private func isolatedItem(_ lru: lru_list) -> Int32 {
    Int32(is_file_lru(lru) ? NR_ISOLATED_FILE.rawValue : NR_ISOLATED_ANON.rawValue)
}

/// Linux v5.13, include/linux/mmzone.h, is_file_lru().
private func is_file_lru(_ lru: lru_list) -> Bool {
    lru == LRU_INACTIVE_FILE || lru == LRU_ACTIVE_FILE
}

// MARK: - Lists

/// Linux v5.13, mm/vmscan.c, shrink_inactive_list().
private func shrink_inactive_list(_ nr_to_scan: Int, _ lruvec: pglist_data, _ lru: lru_list) -> UInt {
    let page_list = LIST_HEAD()
    defer { leaveFrame(page_list) }
    ops.lru_add_drain()
    spin_lock_irq(lruvec.lru_lock)
    let nr_taken = isolate_lru_pages(nr_to_scan, lruvec, page_list, lru)
    mod_node_page_state(isolatedItem(lru), nr_taken)
    spin_unlock_irq(lruvec.lru_lock)
    if nr_taken == 0 { return 0 }

    let nr_reclaimed = ops.shrink_page_list(page_list, 0, false)

    spin_lock_irq(lruvec.lru_lock)
    _ = move_pages_to_lru(lruvec, page_list)
    mod_node_page_state(isolatedItem(lru), -nr_taken)
    count_vm_events(Int32(PGSTEAL.rawValue), Int(nr_reclaimed))
    spin_unlock_irq(lruvec.lru_lock)
    free_unref_page_list(page_list)
    return UInt(nr_reclaimed)
}

/// Linux v5.13, mm/vmscan.c, shrink_active_list().
private func shrink_active_list(_ nr_to_scan: Int, _ lruvec: pglist_data, _ lru: lru_list) {
    let l_hold = LIST_HEAD()
    let l_active = LIST_HEAD()
    let l_inactive = LIST_HEAD()
    defer { leaveFrame(l_hold) }
    ops.lru_add_drain()
    spin_lock_irq(lruvec.lru_lock)
    let nr_taken = isolate_lru_pages(nr_to_scan, lruvec, l_hold, lru)
    mod_node_page_state(isolatedItem(lru), nr_taken)
    spin_unlock_irq(lruvec.lru_lock)

    while !list_empty(l_hold) {
        let page = lru_to_page(l_hold.prev)
        list_del(page.lru)
        if !ops.page_evictable(page) {
            ops.putback_lru_page(page)
            continue
        }
        var vm_flags: UInt = 0
        if ops.page_referenced(page, 0, &vm_flags) != 0 {
            // Code that runs stays.
            if vm_flags & VM_EXEC != 0 && page_is_file_lru(page) {
                list_add(page.lru, l_active)
                continue
            }
        }
        ClearPageActive(page)
        SetPageWorkingset(page)
        list_add(page.lru, l_inactive)
    }

    spin_lock_irq(lruvec.lru_lock)
    _ = move_pages_to_lru(lruvec, l_active)
    let nr_deactivate = move_pages_to_lru(lruvec, l_inactive)
    list_splice_init(l_inactive, l_active)
    count_vm_events(Int32(PGDEACTIVATE.rawValue), nr_deactivate)
    mod_node_page_state(isolatedItem(lru), -nr_taken)
    spin_unlock_irq(lruvec.lru_lock)
    free_unref_page_list(l_active)
}

/// Pages on a list, as the kernel's counter says (lruvec_lru_size()).  The counters of the model are those of
/// all nodes, so the list itself is counted.
private func lruvec_lru_size(_ lruvec: pglist_data, _ lru: lru_list) -> Int {
    let list = lruvec.list(Int(lru.rawValue))
    var size = 0
    var entry = list.next
    while entry !== list {
        size += Int(thp_nr_pages(lru_to_page(entry)))
        entry = entry.next
    }
    return size
}

/// Linux v5.13, mm/vmscan.c, inactive_is_low(), for less than a gigabyte: a ratio of one to one.
private func inactive_is_low(_ lruvec: pglist_data, _ inactive: lru_list) -> Bool {
    let active = lru_list(inactive.rawValue + 1)
    return lruvec_lru_size(lruvec, inactive) < lruvec_lru_size(lruvec, active)
}

/// Linux v5.13, mm/vmscan.c, shrink_lruvec(), shrink_list(), get_scan_count().
private func shrink_lruvec(_ lruvec: pglist_data, _ priority: Int32) -> UInt {
    var nr_reclaimed: UInt = 0
    // Without room in the swap area anonymous pages are not scanned.
    var lru = get_nr_swap_pages() > 0 ? LRU_INACTIVE_ANON : LRU_INACTIVE_FILE
    while lru.rawValue < LRU_UNEVICTABLE.rawValue {
        let active = lru == LRU_ACTIVE_ANON || lru == LRU_ACTIVE_FILE
        yield_point("lru_size")
        var nr = lruvec_lru_size(lruvec, lru) >> Int(priority)
        // A list that is empty because its pages are still in a batch is scanned, too: on a machine with
        // millions of pages there is always something on a list, and a scan begins with a drain.
        if priority == 0 { nr = max(nr, SWAP_CLUSTER_MAX) }
        while nr > 0 {
            let nr_to_scan = min(nr, SWAP_CLUSTER_MAX)
            nr -= nr_to_scan
            if !active {
                nr_reclaimed += shrink_inactive_list(nr_to_scan, lruvec, lru)
            } else if inactive_is_low(lruvec, lru_list(lru.rawValue - 1)) {
                shrink_active_list(nr_to_scan, lruvec, lru)
            }
        }
        lru = lru_list(lru.rawValue + 1)
    }
    age_active_anon(lruvec)
    return nr_reclaimed
}

/// Linux v5.13, mm/vmscan.c, age_active_anon(), which is also the end of shrink_lruvec().
private func age_active_anon(_ lruvec: pglist_data) {
    guard kernel.swap_info.max > 1 else { return }
    if inactive_is_low(lruvec, LRU_INACTIVE_ANON) { shrink_active_list(SWAP_CLUSTER_MAX, lruvec, LRU_ACTIVE_ANON) }
}

// MARK: - Nodes

/// Linux v5.13, mm/vmscan.c, shrink_node(), with shrink_slab() for the one shrinker there is, that of
/// deferred splits.
private func shrink_node(_ nid: Int32, _ priority: Int32) -> UInt {
    let nr_reclaimed = shrink_lruvec(kernel.node(Int(nid)), priority)
    _ = ops.deferred_split_scan(nid)
    return nr_reclaimed
}

/// Linux v5.13, mm/vmscan.c, try_to_free_pages(), do_try_to_free_pages(), shrink_zones(): direct reclaim,
/// from the local node on.
private func try_to_free_pages(_ gfp: gfp_t) -> UInt {
    current.memalloc = true
    var nr_reclaimed: UInt = 0
    var priority = DEF_PRIORITY
    while priority >= 0 && nr_reclaimed == 0 {
        for step in 0..<Int(kernel.nr_nodes) {
            let nid = (Int(this_cpu.nid) + step) % Int(kernel.nr_nodes)
            guard zoneAllowed(nid, gfp) else { continue }
            nr_reclaimed += ops.shrink_node(Int32(nid), priority)
        }
        priority -= 1
    }
    current.memalloc = false
    return nr_reclaimed
}

/// One pass of kswapd over its node: all of each list.
/// Linux v5.13, mm/vmscan.c, kswapd(), balance_pgdat().  Left out: watermarks (whoever wrote the trace woke
/// it) and priorities (the pass is the last, at priority 0).
func balance_pgdat(_ nid: Int) -> UInt {
    current.memalloc = true
    current.kswapd = true
    age_active_anon(kernel.node(nid))
    let nr_reclaimed = ops.shrink_node(Int32(nid), 0)
    current.kswapd = false
    current.memalloc = false
    return nr_reclaimed
}
