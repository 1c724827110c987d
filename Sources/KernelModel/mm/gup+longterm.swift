// SPDX-License-Identifier: GPL-2.0-only
// mm/gup.c of Linux v5.13: pins for long (FOLL_LONGTERM).  No page of ZONE_MOVABLE may be pinned so: it is moved to
// another zone first, and found again.
//
// v5.18-rc1 has the same code in another order, with folios.  Left out: CMA, hugetlb, the zero page, DAX.

import CKernel
import Simulation

func install_gup_longterm(_ ops: kernel_ops) {
    ops.check_and_migrate_movable_pages = check_and_migrate_movable_pages
}

/// Linux v5.13, include/linux/mm.h, is_pinnable_page().
func is_pinnable_page(_ page: page) -> Bool {
    !is_zone_movable_page(page)
}

/// Moves what may not be pinned for long; then no page is pinned any more.
/// Linux v5.13, mm/gup.c, check_and_migrate_movable_pages().
///
/// - Returns: `nr_pages` if all may stay where they are; 0 to look them up again; an error if some could not be moved.
private func check_and_migrate_movable_pages(
    _ nr_pages: UInt, _ pages: UnsafeMutablePointer<page?>, _ gup_flags: UInt32
) -> Int {
    let movable_page_list = LIST_HEAD()
    defer { leaveFrame(movable_page_list) }
    var isolation_error_count = 0
    var drain_allow = true
    var prev_head: page?
    var isolated_by_others: page?
    for i in 0..<Int(nr_pages) {
        let head = compound_head(pages[i]!)
        if head === prev_head { continue }
        prev_head = head
        if is_pinnable_page(head) { continue }
        yield_point("PageLRU")
        if !PageLRU(head) && drain_allow {
            ops.lru_add_drain_all()
            drain_allow = false
        }
        if ops.isolate_lru_page(head) != 0 {
            isolation_error_count += 1
            isolated_by_others = head
            continue
        }
        list_add_tail(head.lru, movable_page_list)
        mod_isolated_state(head, 1)
    }
    if list_empty(movable_page_list) && isolation_error_count == 0 { return Int(nr_pages) }

    for i in 0..<Int(nr_pages) {
        if gup_flags & FOLL_PIN != 0 {
            ops.unpin_user_page(pages[i]!)
        } else {
            ops.put_page(pages[i]!)
        }
    }
    if list_empty(movable_page_list) {
        waitForIsolation(isolated_by_others!)
        return 0
    }
    let ret = ops.migrate_pages(movable_page_list, NUMA_NO_NODE, MIGRATE_SYNC, MR_LONGTERM_PIN)
    if ret != 0 && !list_empty(movable_page_list) { ops.putback_movable_pages(movable_page_list) }
    return ret > 0 ? -Int(ENOMEM) : Int(ret)
}

/// The kernel tries again and again while somebody else has the page off the LRU.
private func waitForIsolation(_ page: page) {
    let flags = page.flags
    if PageLRU(page) { return }
    waitForChange(of: page.flags_word, from: flags, "PageLRU")
}

/// Linux v5.13, mm/gup.c, __gup_longterm_locked().
func __gup_longterm_locked(
    _ mm: mm_struct, _ start: UInt, _ nr_pages: UInt, _ gup_flags: UInt32, _ pages: UnsafeMutablePointer<page?>?
) -> Int {
    guard gup_flags & FOLL_LONGTERM != 0 else {
        return __get_user_pages_locked(mm, start, nr_pages, gup_flags, pages, nil)
    }
    // What is faulted in meanwhile comes from the right zone (memalloc_pin_save()).
    current.memalloc_pin = true
    defer { current.memalloc_pin = false }
    while true {
        let got = __get_user_pages_locked(mm, start, nr_pages, gup_flags, pages, nil)
        if got <= 0 { return got }
        let rc = ops.check_and_migrate_movable_pages(UInt(got), pages!, gup_flags)
        if rc != 0 { return rc }
    }
}
