// SPDX-License-Identifier: GPL-2.0-only
import CKernel
import Simulation
import Testing

@testable import KernelModel

extension KernelModelTests {
    /// mm/vmscan.c: isolation and the unevictable list.
    @Suite struct ReclaimTests {
        private func pageOnLRU() -> page {
            let page = newPage()
            ops.lru_cache_add(page)
            ops.lru_add_drain()
            return page
        }

        @Test func onlyOneCanIsolateAPage() {
            TestMachine.boot()
            let page = pageOnLRU()
            #expect(ops.isolate_lru_page(page) == 0)
            #expect(page_count(page) == 2)
            #expect(pages(on: LRU_INACTIVE_ANON) == 0)
            #expect(ops.isolate_lru_page(page) == -EBUSY)
            ops.putback_lru_page(page)
            ops.lru_add_drain()
            #expect(page_count(page) == 1)
            #expect(pages(on: LRU_INACTIVE_ANON) == 1)
        }

        @Test func aPageThatWasMlockedWhileIsolatedGoesToTheUnevictableList() {
            TestMachine.boot()
            let page = pageOnLRU()
            #expect(ops.isolate_lru_page(page) == 0)
            SetPageMlocked(page)
            ops.putback_lru_page(page)
            ops.lru_add_drain()
            #expect(pages(on: LRU_UNEVICTABLE) == 1)
        }

        @Test func aPageThatIsEvictableAgainIsRescued() {
            TestMachine.boot()
            let page = newPage()
            SetPageMlocked(page)
            ops.lru_cache_add(page)
            ops.lru_add_drain()
            ClearPageMlocked(page)
            let pvec = pagevec_init()
            defer { leaveFrame(pvec) }
            _ = pagevec_add(pvec, page)
            ops.check_move_unevictable_pages(pvec)
            #expect(pages(on: LRU_UNEVICTABLE) == 0 && pages(on: LRU_INACTIVE_ANON) == 1)
            #expect(events(UNEVICTABLE_PGRESCUED) == 1)
        }

        @Test func theFrameIsEmptyAfterwards() {
            TestMachine.boot()
            let list = LIST_HEAD()
            let pvec = pagevec_init()
            #expect(address(list) < address(pvec))
            leaveFrame(list)
            #expect(current.frame_used == 0)
        }
    }
}
