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
    }
}
