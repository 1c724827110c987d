// SPDX-License-Identifier: GPL-2.0-only
// mm/huge_memory.c of Linux v5.13: huge pages of which some part is no longer mapped are queued, and split
// under memory pressure.

import CKernel
import Simulation

func install_huge_memory_deferred(_ ops: kernel_ops) {
    ops.deferred_split_huge_page = deferred_split_huge_page
    ops.deferred_split_scan = deferred_split_scan
}

/// Takes the page off the list it is on, if it is; the caller holds split_queue_lock.
func removeFromDeferredList(_ page: page) {
    if list_empty(page.deferred_list) { return }
    list_del(page.deferred_list)
    page.deferred = 0
}

/// The first half of free_transhuge_page().
func dequeueFromDeferredSplit(_ page: page) {
    let node = page_pgdat(page)
    spin_lock_irq(node.split_queue_lock, "free_transhuge_page")
    removeFromDeferredList(page)
    spin_unlock_irq(node.split_queue_lock, "free_transhuge_page")
}

/// Linux v5.13, mm/huge_memory.c, deferred_split_huge_page().
private func deferred_split_huge_page(_ page: page) {
    VM_BUG_ON_PAGE(!PageTransHuge(page), "!PageTransHuge(page)")
    // In the swap cache it is in the hands of reclaim, which splits it if need be.
    yield_point("PageSwapCache")
    if PageSwapCache(page) { return }
    let node = page_pgdat(page)
    spin_lock_irq(node.split_queue_lock)
    if list_empty(page.deferred_list) {
        count_vm_events(Int32(THP_DEFERRED_SPLIT_PAGE.rawValue), 1)
        list_add_tail(page.deferred_list, node.split_queue)
        page.deferred = 1
    }
    spin_unlock_irq(node.split_queue_lock)
}

/// The shrinker of a node: how many pages it has split, or SHRINK_STOP.
/// Linux v5.13, mm/huge_memory.c, deferred_split_scan().  nr_to_scan covers any queue of the model.
private func deferred_split_scan(_ nid: Int32) -> UInt {
    let node = kernel.node(Int(nid))
    let list = LIST_HEAD()
    defer { leaveFrame(list) }
    var split: UInt = 0

    spin_lock_irq(node.split_queue_lock)
    // A reference each, so that none of them is freed meanwhile.
    while !list_empty(node.split_queue) {
        let page = page_of_deferred_list(node.split_queue.next)
        yield_point("page_count")
        if get_page_unless_zero(page) {
            list_move(page.deferred_list, list)
        } else {
            // Being freed.
            removeFromDeferredList(page)
        }
    }
    spin_unlock_irq(node.split_queue_lock)

    var entry = list.next
    while entry !== list {
        let page = page_of_deferred_list(entry)
        entry = entry.next
        if trylock_page(page) {
            // A split takes the page off the list.
            if ops.split_huge_page_to_list(page, nil) == 0 { split += 1 }
            unlock_page(page)
        }
        ops.put_page(page)
    }

    spin_lock_irq(node.split_queue_lock)
    list_splice_tail_init(list, node.split_queue)
    spin_unlock_irq(node.split_queue_lock)
    return split == 0 && list_empty(node.split_queue) ? SHRINK_STOP : split
}
