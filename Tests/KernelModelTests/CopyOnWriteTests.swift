// SPDX-License-Identifier: GPL-2.0-only
import CKernel
import Simulation
import Testing

@testable import KernelModel

private let base: UInt = 8 * PAGE_SIZE
private let length = Int(2 * PAGE_SIZE)
private let readWrite = Int(PROT_READ | PROT_WRITE)

/// A step of its own: what it writes nobody wrote before.
@discardableResult
private func perform(_ operation: KernelModel.Operation, _ arguments: Int...) -> Int {
    current.op += 1
    return arguments.withUnsafeBufferPointer { operation.body($0.baseAddress!) }
}

private func mapAnonymous() {
    let flags = Int(MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS)
    #expect(perform(.mmap, Int(base), length, readWrite, flags, 0, 0) == Int(base))
    _ = perform(.write, Int(base))
}

private func mapHuge() {
    let (start, size) = (Int(PMD_SIZE()), Int(PMD_SIZE()))
    let flags = Int(MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS)
    #expect(perform(.mmap, start, size, readWrite, flags, 0, 0) == start)
    _ = perform(.madvise, start, size, Int(MADV_HUGEPAGE))
    _ = perform(.write, start)
}

private func mappedPage(_ address: UInt = base) -> page {
    pte_page(pte_offset_map(pmd_offset(current.mm!, address), address).pointee)
}

private let eras: [Era] = [.v5_18_rc1, .v6_5]

extension KernelModelTests {
    /// Who may write to a page that was shared, by era.
    @Suite struct CopyOnWriteTests {
        @Test(arguments: eras) func aFreshPageIsReused(era: Era) {
            TestMachine.run(era: era) {
                mapAnonymous()
                let page = mappedPage()
                #expect(page_count(page) == 2, "the pte's and the batch's")
                fork(1)
                exit(1)
                _ = perform(.write, Int(base))
                #expect(mappedPage() === page)
            }
        }

        @Test(arguments: eras) func aPageThatOthersMapIsCopied(era: Era) {
            TestMachine.run(era: era) {
                mapAnonymous()
                let (page, stored) = (mappedPage(), load(base))
                fork(1)
                let written = perform(.write, Int(base))
                #expect(mappedPage() !== page && load(base) == written)
                become(1)
                #expect(mappedPage() === page && load(base) == stored)
                let child = perform(.write, Int(base))
                #expect(mappedPage() === page && load(base) == child)
                become(0)
                #expect(load(base) == written)
                exit(1)
            }
        }

        @Test(arguments: eras) func aPageOfTheSwapCacheIsReused(era: Era) {
            TestMachine.run(era: era) {
                mapAnonymous()
                let page = mappedPage()
                ops.lru_add_drain_all()
                get_page(page)
                #expect(perform(.madvise, Int(base), Int(PAGE_SIZE), Int(MADV_PAGEOUT)) == 0)
                #expect(PageSwapCache(page))
                ops.put_page(page)
                let stored = perform(.write, Int(base))
                #expect(mappedPage() === page && !PageSwapCache(page) && load(base) == stored)
            }
        }

        @Test(arguments: eras) func aHugePageThatOthersMapIsSplit(era: Era) {
            TestMachine.run(era: era) {
                mapHuge()
                let pmd = pmd_offset(current.mm!, PMD_SIZE())
                fork(1)
                #expect(!pmd_write(pmd.pointee))
                _ = perform(.write, Int(PMD_SIZE()))
                #expect(pmd_is_table(pmd.pointee))
                exit(1)
            }
        }

        @Test(arguments: eras) func aHugePageOfOneIsReused(era: Era) {
            TestMachine.run(era: era) {
                mapHuge()
                fork(1)
                exit(1)
                _ = perform(.write, Int(PMD_SIZE()))
                let pmd = pmd_offset(current.mm!, PMD_SIZE()).pointee
                #expect(pmd_trans_huge(pmd) && pmd_write(pmd))
            }
        }

