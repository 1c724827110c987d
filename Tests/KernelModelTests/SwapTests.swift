// SPDX-License-Identifier: GPL-2.0-only
import CKernel
import Simulation
import Testing

@testable import KernelModel

extension KernelModelTests { @Suite struct SwapTests {} }

/// mm/swapfile.c, mm/swap_state.c, mm/page_io.c.
extension KernelModelTests.SwapTests {
    /// An anonymous page with a slot of the swap area, locked.
    private func pageInSwapCache(_ token: UInt64 = 0x77) -> page {
        let page = newPage()
        page.contents = token
        lock_page(page)
        #expect(ops.add_to_swap(page))
        return page
    }

    private func entry(of page: page) -> swp_entry_t { swp_entry_t(val: page.private_) }

    private func users(_ entry: swp_entry_t) -> UInt8 {
        kernel.swap_info.users(Int(swp_offset(entry))).pointee
    }

    /// Writes the page and drops it from memory, as reclaim does; one pte has the entry.
    private func swapOut(_ page: page) -> swp_entry_t {
        let entry = entry(of: page)
        #expect(ops.swap_duplicate(entry) == 0)
        #expect(ops.clear_page_dirty_for_io(page))
        ops.swap_writepage(page)
        lock_page(page)
        ops.delete_from_swap_cache(page)
        unlock_page(page)
        ops.put_page(page)
        return entry
    }

    @Test func aPageGetsTheLowestFreeSlot() {
        TestMachine.boot()
        let first = pageInSwapCache()
        let second = pageInSwapCache()
        #expect(swp_offset(entry(of: first)) == 1)
        #expect(swp_offset(entry(of: second)) == 2)
        #expect(users(entry(of: first)) == UInt8(SWAP_HAS_CACHE))
        #expect(PageSwapCache(first) && PageDirty(first) && page_count(first) == 2)
        #expect(ops.try_to_free_swap(first))
        #expect(page_count(first) == 1)
        let third = pageInSwapCache()
        #expect(swp_offset(entry(of: third)) == 1)
    }

    @Test func theAreaFillsUp() {
        var shape = MachineShape()
        shape.swapSlots = 3
        TestMachine.boot(shape)
        let pages = [pageInSwapCache(), pageInSwapCache()]
        for page in pages { _ = ops.swap_duplicate(entry(of: page)) }
        let page = newPage()
        lock_page(page)
        #expect(!ops.add_to_swap(page))
    }

    @Test func aFullAreaTakesBackSlotsThatOnlyTheCacheUses() {
        var shape = MachineShape()
        shape.swapSlots = 3
        TestMachine.boot(shape)
        let pages = [pageInSwapCache(), pageInSwapCache()]
        pages.forEach { unlock_page($0) }
        let page = pageInSwapCache()
        #expect(swp_offset(entry(of: page)) == 1)
        #expect(!PageSwapCache(pages[0]))
    }

    @Test func whatIsSwappedOutComesBack() {
        TestMachine.boot()
        let entry = swapOut(pageInSwapCache(0xabc))
        #expect(freePages() == 32)
        #expect(users(entry) == 1)
        let page = ops.swapin_readahead(entry)!
        #expect(PageUptodate(page) && !PageLocked(page) && page.contents == 0xabc)
        #expect(users(entry) == 1 | UInt8(SWAP_HAS_CACHE))
        #expect(ops.lookup_swap_cache(entry) === page)
        #expect(kernel.violations == 0)
    }

    @Test func throwingAnEntryAwayFreesItsPageToo() {
        TestMachine.boot()
        let entry = swapOut(pageInSwapCache())
        let page = ops.swapin_readahead(entry)!
        ops.put_page(page)
        ops.lru_add_drain()
        ops.free_swap_and_cache(entry)
        #expect(users(entry) == 0)
        #expect(freePages() == 32)
        #expect(ops.swapin_readahead(entry) == nil)
        #expect(kernel.violations == 0)
    }

    @Test func anEntryFreedTwiceIsNoticed() {
        TestMachine.boot()
        let entry = swapOut(pageInSwapCache())
        ops.swap_free(entry)
        ops.swap_free(entry)
        #expect(kernel.violations == 1 << VIOLATION_swap_map.rawValue)
    }

    @Test func theOnlyUserMayReuseThePage() {
        TestMachine.boot()
        let page = pageInSwapCache()
        page._mapcount = 0
        #expect(ops.reuse_swap_page(page))
        #expect(!PageSwapCache(page))
        let shared = pageInSwapCache()
        shared._mapcount = 0
        _ = ops.swap_duplicate(entry(of: shared))
        #expect(!ops.reuse_swap_page(shared))
        #expect(PageSwapCache(shared))
    }

    @Test func theLastPageTableTakesThePageFromTheCache() {
        TestMachine.boot()
        let page = pageInSwapCache()
        unlock_page(page)
        ops.free_page_and_swap_cache(page)
        #expect(freePages() == 32)
        #expect(kernel.violations == 0)
    }
}
