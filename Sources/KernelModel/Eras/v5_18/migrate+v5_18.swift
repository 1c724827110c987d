// SPDX-License-Identifier: GPL-2.0-only
// mm/migrate.c of Linux v5.18-rc1: what has changed on the way of one list of pages.  Migration has an unmapping walk
// of its own; the new page goes to the LRU before it is mapped, so that its mlocks are counted; the pages of a huge
// page that was split have a round of their own.
//
// folio_migrate_mapping() is migrate_page_move_mapping() here, and v5.13's: that page cache and page still go
// together need not be checked, since the page is locked.
// Left out: as for v5.13; statistics of huge pages (THP_MIGRATION_*).

import CKernel
import Simulation

func install_migrate_v5_18(_ ops: kernel_ops) {
    ops.migrate_pages = migrate_pages
    ops.__unmap_and_move = __unmap_and_move
}

// MARK: - One page

/// Linux v5.18-rc1, mm/migrate.c, __unmap_and_move().
private func __unmap_and_move(_ page: page, _ newpage: page, _ force: Bool, _ mode: Int32) -> Int32 {
    if !trylock_page(page) {
        if !force || mode == MIGRATE_ASYNC || current.memalloc { return -EAGAIN }
        lock_page(page)
    }
    let rc = unmap_and_move_locked(page, newpage, force, mode)
    unlock_page(page)
    // Its new owners have references of their own.
    if rc == 0 { ops.put_page(newpage) }
    return rc
}

/// __unmap_and_move() from where the old page is locked to where it is unlocked.
private func unmap_and_move_locked(_ page: page, _ newpage: page, _ force: Bool, _ mode: Int32) -> Int32 {
    yield_point("PageWriteback")
    if PageWriteback(page) {
        if mode != MIGRATE_SYNC { return -EBUSY }
        if !force { return -EAGAIN }
        wait_on_page_writeback(page)
    }

    // Unmapping may drop the last mapping, so the walks back need the anon_vma held.
    let anon_vma = PageAnon(page) ? ops.page_get_anon_vma(page) : nil
    defer { if let anon_vma { ops.put_anon_vma(anon_vma) } }
    guard trylock_page(newpage) else { return -EAGAIN }
    defer { unlock_page(newpage) }

    // A page just read into the swap cache has no rmap; a truncated one may be left without a mapping.
    var page_was_mapped = false
    if page.mapping == nil {
        VM_BUG_ON_PAGE(PageAnon(page), "PageAnon(page)")
    } else {
        yield_point("page_mapped")
        if page_mapped(page) {
            VM_BUG_ON_PAGE(PageAnon(page) && anon_vma == nil, "PageAnon(page) && !anon_vma")
            ops.try_to_migrate(page, 0)
            page_was_mapped = true
        }
    }

    yield_point("page_mapped")
    let rc = page_mapped(page) ? -EAGAIN : move_to_new_page(newpage, page)
    if rc == 0 {
        // On the LRU it counts the mlocks of the vmas that are about to map it.
        ops.lru_cache_add(newpage)
        if page_was_mapped { ops.lru_add_drain() }
    }
    if page_was_mapped { ops.remove_migration_ptes(page, rc == 0 ? newpage : page, false) }
    return rc
}

// MARK: - A list

/// What migrate_pages() counts.
private struct Counts {
    var retry: Int32 = 1
    var thp_retry: Int32 = 1
    var nr_failed: Int32 = 0
    var nr_failed_pages: Int32 = 0
    var nr_succeeded: Int32 = 0
    var nr_thp_failed: Int32 = 0
}

/// Linux v5.18-rc1, mm/migrate.c, migrate_pages().
///
/// - Returns: how many pages, huge or not, were not moved and are still on `from`, or an error.  When memory is short,
///   what was split off before is left behind on the list of its own, and never freed: v5.19 has repaired that.
private func migrate_pages(_ from: list_head, _ nid: Int32, _ mode: Int32, _ reason: Int32) -> Int32 {
    migrate_pages(from, nid, mode, reason, givesBackSplitPages: false)
}

/// - Parameter givesBackSplitPages: from v5.19 on ("mm/migration: fix potential page refcounts leak in migrate_pages"), pages that were split off are the caller's to put
///   back when memory is short.
func migrate_pages(
    _ from: list_head, _ nid: Int32, _ mode: Int32, _ reason: Int32, givesBackSplitPages: Bool
) -> Int32 {
    let ret_pages = LIST_HEAD()
    defer { leaveFrame(ret_pages) }
    let thp_split_pages = LIST_HEAD()
    var counts = Counts()
    var no_subpage_counting = false
    var rc: Int32 = 0
    while true {
        rc = migrate_list(from, nid, mode, reason, ret_pages, thp_split_pages, no_subpage_counting, &counts)
        if rc == -ENOMEM {
            if givesBackSplitPages { list_splice_init(thp_split_pages, from) }
            break
        }
        counts.nr_failed += counts.retry
        counts.nr_thp_failed += counts.thp_retry
        if list_empty(thp_split_pages) {
            rc = counts.nr_failed + counts.nr_thp_failed
            break
        }
        // The pages of huge ones that were split, which have been counted as one failure each.
        list_splice_init(from, ret_pages)
        list_splice_init(thp_split_pages, from)
        no_subpage_counting = true
        counts.retry = 1
    }
    list_splice_init(ret_pages, from)
    count_vm_events(Int32(PGMIGRATE_SUCCESS.rawValue), Int(counts.nr_succeeded))
    count_vm_events(Int32(PGMIGRATE_FAIL.rawValue), Int(counts.nr_failed_pages))
    return rc
}

/// The passes over the list, from the label thp_subpage_migration of migrate_pages() on; -ENOMEM if there is no
/// memory to go on with.
private func migrate_list(
    _ from: list_head, _ nid: Int32, _ mode: Int32, _ reason: Int32, _ ret_pages: list_head,
    _ thp_split_pages: list_head, _ no_subpage_counting: Bool, _ counts: UnsafeMutablePointer<Counts>
) -> Int32 {
    let nosplit = reason == MR_NUMA_MISPLACED
    var pass = 0
    while pass < 10 && (counts.pointee.retry != 0 || counts.pointee.thp_retry != 0) {
        counts.pointee.retry = 0
        counts.pointee.thp_retry = 0
        var entry = from.next
        while entry !== from {
            let page = lru_to_page(entry)
            let is_thp = PageTransHuge(page)
            let nr_subpages = compound_nr(page)
            var next = entry.next
            let rc = unmap_and_move(page, nid, pass > 2, mode, reason, ret_pages)
            switch rc {
            case 0:
                counts.pointee.nr_succeeded += nr_subpages
            case -EAGAIN:
                if is_thp { counts.pointee.thp_retry += 1 } else { counts.pointee.retry += 1 }
            case -ENOMEM:
                if is_thp && !nosplit {
                    counts.pointee.nr_thp_failed += 1
                    if try_split_thp(page, thp_split_pages) {
                        // The head is tried again at once, the tails after the rest.
                        next = entry
                        break
                    }
                } else if !no_subpage_counting {
                    counts.pointee.nr_failed += 1
                }
                counts.pointee.nr_failed_pages += nr_subpages
                return -ENOMEM
            default:
                if is_thp {
                    counts.pointee.nr_thp_failed += 1
                } else if !no_subpage_counting {
                    counts.pointee.nr_failed += 1
                }
                counts.pointee.nr_failed_pages += nr_subpages
            }
            entry = next
        }
        pass += 1
    }
    return 0
}
