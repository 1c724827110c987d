// SPDX-License-Identifier: GPL-2.0-only
// Transparent huge pages: counts and contents after each thing that can happen to one.

import CKernel
import Simulation
import Testing

@testable import KernelModel

extension KernelModelTests {
    @Suite struct HugePageTests {
        static let nr = 8

        /// A huge page of process 0 at the second pmd, each base page with a token of its own.
        func fault() -> page {
            let start = PMD_SIZE()
            map(start, pages: Self.nr)
            #expect(ops.do_madvise(start, PMD_SIZE(), Int32(MADV_HUGEPAGE)) == 0)
            for n in 0..<Self.nr { #expect(store(100 + n, start + UInt(n) * PAGE_SIZE)) }
            let pmd = pmd_offset(current.mm!, start).pointee
            #expect(pmd_trans_huge(pmd))
            return pmd_page(pmd)
        }

        func address(_ n: Int) -> UInt { PMD_SIZE() + UInt(n) * PAGE_SIZE }

        func expectContents(_ changed: [Int: Int] = [:]) {
            for n in 0..<Self.nr { #expect(load(address(n)) == changed[n] ?? 100 + n) }
        }

        func isHuge() -> Bool { pmd_trans_huge(pmd_offset(current.mm!, PMD_SIZE()).pointee) }
        func isTable() -> Bool { pmd_is_table(pmd_offset(current.mm!, PMD_SIZE()).pointee) }

        @Test func faultMapsAWholeHugePage() {
            TestMachine.run {
                let before = freePages()
                let page = fault()
                #expect(freePages() == before - Self.nr)
                #expect(page_count(page) == 1)
                #expect(compound_mapcount(page) == 1)
                #expect(total_mapcount(page) == 1)
                #expect(PageLRU(page))
                #expect(current.mm!.rss(Int(MM_ANONPAGES.rawValue)).pointee == Self.nr)
                #expect(current.mm!.nr_ptes == 1)
                #expect(statistic(NR_ANON_THPS) == Self.nr)
                expectContents()
                exit(0)
                #expect(freePages() == before)
            }
        }

        @Test func withoutAdviceOrRoomPagesAreSmall() {
            TestMachine.run {
                map(address(0), pages: Self.nr)
                #expect(store(1, address(0)))
                #expect(isTable())
                map(PMD_SIZE() * 2, pages: Self.nr - 1)
                #expect(ops.do_madvise(PMD_SIZE() * 2, PMD_SIZE() - PAGE_SIZE, Int32(MADV_HUGEPAGE)) == 0)
                #expect(store(1, PMD_SIZE() * 2))
                #expect(pmd_is_table(pmd_offset(current.mm!, PMD_SIZE() * 2).pointee))
            }
        }

        @Test func forkSharesItAndAWriteSplitsThePmd() {
            TestMachine.run {
                let page = fault()
                fork(1)
                #expect(page_count(page) == 2)
                #expect(compound_mapcount(page) == 2)
                #expect(!pmd_write(pmd_offset(current.mm!, PMD_SIZE()).pointee))
                become(1)
                expectContents()
                #expect(isHuge())
                #expect(store(7, address(2)))
                #expect(isTable())
                #expect(PageDoubleMap(page))
                #expect(compound_mapcount(page) == 1)
                #expect(page_mapcount(page) == 2)
                #expect(page_mapcount(page_add(page, 2)) == 1)
                #expect(total_mapcount(page) == 1 + Self.nr - 1)
                #expect(page_count(page) == 1 + Self.nr - 1)
                expectContents([2: 7])
                become(0)
                #expect(isHuge())
                expectContents()
                exit(1)
                #expect(compound_mapcount(page) == 1)
                #expect(total_mapcount(page) == 1)
                #expect(page_count(page) == 1)
                // The last user writes in place again.
                #expect(store(9, address(5)))
                #expect(isHuge())
                expectContents([5: 9])
            }
        }

        @Test func protectingAPartSplitsThePmd() {
            TestMachine.run {
                let page = fault()
                #expect(ops.do_mprotect(address(2), 2 * PAGE_SIZE, PROT_READ) == 0)
                #expect(isTable())
                #expect(PageHead(page))
                #expect(!PageDoubleMap(page))
                #expect(page_count(page) == Self.nr)
                #expect(compound_mapcount(page) == 0)
                for n in 0..<Self.nr { #expect(page_mapcount(page_add(page, n)) == 1) }
                #expect(statistic(NR_ANON_THPS) == 0)
                #expect(!store(1, address(2)))
                #expect(store(1, address(4)))
                expectContents([4: 1])
            }
        }

        @Test func unmappingAPartQueuesItForSplit() {
            TestMachine.run {
                let before = freePages()
                let page = fault()
                #expect(ops.__vm_munmap(address(4), 4 * PAGE_SIZE, false) == 0)
                #expect(isTable())
                #expect(PageHead(page))
                #expect(page_count(page) == 4)
                #expect(!list_empty(page.deferred_list))
                #expect(freePages() == before - Self.nr)
                #expect(ops.deferred_split_scan(Int32(page.nid)) == 1)
                #expect(!PageCompound(page))
                ops.lru_add_drain_all()
                #expect(freePages() == before - 4)
                for n in 0..<4 {
                    #expect(page_count(page_add(page, n)) == 1)
                    #expect(page_mapcount(page_add(page, n)) == 1)
                    #expect(load(address(n)) == 100 + n)
                }
                #expect(load(address(5)) == -Int(EFAULT))
            }
        }

        @Test func aPinKeepsThePageWhole() {
            TestMachine.run {
                let page = fault()
                get_page(page)
                lock_page(page)
                get_page(page)
                #expect(ops.split_huge_page_to_list(page, nil) == -EBUSY)
                #expect(PageHead(page))
                unlock_page(page)
                ops.put_page(page)
                ops.put_page(page)
                expectContents()
            }
        }

        @Test func splittingByATailKeepsTheLockThere() {
            TestMachine.run {
                let page = fault()
                let tail = page_add(page, 3)
                get_page(tail)
                lock_page(tail)
                #expect(ops.split_huge_page_to_list(tail, nil) == 0)
                #expect(PageLocked(tail))
                #expect(!PageLocked(page))
                unlock_page(tail)
                ops.put_page(tail)
                for n in 0..<Self.nr { #expect(page_count(page_add(page, n)) == 1) }
                expectContents()
            }
        }

        @Test func reclaimSplitsItAndSwapsThePages() {
            var shape = MachineShape()
            shape.swapSlots = 12
            TestMachine.run(shape) {
                let before = freePages()
                _ = fault()
                #expect(ops.do_madvise(PMD_SIZE(), PMD_SIZE(), Int32(MADV_PAGEOUT)) == 0)
                #expect(current.mm!.rss(Int(MM_SWAPENTS.rawValue)).pointee == Self.nr)
                #expect(freePages() == before)
                expectContents()
            }
        }

        @Test func mlockMarksItWhole() {
            TestMachine.run {
                let page = fault()
                #expect(ops.do_mlock(PMD_SIZE(), PMD_SIZE(), VM_LOCKED) == 0)
                #expect(PageMlocked(page))
                #expect(PageUnevictable(page))
                #expect(statistic(NR_MLOCK) == Self.nr)
                #expect(ops.do_munlock(PMD_SIZE(), PMD_SIZE()) == 0)
                #expect(!PageMlocked(page))
                #expect(!PageUnevictable(page))
                #expect(statistic(NR_MLOCK) == 0)
                #expect(isHuge())
                expectContents()
            }
        }

        @Test func lockedFromTheStart() {
            TestMachine.run {
                map(PMD_SIZE(), pages: Self.nr)
                #expect(ops.do_madvise(PMD_SIZE(), PMD_SIZE(), Int32(MADV_HUGEPAGE)) == 0)
                #expect(ops.do_mlock(PMD_SIZE(), PMD_SIZE(), VM_LOCKED) == 0)
                #expect(isHuge())
                #expect(statistic(NR_MLOCK) == Self.nr)
                // Unlocking a part splits the pmd, and a huge page mapped by ptes is not mlocked.
                #expect(ops.do_munlock(address(2), 2 * PAGE_SIZE) == 0)
                #expect(isTable())
                #expect(statistic(NR_MLOCK) == 0)
                #expect(pages(on: LRU_UNEVICTABLE) == 0)
            }
        }

        @Test func sharedOverForkItIsNotMlocked() {
            TestMachine.run {
                let page = fault()
                #expect(ops.do_mprotect(PMD_SIZE(), PMD_SIZE(), PROT_READ) == 0)
                fork(1)
                #expect(ops.do_mlock(PMD_SIZE(), PMD_SIZE(), VM_LOCKED) == 0)
                #expect(!PageMlocked(page))
                exit(1)
            }
        }

        @Test func moveKeepsItHuge() {
            TestMachine.run {
                let page = fault()
                let new = 3 * PMD_SIZE()
                let flags = UInt(MREMAP_MAYMOVE | MREMAP_FIXED)
                #expect(ops.do_mremap(PMD_SIZE(), PMD_SIZE(), PMD_SIZE(), flags, new) == Int(new))
                #expect(pmd_trans_huge(pmd_offset(current.mm!, new).pointee))
                #expect(pmd_none(pmd_offset(current.mm!, PMD_SIZE()).pointee))
                #expect(compound_mapcount(page) == 1)
                for n in 0..<Self.nr { #expect(load(new + UInt(n) * PAGE_SIZE) == 100 + n) }
            }
        }

        @Test func migrationKeepsItHuge() {
            var shape = MachineShape()
            shape.nodes = 2
            shape.pages = 48
            TestMachine.run(shape) {
                let page = fault()
                #expect(ops.do_move_pages(PMD_SIZE(), PMD_SIZE(), 1 - Int32(page.nid), 0) >= 0)
                #expect(isHuge())
                let new = pmd_page(pmd_offset(current.mm!, PMD_SIZE()).pointee)
                #expect(new !== page)
                #expect(page_count(new) == 1)
                expectContents()
            }
        }

        @Test func dontneedFreesIt() {
            TestMachine.run {
                let before = freePages()
                _ = fault()
                #expect(ops.do_madvise(PMD_SIZE(), PMD_SIZE(), Int32(MADV_DONTNEED)) == 0)
                #expect(freePages() == before)
                #expect(load(address(0)) == 0)
            }
        }

        @Test func freeMakesItLazy() {
            TestMachine.run {
                let page = fault()
                #expect(ops.do_madvise(PMD_SIZE(), PMD_SIZE(), Int32(MADV_FREE)) == 0)
                ops.lru_add_drain_all()
                #expect(isHuge())
                #expect(!PageSwapBacked(page))
                #expect(ops.do_madvise(PMD_SIZE(), 4 * PAGE_SIZE, Int32(MADV_FREE)) == 0)
            }
        }

        // MARK: - Of a file

        func mapShmem() -> page {
            map(PMD_SIZE(), pages: Self.nr, file: kernel.file(0), shared: true)
            for n in 0..<Self.nr { #expect(store(100 + n, address(n))) }
            #expect(isHuge())
            return pmd_page(pmd_offset(current.mm!, PMD_SIZE()).pointee)
        }

        var shmem: MachineShape {
            var shape = MachineShape()
            shape.files = [.init(kind: .shmem, size: Self.nr, huge: true)]
            return shape
        }

        @Test func shmemIsMappedByPmd() {
            TestMachine.run(shmem) {
                let page = mapShmem()
                #expect(compound_mapcount(page) == 1)
                #expect(page_mapcount(page) == 1)
                #expect(page_count(page) == 1 + Self.nr)
                #expect(statistic(NR_SHMEM_PMDMAPPED) == Self.nr)
                fork(1)
                become(1)
                expectContents()
                #expect(compound_mapcount(page) == 2)
                #expect(page_mapcount(page) == 2)
                become(0)
                exit(1)
                #expect(compound_mapcount(page) == 1)
            }
        }

        /// A defect of v5.13, repaired by d9770fcc1c0c.
        @Test func munlockOfOneMappingLosesTheOthersMlock() {
            let broken = TestMachine.violations(shmem) {
                let page = mapShmem()
                fork(1)
                #expect(ops.do_mlock(PMD_SIZE(), PMD_SIZE(), VM_LOCKED) == 0)
                become(1)
                #expect(ops.do_mlock(PMD_SIZE(), PMD_SIZE(), VM_LOCKED) == 0)
                #expect(PageMlocked(page))
                #expect(ops.do_munlock(PMD_SIZE(), PMD_SIZE()) == 0)
                #expect(!PageMlocked(page))
            }
            #expect(broken == 1 << VIOLATION_lost_huge_mlock.rawValue)
        }

        /// Whoever takes it again: a patch may have changed mlock_vma_page().
        @Test func mlockThatIsTakenAgainIsNotLost() {
            let broken = TestMachine.violations(
                shmem,
                mutant: {
                    $0.mlock_vma_page = { page in
                        if TestSetPageMlocked(page) { return }
                        mod_node_page_state(Int32(NR_MLOCK.rawValue), Int(thp_nr_pages(page)))
                        if ops.isolate_lru_page(page) == 0 { ops.putback_lru_page(page) }
                    }
                }
            ) {
                let page = mapShmem()
                fork(1)
                #expect(ops.do_mlock(PMD_SIZE(), PMD_SIZE(), VM_LOCKED) == 0)
                become(1)
                #expect(ops.do_mlock(PMD_SIZE(), PMD_SIZE(), VM_LOCKED) == 0)
                #expect(ops.do_munlock(PMD_SIZE(), PMD_SIZE()) == 0)
                #expect(ops.do_mlock(PMD_SIZE(), PMD_SIZE(), VM_LOCKED) == 0)
                become(0)
                #expect(ops.do_munlock(PMD_SIZE(), PMD_SIZE()) == 0)
                become(1)
                #expect(ops.do_mlock(PMD_SIZE(), PMD_SIZE(), VM_LOCKED) == 0)
                #expect(PageMlocked(page))
            }
            #expect(broken == 0)
        }

        @Test func splitOfAFilePmdUnmapsIt() {
            TestMachine.run(shmem) {
                let page = mapShmem()
                #expect(ops.do_mprotect(address(2), 2 * PAGE_SIZE, PROT_READ) == 0)
                #expect(compound_mapcount(page) == 0)
                #expect(page_count(page) == Self.nr)
                expectContents()
                #expect(PageDoubleMap(page))
                #expect(page_mapcount(page) == 1)
            }
        }

        @Test func truncationSplitsIt() {
            TestMachine.run(shmem) {
                let page = mapShmem()
                #expect(ops.do_truncate(kernel.file(0), 3) == 0)
                #expect(!PageCompound(page))
                #expect(load(address(2)) == 102)
                #expect(load(address(3)) == -Int(EFAULT))
            }
        }
    }
}