        private func touch() {
            for offset in [0, Int(PAGE_SIZE)] {
                _ = perform(.read, Int(base) + offset)
                _ = perform(.write, Int(base) + offset)
            }
        }

        private func pageOut() {
            _ = perform(.madvise, Int(base), length, Int(MADV_PAGEOUT))
            _ = perform(.madvise, Int(base), length, Int(MADV_PAGEOUT))
        }

        @Test(arguments: eras) func swapping(era: Era) {
            TestMachine.race(
                era: era,
                setup: {
                    mapAnonymous()
                    fork(1)
                }, .init(0, pageOut), .init(0, touch), .init(1, touch))
        }

        @Test(arguments: eras) func forking(era: Era) {
            TestMachine.race(
                era: era, setup: mapAnonymous, .init(0) { _ = perform(.fork, 1) }, .init(0, touch), .init(0, pageOut))
        }

        @Test(arguments: eras) func migrating(era: Era) {
            var shape = MachineShape()
            shape.nodes = 2
            TestMachine.race(
                shape, era: era, setup: mapAnonymous,
                .init(0) {
                    _ = perform(.move_pages, Int(base), length, 1, Int(MPOL_MF_MOVE))
                    _ = perform(.move_pages, Int(base), length, 0, Int(MPOL_MF_MOVE))
                }, .init(0, touch), .init(0) { _ = perform(.fork, 1) })
        }

        @Test(arguments: eras) func pinning(era: Era) {
            TestMachine.race(
                era: era, setup: mapAnonymous,
                .init(0) {
                    _ = perform(.pin, Int(base), Int(FOLL_WRITE | FOLL_LONGTERM))
                    _ = perform(.fork, 1)
                    _ = perform(.pin_write, 0, Int(base))
                    _ = perform(.unpin, Int(base))
                }, .init(0, touch), .init(0, pageOut))
        }

        // MARK: Mutants

        @Test(arguments: eras) func aReuseWithoutACheck(era: Era) {
            TestMachine.raceOfMutant(
                { $0.wp_can_reuse_anon_page = { _, _ in true } }, breaks: VIOLATION_user_data, era: era,
                setup: {
                    mapAnonymous()
                    _ = perform(.fork, 1)
                },
                .init(0) { _ = perform(.write, Int(base)) },
                .init(1) { _ = perform(.read, Int(base)) })
        }

        // MARK: PG_anon_exclusive (v6.5)

        private func run(_ body: @escaping () -> Void) { TestMachine.run(era: .v6_5, body) }
        private func currentPte() -> pte_t { pte_offset_map(pmd_offset(current.mm!, base), base).pointee }

        @Test func aNewPageIsExclusiveUntilFork() {
            run {
                mapAnonymous()
                let page = mappedPage()
                #expect(PageAnonExclusive(page))
                fork(1)
                #expect(!PageAnonExclusive(page) && mappedPage() === page)
                exit(1)
                _ = perform(.write, Int(base))
                #expect(PageAnonExclusive(page) && mappedPage() === page)
            }
        }

        @Test func aPinForReadingMakesThePageItsOwn() {
            run {
                mapAnonymous()
                let page = mappedPage()
                fork(1)
                #expect(perform(.pin, Int(base), Int(FOLL_LONGTERM)) == 0)
                #expect(mappedPage() !== page && PageAnonExclusive(mappedPage()) && !pte_write(currentPte()))
                let stored = perform(.write, Int(base))
                #expect(perform(.pin_read, 0, Int(base)) == stored)
                #expect(perform(.unpin, Int(base)) == 0)
                exit(1)
            }
        }

