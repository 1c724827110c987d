// SPDX-License-Identifier: GPL-2.0-only
import CKernel
import Simulation
import Testing

@testable import KernelModel

/// Where the huge page is to be.
private let base: UInt = 8 * PAGE_SIZE
private let nr = 8

/// A shmem file whose huge pages must be asked for, so that faults bring in small ones first.
private var shape: MachineShape {
    var shape = MachineShape()
    shape.pages = 64
    shape.swapSlots = 16
    shape.files = [.init(kind: .shmem, size: 16, huge: true, onAdvice: true)]
    return shape
}

private var file: address_space { kernel.file(0) }
private func address(_ n: Int) -> UInt { base + UInt(n) * PAGE_SIZE }
private func khugepaged() -> Int { ops.khugepaged_do_scan() }
private func advise(_ advice: Int32 = Int32(MADV_HUGEPAGE), _ n: Int = 0, _ pages: Int = nr) {
    #expect(ops.do_madvise(address(n), UInt(pages) * PAGE_SIZE, advice) == 0)
}
private var pmd: pmd_t { pmd_offset(current.mm!, base).pointee }
/// Whether the file has one huge page at `index`.
private func isHuge(_ index: Int = 0) -> Bool {
    guard let head = entry_to_page(file.slot(index).pointee) else { return false }
    return PageHead(head) && (0..<nr).allSatisfy { entry_to_page(file.slot(index + $0).pointee) === head }
}

/// Small pages of the file, mapped shared, in a vma in which huge pages are wanted from now on.
private func mapAndFill() {
    map(base, pages: nr, file: file, shared: true)
    for n in 0..<nr { store(100 + n, address(n)) }
    register()
}

/// The first call does not register the mm: shmem is asked about the flags that the vma has until then.
private func register() {
    advise()
    advise()
}

private func expectContents(_ holes: ClosedRange<Int>? = nil, _ sourceLocation: SourceLocation = #_sourceLocation) {
    for n in 0..<nr {
        let expected = holes?.contains(n) == true ? 0 : 100 + n
        #expect(load(address(n)) == expected, sourceLocation: sourceLocation)
    }
}

