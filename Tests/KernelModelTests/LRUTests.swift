// SPDX-License-Identifier: GPL-2.0-only
import CKernel
import Simulation
import Testing

@testable import KernelModel

extension KernelModelTests {
    /// mm/swap.c: references, batches, drains.
    @Suite struct LRUTests {
        @Test func aNewPageWaitsInTheBatchWithAReference() {
            TestMachine.boot()
            let page = newPage()
            ops.lru_cache_add(page)
            #expect(!PageLRU(page))
            #expect(page_count(page) == 2)
            ops.lru_add_drain()
            #expect(PageLRU(page))
            #expect(page_count(page) == 1)
            #expect(pages(on: LRU_INACTIVE_ANON) == 1)
        }

        @Test func aFullBatchDrainsItself() {
            TestMachine.boot(pagevecSize: 2)
            let first = newPage()
            let second = newPage()
            ops.lru_cache_add(first)
            #expect(!PageLRU(first))
            ops.lru_cache_add(second)
            #expect(PageLRU(first) && PageLRU(second))
        }

        @Test func aHugePageIsNotBatchedAndCountsItsBasePages() {
            TestMachine.boot()
            let page = newPage(order: UInt32(kernel.hpage_pmd_order))
            ops.lru_cache_add(page)
            #expect(PageLRU(page))
            #expect(pages(on: LRU_INACTIVE_ANON) == Int(HPAGE_PMD_NR()))
        }

        @Test func nothingIsBatchedWhileTheCachesAreDisabled() {
            TestMachine.boot()
            let before = newPage()
            ops.lru_cache_add(before)
            ops.lru_cache_disable()
            #expect(PageLRU(before))
            let during = newPage()
            ops.lru_cache_add(during)
            #expect(PageLRU(during))
            ops.lru_cache_enable()
            let after = newPage()
            ops.lru_cache_add(after)
            #expect(!PageLRU(after))
        }

        @Test func theDrainOfAllCPUsReachesTheOthers() {
            TestMachine.boot()
            current.cpu = 1
            let page = newPage()
            ops.lru_cache_add(page)
            current.cpu = 0
            ops.lru_add_drain()
            #expect(!PageLRU(page))
            ops.lru_add_drain_all()
            #expect(PageLRU(page))
            #expect(current.cpu == 0)
        }

        @Test func aPageOfALockedVMABecomesUnevictable() {
            TestMachine.boot()
            let page = newPage()
            let vma = unsafeBitCast(kmem_cache_zalloc(CACHE_vm_area_struct)!, to: vm_area_struct.self)
            vma.vm_flags = VM_LOCKED
            ops.lru_cache_add_inactive_or_unevictable(page, vma)
            #expect(PageMlocked(page))
            #expect(statistic(NR_MLOCK) == 1)
            ops.lru_add_drain()
            #expect(pages(on: LRU_UNEVICTABLE) == 1)
            #expect(events(UNEVICTABLE_PGCULLED) == 1)
        }

        @Test func aLockedSpecialVMADoesNotCount() {
            TestMachine.boot()
            let page = newPage()
            let vma = unsafeBitCast(kmem_cache_zalloc(CACHE_vm_area_struct)!, to: vm_area_struct.self)
            vma.vm_flags = VM_LOCKED | VM_IO
            ops.lru_cache_add_inactive_or_unevictable(page, vma)
            #expect(!PageMlocked(page))
            #expect(statistic(NR_MLOCK) == 0)
        }

        @Test func theLastReferenceTakesThePageOffTheList() {
            TestMachine.boot()
            let free = freePages()
            let page = newPage()
            ops.lru_cache_add(page)
            ops.lru_add_drain()
            ops.put_page(page)
            #expect(pages(on: LRU_INACTIVE_ANON) == 0)
            #expect(freePages() == free)
            #expect(kernel.violations == 0)
        }

        @Test func aPageUsedTwiceIsActivated() {
            TestMachine.boot()
            let page = newPage()
            ops.lru_cache_add(page)
            ops.lru_add_drain()
            ops.mark_page_accessed(page)
            #expect(PageReferenced(page))
            ops.mark_page_accessed(page)
            #expect(!PageActive(page) && page_count(page) == 2)
            ops.lru_add_drain()
            #expect(PageActive(page) && page_count(page) == 1)
            #expect(pages(on: LRU_ACTIVE_ANON) == 1 && pages(on: LRU_INACTIVE_ANON) == 0)
            ops.deactivate_page(page)
            ops.lru_add_drain()
            #expect(pages(on: LRU_ACTIVE_ANON) == 0 && pages(on: LRU_INACTIVE_ANON) == 1)
        }

        @Test func aPageInTheBatchIsActivatedThere() {
            TestMachine.boot()
            let page = newPage()
            ops.lru_cache_add(page)
            ops.mark_page_accessed(page)
            ops.mark_page_accessed(page)
            #expect(PageActive(page))
            ops.lru_add_drain()
            #expect(pages(on: LRU_ACTIVE_ANON) == 1)
        }

        @Test func anIsolatedPageIsLeftAloneByABatch() {
            TestMachine.boot()
            let page = newPage()
            ops.lru_cache_add(page)
            ops.lru_add_drain()
            SetPageReferenced(page)
            ops.mark_page_accessed(page)
            #expect(ops.isolate_lru_page(page) == 0)
            ops.lru_add_drain()
            #expect(!PageActive(page) && !PageLRU(page))
            #expect(page_count(page) == 2)
        }
    }
}