        @Test func aPinnedPageStaysWithItsOwner() {
            run {
                mapAnonymous()
                #expect(perform(.pin, Int(base), Int(FOLL_WRITE | FOLL_LONGTERM)) == 0)
                let page = mappedPage()
                #expect(perform(.fork, 1) == 1)
                #expect(perform(.madvise, Int(base), Int(PAGE_SIZE), Int(MADV_PAGEOUT)) == 0)
                #expect(perform(.mprotect, Int(base), length, Int(PROT_READ)) == 0)
                #expect(perform(.mprotect, Int(base), length, readWrite) == 0)
                let stored = perform(.write, Int(base))
                #expect(mappedPage() === page && perform(.pin_read, 0, Int(base)) == stored)
                let written = perform(.pin_write, 0, Int(base))
                #expect(perform(.read, Int(base)) == written)
                become(1)
                #expect(mappedPage() !== page)
                become(0)
                #expect(perform(.unpin, Int(base)) == 0)
                exit(1)
            }
        }

        @Test func swapEntriesRememberTheMark() {
            run {
                mapAnonymous()
                ops.lru_add_drain_all()
                #expect(perform(.madvise, Int(base), Int(PAGE_SIZE), Int(MADV_PAGEOUT)) == 0)
                #expect(pte_swp_exclusive(currentPte()))
                _ = load(base)
                #expect(PageAnonExclusive(mappedPage()))
                #expect(perform(.madvise, Int(base), Int(PAGE_SIZE), Int(MADV_PAGEOUT)) == 0)
                fork(1)
                #expect(!pte_present(currentPte()) && !pte_swp_exclusive(currentPte()))
                exit(1)
            }
        }

        @Test func mprotectMakesItsOwnPagesWritable() {
            run {
                mapAnonymous()
                #expect(perform(.mprotect, Int(base), length, Int(PROT_READ)) == 0)
                #expect(!pte_write(currentPte()))
                #expect(perform(.mprotect, Int(base), length, readWrite) == 0)
                #expect(pte_write(currentPte()))
            }
        }

