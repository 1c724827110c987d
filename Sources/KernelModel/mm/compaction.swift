// SPDX-License-Identifier: GPL-2.0-only
// mm/compaction.c of Linux v5.13: emptying blocks of a huge page's size by migration within the node.
//
// The migration scanner takes blocks, and the pages of a block, in the order in which they were allocated:
// the kernel's order by pfn means nothing here, since no outcome may depend on a pfn.  The free scanner takes
// pages outside the blocks that the migration scanner has passed.
// Left out: skip hints, deferral and contention, which only save work; CMA; pages isolated in batches of 32
// under the lock (a block is smaller); movable pages that are not on the LRU.

import CKernel
import Simulation

func install_compaction(_ ops: kernel_ops) {
    ops.compact_zone = compact_zone
}

// MARK: - Migration scanner

/// Linux v5.13, mm/compaction.c, isolate_migratepages_block(), in mode MIGRATE_SYNC_LIGHT.
private func isolate_migratepages_block(_ block: Int, _ migratepages: list_head) {
    var locked: pglist_data?
    var birth: UInt32 = 0
    while let page = nextPage(of: block, after: birth) {
        birth = page.birth
        yield_point("PageCompound")
        guard isolationCanSucceed(page) else { continue }
        guard get_page_unless_zero(page) else { continue }
        var isolated = __isolate_lru_page_prepare(page, evictableOnly: false, asyncMigrate: true)
        if isolated {
            yield_point("PageLRU")
            isolated = TestClearPageLRU(page)
        }
        if isolated && locked == nil {
            locked = lock_page_lruvec_irq(page)
            if PageCompound(page) {
                SetPageLRU(page)
                isolated = false
            }
        }
        guard isolated else {
            // Freeing a page takes lru_lock.
            if let lruvec = locked { unlock_page_lruvec_irq(lruvec) }
            locked = nil
            ops.put_page(page)
            continue
        }
        del_page_from_lru_list(page, locked!)
        mod_isolated_state(page, 1)
        list_add(page.lru, migratepages)
    }
    if let lruvec = locked { unlock_page_lruvec_irq(lruvec) }
}

/// The checks of isolate_migratepages_block() before it takes a reference: racy, but they save the work for
/// huge pages and for pinned anonymous ones.
private func isolationCanSucceed(_ page: page) -> Bool {
    if PageCompound(page) || !PageLRU(page) { return false }
    let mapped = page_mapping(page) != nil || PageSwapCache(page)
    return mapped || page_count(page) <= page_mapcount(page)
}

/// The page in use of the block that was allocated next after `birth`.
private func nextPage(of block: Int, after birth: UInt32) -> page? {
    var next: page?
    for pfn in pages(of: block) {
        let page = pfn_to_page(UInt(pfn))
        guard page.free_state == UInt8(PAGE_in_use.rawValue), page.birth > birth else { continue }
        if next == nil || page.birth < next!.birth { next = page }
    }
    return next
}

/// The pfns of a block.
private func pages(of block: Int) -> Range<Int> {
    let size = Int(HPAGE_PMD_NR())
    return block * size..<min((block + 1) * size, Int(kernel.nr_pages))
}

/// The block of the node that was taken into use first, of those not passed yet.
private func nextBlock(of nid: Int, passed: UInt64) -> Int? {
    var next: Int?
    var birth = UInt32.max
    for block in 0..<(Int(kernel.nr_pages) + Int(HPAGE_PMD_NR()) - 1) / Int(HPAGE_PMD_NR()) {
        guard passed & 1 << UInt64(block) == 0, Int(pfn_to_page(UInt(pages(of: block).lowerBound)).nid) == nid,
            let first = nextPage(of: block, after: 0), first.birth < birth
        else { continue }
        next = block
        birth = first.birth
    }
    return next
}

// MARK: - Free scanner

/// Linux v5.13, mm/compaction.c, compaction_alloc(), isolate_freepages().
func compaction_alloc(_ nid: Int) -> page? {
    yield_point("free_area")
    return isolate_freepage(nid, outside: current.compaction_passed)
}

// MARK: - A zone

/// Linux v5.13, mm/compaction.c, compact_zone(): for a block of `order`, or of the whole node if it is -1.
private func compact_zone(_ nid: Int32, _ order: Int32) -> Int {
    let migratepages = LIST_HEAD()
    defer { leaveFrame(migratepages) }
    let node = kernel.node(Int(nid))
    current.compaction_passed = 0
    ops.lru_add_drain()
    while let block = nextBlock(of: Int(nid), passed: current.compaction_passed) {
        yield_point("free_area")
        if order > 0 && !list_empty(node.free_area) { break }
        current.compaction_passed |= 1 << UInt64(block)
        isolate_migratepages_block(block, migratepages)
        if list_empty(migratepages) { continue }
        let err = ops.migrate_pages(migratepages, nid, MIGRATE_SYNC_LIGHT, MR_COMPACTION)
        if err != 0 {
            ops.putback_movable_pages(migratepages)
            if err == -ENOMEM { break }
        }
        // What was migrated away is freed now, so that it can merge.
        if order > 0 { ops.lru_add_drain_cpu_zone() }
    }
    current.compaction_passed = 0
    return 0
}