/// Writes the page at `index` to swap, as reclaim does.
private func swapOut(_ index: UInt) {
    ops.lru_add_drain_all()
    let page = ops.find_lock_page(file, index)!
    #expect(ops.isolate_lru_page(page) == 0)
    #expect(ops.try_to_unmap(page, TTU_IGNORE_MLOCK))
    #expect(ops.clear_page_dirty_for_io(page))
    #expect(ops.shmem_writepage(page) == 0)
    lock_page(page)
    if PageSwapCache(page) { #expect(ops.remove_mapping(nil, page) == 0) }
    unlock_page(page)
    ops.putback_lru_page(page)
    ops.put_page(page)
}

extension KernelModelTests {
    /// mm/khugepaged.c: ranges of shmem.
    @Suite struct KhugepagedTests {
        private func run(_ body: @escaping () -> Void, sourceLocation: SourceLocation = #_sourceLocation) {
            TestMachine.run(shape, era: .v5_18_rc1, sourceLocation: sourceLocation, body)
        }

        // MARK: Success

        @Test func aMappedRangeBecomesAHugePage() {
            run {
                mapAndFill()
                #expect(khugepaged() == Int(SCAN_SUCCEED))
                #expect(isHuge() && pmd_none(pmd) && statistic(NR_SHMEM_THPS) == nr)
                #expect(file.nrpages == UInt(nr) && statistic(NR_SHMEM) == nr && statistic(NR_FILE_MAPPED) == 0)
                expectContents()
                #expect(pmd_trans_huge(pmd) && statistic(NR_SHMEM_PMDMAPPED) == nr)
                store(7, address(3))
                #expect(load(address(3)) == 7)
                #expect(khugepaged() == Int(SCAN_PAGE_COMPOUND))
            }
        }

        @Test func holesBecomeZeros() {
            run {
                mapAndFill()
                #expect(ops.do_fallocate_punch(file, 2, 5) == 0)
                #expect(file.nrpages == 5)
                #expect(khugepaged() == Int(SCAN_SUCCEED))
                #expect(isHuge() && file.nrpages == UInt(nr) && statistic(NR_SHMEM) == nr)
                expectContents(2...4)
            }
        }

        @Test func onePageIsEnough() {
            run {
                map(base, pages: nr, file: file, shared: true)
                store(105, address(5))
                register()
                #expect(khugepaged() == Int(SCAN_SUCCEED))
                #expect(load(address(5)) == 105 && load(address(0)) == 0)
            }
        }

        @Test func aPageComesBackFromSwap() {
            run {
                mapAndFill()
                swapOut(3)
                #expect(file.nr_swapped == 1)
                #expect(khugepaged() == Int(SCAN_SUCCEED))
                #expect(file.nr_swapped == 0 && kernel.swap_info.users(1).pointee == 0)
                expectContents()
            }
        }

        @Test func tablesOfOthersGoToo() {
            run {
                mapAndFill()
                fork(1)
                become(1)
                expectContents()
                become(0)
                #expect(khugepaged() == Int(SCAN_SUCCEED))
                become(1)
                #expect(pmd_none(pmd))
                expectContents()
                #expect(pmd_trans_huge(pmd))
            }
        }

        @Test func copiesOfAPrivateMappingStay() {
            run {
                mapAndFill()
                // The same range of the file, privately, at another place.
                map(base + PMD_SIZE(), pages: nr, file: file)
                store(55, base + PMD_SIZE() + PAGE_SIZE)
                #expect(load(base + PMD_SIZE()) == 100)
                #expect(khugepaged() == Int(SCAN_SUCCEED))
                let other = pmd_offset(current.mm!, base + PMD_SIZE()).pointee
                #expect(pmd_is_table(other))
                #expect(load(base + PMD_SIZE() + PAGE_SIZE) == 55)
                #expect(load(base + PMD_SIZE() + 2 * PAGE_SIZE) == 102)
                expectContents()
            }
        }

        @Test func theHugePageOfAnotherIsFoundByATable() {
            run {
                mapAndFill()
                fork(1)
                become(1)
                expectContents()
                // Its table cannot be freed now, but it is noted.
                down_read(current.mm!.mmap_lock)
                become(0)
                #expect(khugepaged() == Int(SCAN_SUCCEED))
                become(1)
                up_read(current.mm!.mmap_lock)
                #expect(pmd_is_table(pmd))
                expectContents()
                #expect(statistic(NR_FILE_MAPPED) == nr)
                // Before the next look at that mm it goes.
                while pmd_is_table(pmd) { _ = khugepaged() }
                #expect(pmd_none(pmd) && statistic(NR_FILE_MAPPED) == 0)
                expectContents()
                #expect(pmd_trans_huge(pmd))
            }
        }

        // MARK: Giving up

        /// Nothing may have changed after a collapse that gave up as `result` says.
        private func expectGivesUp(
            _ result: Int32, _ attempt: () -> Int = khugepaged, _ sourceLocation: SourceLocation = #_sourceLocation
        ) {
            let counts = [NR_SHMEM, NR_FILE_PAGES, NR_SHMEM_THPS].map(statistic)
            let (nrpages, free) = (file.nrpages, freePages())
            let slots = (0..<16).map { file.slot($0).pointee }
            #expect(attempt() == Int(result), sourceLocation: sourceLocation)
            #expect((0..<16).map { file.slot($0).pointee } == slots, sourceLocation: sourceLocation)
            #expect([NR_SHMEM, NR_FILE_PAGES, NR_SHMEM_THPS].map(statistic) == counts, sourceLocation: sourceLocation)
            #expect(file.nrpages == nrpages && freePages() == free, sourceLocation: sourceLocation)
        }

        @Test func aPinnedPageStops() {
            run {
                mapAndFill()
                #expect(ops.do_fallocate_punch(file, 1, 2) == 0)
                let pinned = ops.get_user_page_fast(current.mm!, address(5), FOLL_WRITE | FOLL_PIN)!
                expectGivesUp(SCAN_PAGE_COUNT)
                ops.unpin_user_page(pinned)
                expectContents(1...1)
                #expect(khugepaged() == Int(SCAN_SUCCEED))
                expectContents(1...1)
            }
        }

        /// Behind the look of khugepaged_scan_file(), which gives up at once.
        private func collapseFile() -> Int {
            ops.lru_add_drain_all()
            var cc = collapse_control()
            cc.is_khugepaged = true
            let result = ops.collapse_file(current.mm!, base, file, 0, &cc)
            if let unused = cc.hpage { ops.put_page(unused) }
            return Int(result)
        }

        @Test func pagesAndHolesComeBack() {
            run {
                mapAndFill()
                #expect(ops.do_fallocate_punch(file, 1, 3) == 0)
                let pinned = ops.get_user_page_fast(current.mm!, address(5), FOLL_WRITE | FOLL_PIN)!
                expectGivesUp(SCAN_PAGE_COUNT, collapseFile)
                ops.lru_add_drain_all()
                #expect(pages(on: LRU_INACTIVE_ANON) + pages(on: LRU_ACTIVE_ANON) == nr - 2)
                ops.unpin_user_page(pinned)
                expectContents(1...2)
                #expect(collapseFile() == Int(SCAN_SUCCEED))
                expectContents(1...2)
            }
        }

        @Test func aLockedPageStops() {
            run {
                mapAndFill()
                let locked = ops.find_lock_page(file, 7)!
                expectGivesUp(SCAN_PAGE_LOCK, collapseFile)
                unlock_page(locked)
                ops.put_page(locked)
            }
        }

        @Test func anIsolatedPageStops() {
            run {
                mapAndFill()
                ops.lru_add_drain_all()
                let isolated = entry_to_page(file.slot(4).pointee)!
                #expect(ops.isolate_lru_page(isolated) == 0)
                expectGivesUp(SCAN_DEL_PAGE_LRU, collapseFile)
                ops.putback_lru_page(isolated)
                expectContents()
            }
        }

        @Test func aRangeThatWasTruncatedStops() {
            run {
                mapAndFill()
                #expect(ops.do_truncate(file, 0) == 0)
                expectGivesUp(SCAN_TRUNCATED, collapseFile)
                expectGivesUp(SCAN_EXCEED_NONE_PTE)
            }
        }

        @Test func mlockedPagesAreNoObstacle() {
            run {
                mapAndFill()
                #expect(ops.do_mlock(base, UInt(nr) * PAGE_SIZE, VM_LOCKED) == 0)
                #expect(khugepaged() == Int(SCAN_SUCCEED))
                #expect(isHuge())
                expectContents()
                ops.lru_add_drain_all()
                // Mapped by its pmd, the huge page counts as mlocked.
                #expect(pmd_trans_huge(pmd) && statistic(NR_MLOCK) == nr && pages(on: LRU_UNEVICTABLE) == nr)
            }
        }

        @Test func tooManyInSwapStop() {
            run {
                mapAndFill()
                swapOut(3)
                swapOut(4)
                expectGivesUp(SCAN_EXCEED_SWAP_PTE)
                expectContents()
            }
        }

        @Test func nothingThereStops() {
            run {
                map(base, pages: nr, file: file, shared: true)
                register()
                expectGivesUp(SCAN_EXCEED_NONE_PTE)
            }
        }

        @Test func withoutMemoryItStops() {
            run {
                mapAndFill()
                var held: [page] = []
                while let page = ops.alloc_pages_node(0, GFP_TRANSHUGE | __GFP_THISNODE, 3) { held.append(page) }
                // No block is free, and reclaim makes none as long as the shmem pages are all there is.
                kernel.swap_info.max = 1
                #expect(khugepaged() == Int(SCAN_ALLOC_HUGE_PAGE_FAIL))
                for page in held { ops.put_page(page) }
            }
        }

        // MARK: Which mms and vmas

        @Test func onlyWhereHugePagesAreWanted() {
            run {
                map(base, pages: nr, file: file, shared: true)
                for n in 0..<nr { store(100 + n, address(n)) }
                #expect(!current.mm!.khugepaged && khugepaged() == -Int(EAGAIN))
                advise()
                #expect(!current.mm!.khugepaged)
                advise()
                #expect(current.mm!.khugepaged)
                advise(Int32(MADV_NOHUGEPAGE))
                #expect(khugepaged() == -Int(EAGAIN))
                advise()
                #expect(khugepaged() == Int(SCAN_SUCCEED))
            }
        }

        @Test func onlyWholeAlignedRanges() {
            run {
                map(base + PAGE_SIZE, pages: nr, file: file, shared: true)
                for n in 1...nr { store(n, address(n)) }
                for _ in 0..<2 { advise(Int32(MADV_HUGEPAGE), 1, nr) }
                #expect(!current.mm!.khugepaged && khugepaged() == -Int(EAGAIN))
            }
        }

        @Test func aForkedMMIsLookedThroughToo() {
            run {
                mapAndFill()
                fork(1)
                #expect(kernel.mm_slot(1).pointee!.khugepaged)
                exit(1)
                #expect(kernel.mm_slot(1).pointee == nil)
                #expect(khugepaged() == Int(SCAN_SUCCEED))
            }
        }

        @Test func anMMThatExitsUnderTheCursorIsLetGo() {
            run {
                mapAndFill()
                fork(1)
                #expect(khugepaged() == Int(SCAN_SUCCEED))
                become(1)
                exit(0)
                // The cursor keeps it.
                #expect(kernel.mm_slot(0).pointee != nil)
                #expect(khugepaged() == Int(SCAN_PAGE_COMPOUND))
                #expect(kernel.mm_slot(0).pointee == nil)
            }
        }
    }
}