        @Test func eachPageOfASplitHugePageIsExclusive() {
            run {
                mapHuge()
                let start = PMD_SIZE()
                #expect(perform(.munmap, Int(start + PAGE_SIZE), Int(PAGE_SIZE)) == 0)
                for page in [0, 2, 3] { #expect(PageAnonExclusive(mappedPage(start + UInt(page) * PAGE_SIZE))) }
            }
        }

        /// Somebody pins the page when its split has begun: it stays mapped, of which nobody complains.
        @Test func aHugePageThatIsPinnedStaysMapped() {
            run {
                mapHuge()
                let start = Int(PMD_SIZE())
                #expect(perform(.pin, start, Int(FOLL_WRITE | FOLL_LONGTERM)) == 0)
                let head = pmd_page(pmd_offset(current.mm!, PMD_SIZE()).pointee)
                lock_page(head)
                let anon_vma = ops.page_get_anon_vma(head)!
                down_write(anon_vma.root.rwsem)
                ops.unmap_page(head)
                #expect(page_mapped(head))
                ops.remap_page(head, Int32(HPAGE_PMD_NR()))
                up_write(anon_vma.root.rwsem)
                ops.put_anon_vma(anon_vma)
                unlock_page(head)
                #expect(perform(.unpin, start) == 0)
            }
        }

        private func pinAndWork(_ flags: UInt32) {
            for _ in 0..<2 {
                _ = perform(.pin, Int(base), Int(flags))
                _ = perform(.pin_write, 0, Int(base))
                _ = perform(.write, Int(base))
                _ = perform(.pin_read, 0, Int(base))
                _ = perform(.unpin, Int(base))
            }
        }

        private func disturb() {
            _ = perform(.fork, 1)
            _ = perform(.madvise, Int(base), length, Int(MADV_PAGEOUT))
            _ = perform(.mprotect, Int(base), length, Int(PROT_READ))
            _ = perform(.mprotect, Int(base), length, readWrite)
            _ = perform(.move_pages, Int(base), length, 1, Int(MPOL_MF_MOVE))
            _ = perform(.madvise, Int(base), length, Int(MADV_DONTNEED))
        }

        @Test(arguments: [0, FOLL_WRITE, FOLL_LONGTERM, FOLL_WRITE | FOLL_LONGTERM])
        func pinsAgainstEverything(flags: UInt32) {
            var shape = MachineShape()
            shape.nodes = 2
            TestMachine.race(
                shape, era: .v6_5, seeds: 1..<600,
                setup: {
                    mapAnonymous()
                    _ = perform(.fork, 2)
                }, .init(0) { self.pinAndWork(flags) }, .init(0, disturb),
                .init(2) { for _ in 0..<2 { _ = perform(.write, Int(base)) } })
        }

        @Test(arguments: [0, FOLL_WRITE]) func pinsOfHugePages(flags: UInt32) {
            var shape = MachineShape()
            (shape.nodes, shape.pages) = (2, 64)
            let range = Int(PMD_SIZE())
            TestMachine.race(
                shape, era: .v6_5, seeds: 1..<400, setup: mapHuge,
                .init(0) {
                    _ = perform(.pin, range + Int(PAGE_SIZE), Int(flags))
                    _ = perform(.write, range + Int(PAGE_SIZE))
                    _ = perform(.pin_read, 0, range + Int(PAGE_SIZE))
                    _ = perform(.unpin, range + Int(PAGE_SIZE))
                },
                .init(0) {
                    _ = perform(.fork, 1)
                    _ = perform(.write, range)
                    _ = perform(.madvise, range, range, Int(MADV_PAGEOUT))
                    _ = perform(.move_pages, range, range, 1, Int(MPOL_MF_MOVE))
                    _ = perform(.munmap, range, Int(PAGE_SIZE))
                })
        }

        // MARK: Mutants of it

        private func expectNoticed(
            _ kind: violation_kind, flags: UInt32, sourceLocation: SourceLocation = #_sourceLocation,
            _ mutant: (kernel_ops) -> Void
        ) {
            TestMachine.raceOfMutant(
                mutant, breaks: kind, era: .v6_5, sourceLocation: sourceLocation, setup: mapAnonymous,
                .init(0) {
                    _ = perform(.pin, Int(base), Int(flags))
                    _ = perform(.fork, 1)
                    _ = perform(.mprotect, Int(base), length, Int(PROT_READ))
                    _ = perform(.mprotect, Int(base), length, readWrite)
                    _ = perform(.write, Int(base))
                    _ = perform(.pin_read, 0, Int(base))
                }, .init(0) {})
        }

        @Test func forkThatSharesAPinnedPage() {
            expectNoticed(VIOLATION_anon_exclusive, flags: FOLL_WRITE) { table in
                table.page_try_dup_anon_rmap = { page, _ in
                    ClearPageAnonExclusive(page)
                    return 0
                }
            }
        }

        /// As in v5.18-rc1, whose writes see the device's reference and copy.
        @Test func writesThatDoNotLookAtTheMark() {
            expectNoticed(VIOLATION_user_data, flags: FOLL_WRITE) { table in
                table.wp_can_reuse_anon_page = { reuse_unreferenced_page($0, $1, marksExclusive: true) }
                table.vma_wants_manual_pte_write_upgrade = { _ in false }
            }
        }

        @Test func pinsThatDoNotUnshare() {
            TestMachine.raceOfMutant(
                { $0.gup_must_unshare = { _, _, _ in false } }, breaks: VIOLATION_bug_on, era: .v6_5,
                setup: {
                    mapAnonymous()
                    _ = perform(.fork, 1)
                },
                .init(0) {
                    _ = perform(.pin, Int(base), 0)
                    _ = perform(.unpin, Int(base))
                }, .init(0) {})
        }

        @Test func aMarkThatForkLeaves() {
            expectNoticed(VIOLATION_anon_exclusive, flags: 0) { $0.page_try_dup_anon_rmap = { _, _ in 0 } }
        }
    }
}
