// SPDX-License-Identifier: GPL-2.0-only
// mlock from v5.18-rc1 on: pages count the vmas that lock them, by way of a batch of each CPU.

import CKernel
import Simulation
import Testing

@testable import KernelModel

private let base: UInt = 8 * PAGE_SIZE

private let oneFile: MachineShape = {
    var shape = MachineShape()
    shape.files = [.init(kind: .shmem, size: 4)]
    return shape
}()

private func address(_ n: Int) -> UInt { base + UInt(n) * PAGE_SIZE }

/// The page that the current process has mapped there.
private func mapped(_ address: UInt = base) -> page {
    pte_page(pte_offset_map(pmd_offset(current.mm!, address), address).pointee)
}

private func mlock(_ pages: UInt = 1) { #expect(ops.do_mlock(base, pages * PAGE_SIZE, VM_LOCKED) == 0) }
private func munlock(_ pages: UInt = 1) { #expect(ops.do_munlock(base, pages * PAGE_SIZE) == 0) }

/// Pages in the batch of this CPU.
private var waiting: UInt32 { pagevec_count(this_cpu.mlock_pvec) }

/// Anonymous pages with data, on their lists.
private func mapAnonymous(_ pages: Int = 1) {
    map(base, pages: pages)
    for n in 0..<pages { store(n + 1, address(n)) }
    ops.lru_add_drain_all()
}

/// The first page of a file, which processes 0 and 1 have mapped, on its list.
private func sharePage() -> page {
    map(base, pages: 1, file: kernel.file(0), shared: true)
    store(1, base)
    fork(1)
    become(1)
    #expect(load(base) == 1)
    become(0)
    ops.lru_add_drain_all()
    return mapped()
}

private func expectMlocked(_ page: page, count: Int32, sourceLocation: SourceLocation = #_sourceLocation) {
    #expect(PageMlocked(page) && PageUnevictable(page) && PageLRU(page), sourceLocation: sourceLocation)
    #expect(page.mlock_count == count, sourceLocation: sourceLocation)
}

private func expectNotMlocked(_ page: page, sourceLocation: SourceLocation = #_sourceLocation) {
    #expect(!PageMlocked(page) && !PageUnevictable(page) && PageLRU(page), sourceLocation: sourceLocation)
}

extension KernelModelTests {
    @Suite struct MlockBatchTests {
        private func run(
            _ shape: MachineShape = MachineShape(), sourceLocation: SourceLocation = #_sourceLocation,
            _ body: @escaping () -> Void
        ) {
            TestMachine.run(shape, era: .v5_18_rc1, sourceLocation: sourceLocation, body)
        }

        // MARK: The batch

        @Test func entriesSayWhatIsToBeDone() {
            run {
                mapAnonymous()
                let page = mapped()
                let new = newPage()
                ops.mlock_page(page)
                ops.munlock_page(page)
                ops.mlock_new_page(new)
                let kinds = (0..<3).map { mlock_kind(this_cpu.mlock_pvec.page($0).pointee!) }
                #expect(kinds == [LRU_PAGE, 0, NEW_PAGE])
                // Marked at once, counted later, munlocked later.
                #expect(PageMlocked(page) && PageMlocked(new) && statistic(NR_MLOCK) == 2)
                #expect(!PageUnevictable(page) && !PageLRU(new))
                #expect(page_count(page) == 3 && page_count(new) == 2)
                ops.lru_add_drain()
                expectNotMlocked(page)
                expectMlocked(new, count: 1)
                #expect(page_count(page) == 1 && page_count(new) == 1)
                ops.put_page(new)
            }
        }

        @Test func aFullBatchEmptiesItself() {
            var shape = MachineShape()
            shape.pagevecSize = 4
            run(shape) {
                mapAnonymous(4)
                for n in 0..<3 { ops.mlock_page(mapped(address(n))) }
                #expect(waiting == 3 && pages(on: LRU_UNEVICTABLE) == 0)
                ops.mlock_page(mapped(address(3)))
                #expect(waiting == 0 && pages(on: LRU_UNEVICTABLE) == 4)
                for n in 0..<4 { ops.munlock_page(mapped(address(n))) }
                #expect(waiting == 0 && pages(on: LRU_UNEVICTABLE) == 0 && statistic(NR_MLOCK) == 0)
            }
        }

        @Test func nothingWaitsWhileTheCachesAreDisabled() {
            run {
                mapAnonymous()
                ops.mlock_page(mapped())
                ops.lru_cache_disable()
                #expect(waiting == 0)
                ops.munlock_page(mapped())
                #expect(waiting == 0)
                expectNotMlocked(mapped())
                ops.lru_cache_enable()
            }
        }

        @Test func onlyADrainOfAllCPUsReachesAnother() {
            run {
                mapAnonymous()
                let page = mapped()
                moveToCPU(1)
                ops.mlock_page(page)
                moveToCPU(0)
                ops.munlock_page(page)
                #expect(ops.need_mlock_page_drain(0) && ops.need_mlock_page_drain(1))
                // Munlocked before it was counted.
                ops.lru_add_drain()
                #expect(!ops.need_mlock_page_drain(0) && ops.need_mlock_page_drain(1))
                #expect(!PageMlocked(page) && page_count(page) == 2)
                ops.lru_add_drain_all()
                #expect(!ops.need_mlock_page_drain(1) && page_count(page) == 1)
                expectNotMlocked(page)
            }
        }

        @Test func mlockPageDrainEmptiesThisBatchOnly() {
            run {
                mapAnonymous(2)
                ops.munlock_page(mapped())
                ops.deactivate_page(mapped(address(1)))
                ops.mark_page_lazyfree(mapped(address(1)))
                ops.mlock_page_drain(Int32(smp_processor_id()))
                #expect(waiting == 0 && pagevec_count(this_cpu.lru_lazyfree) == 1)
            }
        }

        // MARK: Counts

        @Test func aNewPageOfALockedVMAIsCounted() {
            run {
                #expect(ops.do_mlockall(UInt(MCL_FUTURE)) == 0)
                map(base, pages: 1)
                expectMlocked(mapped(), count: 1)
                #expect(waiting == 0 && statistic(NR_MLOCK) == 1)
            }
        }

        @Test func aPageCountsTheVMAsThatLockIt() {
            run(oneFile) {
                let page = sharePage()
                mlock()
                expectMlocked(page, count: 1)
                become(1)
                mlock()
                expectMlocked(page, count: 2)
                #expect(statistic(NR_MLOCK) == 1)
                munlock()
                expectMlocked(page, count: 1)
                become(0)
                munlock()
                expectNotMlocked(page)
                #expect(statistic(NR_MLOCK) == 0 && events(UNEVICTABLE_PGRESCUED) == 1)
            }
        }

        @Test func lockingTwiceCountsOnce() {
            run {
                mapAnonymous()
                mlock()
                #expect(ops.do_mlock(base, PAGE_SIZE, VM_LOCKED | VM_LOCKONFAULT) == 0)
                mlock()
                expectMlocked(mapped(), count: 1)
                #expect(current.mm!.locked_vm == 1)
            }
        }

        @Test func exitTakesItsCountWithIt() {
            run(oneFile) {
                let page = sharePage()
                mlock()
                become(1)
                mlock()
                exit(1)
                become(0)
                ops.lru_add_drain_all()
                expectMlocked(page, count: 1)
            }
        }

        @Test func munmapMunlocksByRmap() {
            run(oneFile) {
                let page = sharePage()
                mlock()
                #expect(ops.do_munmap(current.mm!, base, PAGE_SIZE) == 0)
                #expect(current.mm!.locked_vm == 0)
                // The page cache still has it.
                ops.lru_add_drain()
                expectNotMlocked(page)
                #expect(statistic(NR_MLOCK) == 0 && page_mapcount(page) == 1)
            }
        }

        @Test func theCountGoesByWhatIsMappedNotByWhatIsLocked() {
            run {
                mapAnonymous()
                map(address(1), pages: 1)
                #expect(ops.do_mlock(base, 2 * PAGE_SIZE, VM_LOCKED | VM_LOCKONFAULT) == 0)
                expectMlocked(mapped(), count: 1)
                #expect(pte_none(pte_offset_map(pmd_offset(current.mm!, address(1)), address(1)).pointee))
                store(2, address(1))
                ops.lru_add_drain()
                expectMlocked(mapped(address(1)), count: 1)
            }
        }

        @Test func copyOnWriteMovesTheMlockToTheCopy() {
            run {
                mapAnonymous()
                mlock()
                let old = mapped()
                fork(1)
                store(7, base)
                ops.lru_add_drain_all()
                #expect(mapped() !== old)
                expectMlocked(mapped(), count: 1)
                expectNotMlocked(old)
            }
        }

        // MARK: Off the list

        @Test func whatIsMlockedOffTheListIsNotCounted() {
            run(oneFile) {
                let page = sharePage()
                #expect(ops.isolate_lru_page(page) == 0)
                mlock()
                become(1)
                mlock()
                #expect(PageMlocked(page) && !PageUnevictable(page))
                ops.putback_lru_page(page)
                ops.lru_add_drain_all()
                expectMlocked(page, count: 0)
                // Too early: process 0 still locks it.
                munlock()
                expectNotMlocked(page)
                // Reclaim finds that out, and makes up for it.
                ClearPageActive(page)
                ClearPageReferenced(page)
                _ = ops.shrink_node(0, 0)
                ops.lru_add_drain_all()
                expectMlocked(page, count: 1)
            }
        }

        @Test func munlockOffTheListMayStrandAPage() {
            run {
                mapAnonymous()
                mlock()
                let page = mapped()
                // As in __mlock_page() of another CPU.
                ClearPageLRU(page)
                munlock()
                SetPageLRU(page)
                #expect(!PageMlocked(page) && PageUnevictable(page))
                #expect(events(UNEVICTABLE_PGSTRANDED) == 1)
            }
        }

        @Test func theMarkGoesWithTheLastReference() {
            run {
                mapAnonymous()
                mlock()
                let page = mapped()
                get_page(page)
                // munlock() has cleared VM_LOCKED when somebody else unmaps the page.
                ops.find_vma(current.mm!, base)!.vm_flags &= ~VM_LOCKED
                #expect(ops.do_munmap(current.mm!, base, PAGE_SIZE) == 0)
                #expect(PageMlocked(page) && statistic(NR_MLOCK) == 1)
                ops.put_page(page)
                #expect(statistic(NR_MLOCK) == 0 && events(UNEVICTABLE_PGCLEARED) == 1)
            }
        }

        @Test func rmapLeavesAVMAAloneThatMlockIsAtWorkOn() {
            run {
                mapAnonymous()
                let vma = ops.find_vma(current.mm!, base)!
                vma.vm_flags |= VM_LOCKED | VM_IO
                mlock_vma_page(mapped(), vma, false)
                #expect(waiting == 0 && !PageMlocked(mapped()))
                vma.vm_flags &= ~VM_IO
                mlock_vma_page(mapped(), vma, false)
                #expect(waiting == 1 && PageMlocked(mapped()))
            }
        }

        // MARK: Huge pages

        private func mapHuge() -> page {
            map(PMD_SIZE(), pages: 8)
            #expect(ops.do_madvise(PMD_SIZE(), PMD_SIZE(), Int32(MADV_HUGEPAGE)) == 0)
            store(1, PMD_SIZE())
            ops.lru_add_drain_all()
            return pmd_page(pmd_offset(current.mm!, PMD_SIZE()).pointee)
        }

        @Test func aHugePageNeverWaits() {
            run {
                let page = mapHuge()
                #expect(ops.do_mlock(PMD_SIZE(), PMD_SIZE(), VM_LOCKED) == 0)
                expectMlocked(page, count: 1)
                #expect(statistic(NR_MLOCK) == 8)
                ops.munlock_page(page)
                #expect(waiting == 0)
                expectNotMlocked(page)
                ops.mlock_page(page)
            }
        }

        @Test func aHugePageMappedByPtesIsNotMlocked() {
            run {
                let page = mapHuge()
                #expect(ops.do_mlock(PMD_SIZE(), PMD_SIZE(), VM_LOCKED) == 0)
                #expect(ops.do_mprotect(PMD_SIZE(), PAGE_SIZE, PROT_READ) == 0)
                #expect(PageTransHuge(page))
                expectNotMlocked(page)
                #expect(statistic(NR_MLOCK) == 0)
            }
        }

        @Test func pagesOfASplitHugePageAreMlockedOneByOne() {
            run {
                let page = mapHuge()
                #expect(ops.do_mlock(PMD_SIZE(), PMD_SIZE(), VM_LOCKED) == 0)
                get_page(page)
                lock_page(page)
                #expect(ops.split_huge_page_to_list(page, nil) == 0)
                unlock_page(page)
                ops.put_page(page)
                ops.lru_add_drain_all()
                #expect(statistic(NR_MLOCK) == 8)
                for n in 0..<8 { expectMlocked(mapped(PMD_SIZE() + UInt(n) * PAGE_SIZE), count: 1) }
            }
        }
    }
}
