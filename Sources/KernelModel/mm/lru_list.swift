// SPDX-License-Identifier: GPL-2.0-only
// The LRU lists of a node: after include/linux/mm_inline.h and the lruvec helpers of
// include/linux/memcontrol.h of Linux v5.13.  Without memory cgroups a node has one lruvec, so the node
// stands for it.  What a list counts are base pages.

import CKernel
import Simulation

/// Linux v5.13, include/linux/mm_inline.h, update_lru_size().  The zone's copy of the counter and the
/// cgroup's are left out: nothing modelled reads them.
@inline(__always)
private func update_lru_size(_ lru: lru_list, _ nr_pages: Int) {
    mod_node_page_state(Int32(lru.rawValue), nr_pages)
}

/// Linux v5.13, include/linux/mm_inline.h, add_page_to_lru_list().
func add_page_to_lru_list(_ page: page, _ lruvec: pglist_data) {
    let lru = page_lru(page)
    update_lru_size(lru, Int(thp_nr_pages(page)))
    list_add(page.lru, lruvec.list(Int(lru.rawValue)))
    page.lru_list = UInt8(lru.rawValue)
}

/// Linux v5.13, include/linux/mm_inline.h, add_page_to_lru_list_tail().
func add_page_to_lru_list_tail(_ page: page, _ lruvec: pglist_data) {
    let lru = page_lru(page)
    update_lru_size(lru, Int(thp_nr_pages(page)))
    list_add_tail(page.lru, lruvec.list(Int(lru.rawValue)))
    page.lru_list = UInt8(lru.rawValue)
}

/// Linux v5.13, include/linux/mm_inline.h, del_page_from_lru_list().
///
/// The kernel takes the list's counter from the flags, so a page whose flags changed while it lay on a
/// list is counted off another one: that is reported here, where it happens.
func del_page_from_lru_list(_ page: page, _ lruvec: pglist_data) {
    let lru = page_lru(page)
    if page.lru_list != UInt8(lru.rawValue) {
        reportViolation(VIOLATION_lru, UInt(page.lru_list), UInt(lru.rawValue))
    }
    list_del(page.lru)
    page.lru_list = UInt8(NR_LRU_LISTS.rawValue)
    update_lru_size(lru, -Int(thp_nr_pages(page)))
}

/// Linux v5.13, include/linux/mm_inline.h, __clear_page_lru_flags().  A page that is both active and
/// unevictable keeps the flags, so that freeing it is noticed.
func __clear_page_lru_flags(_ page: page) {
    VM_BUG_ON_PAGE(!PageLRU(page), "!PageLRU(page)")
    ClearPageLRU(page)
    if PageActive(page) && PageUnevictable(page) { return }
    ClearPageActive(page)
    ClearPageUnevictable(page)
}

/// Linux v5.13, include/linux/memcontrol.h, relock_page_lruvec_irq(): takes the lock of the page's node,
/// and drops the one of another node that is held.
func relock_page_lruvec_irq(
    _ page: page, _ locked: pglist_data?, _ function: StaticString = #function
) -> pglist_data {
    let lruvec = page_pgdat(page)
    if let locked {
        if locked === lruvec { return locked }
        spin_unlock_irq(locked.lru_lock, function)
    }
    spin_lock_irq(lruvec.lru_lock, function)
    return lruvec
}

/// Linux v5.13, include/linux/memcontrol.h, lock_page_lruvec_irq().
func lock_page_lruvec_irq(_ page: page, _ function: StaticString = #function) -> pglist_data {
    relock_page_lruvec_irq(page, nil, function)
}

/// Linux v5.13, include/linux/memcontrol.h, unlock_page_lruvec_irq().
func unlock_page_lruvec_irq(_ lruvec: pglist_data, _ function: StaticString = #function) {
    spin_unlock_irq(lruvec.lru_lock, function)
}
