// SPDX-License-Identifier: GPL-2.0-only
// khugepaged on ranges of anonymous memory.

import CKernel
import Simulation
import Testing

@testable import KernelModel

private let base: UInt = 8 * PAGE_SIZE
private let nr = 8
private func address(_ n: Int) -> UInt { base + UInt(n) * PAGE_SIZE }
private func khugepaged() -> Int { ops.khugepaged_do_scan() }
private var pmd: pmd_t { pmd_offset(current.mm!, base).pointee }

/// Small pages, in a vma in which huge pages are wanted from now on.
private func mapAndFill(holes: Range<Int> = 0..<0) {
    map(base, pages: nr)
    for n in 0..<nr where !holes.contains(n) { store(100 + n, address(n)) }
    advise(Int32(MADV_HUGEPAGE))
    ops.lru_add_drain_all()
}

private func advise(_ advice: Int32, _ n: Int = 0, _ pages: Int = nr) {
    _ = ops.do_madvise(address(n), UInt(pages) * PAGE_SIZE, advice)
}

private func expectContents(holes: Range<Int> = 0..<0, _ sourceLocation: SourceLocation = #_sourceLocation) {
    for n in 0..<nr {
        #expect(load(address(n)) == (holes.contains(n) ? 0 : 100 + n), sourceLocation: sourceLocation)
    }
}

extension KernelModelTests {
    @Suite struct KhugepagedAnonymousTests {
        private var shape: MachineShape {
            var shape = MachineShape()
            shape.nodes = 2
            shape.pages = 64
            shape.swapSlots = 16
            return shape
        }

        private func run(_ body: @escaping () -> Void, sourceLocation: SourceLocation = #_sourceLocation) {
            TestMachine.run(shape, era: .v5_18_rc1, sourceLocation: sourceLocation, body)
        }

        @Test func aRangeBecomesAHugePage() {
            run {
                mapAndFill()
                #expect(khugepaged() == Int(SCAN_SUCCEED))
                #expect(pmd_trans_huge(pmd) && statistic(NR_ANON_THPS) == nr && statistic(NR_ANON_MAPPED) == nr)
                #expect(current.mm!.rss(Int(MM_ANONPAGES.rawValue)).pointee == nr && current.mm!.nr_ptes == 1)
                expectContents()
                #expect(khugepaged() == Int(SCAN_PMD_NULL))
            }
        }

        @Test func holesBecomeZeros() {
            run {
                mapAndFill(holes: 2..<5)
                #expect(khugepaged() == Int(SCAN_SUCCEED))
                #expect(current.mm!.rss(Int(MM_ANONPAGES.rawValue)).pointee == nr)
                expectContents(holes: 2..<5)
            }
        }

        @Test func aPageComesBackFromSwap() {
            run {
                mapAndFill()
                advise(Int32(MADV_PAGEOUT), 3, 1)
                #expect(current.mm!.rss(Int(MM_SWAPENTS.rawValue)).pointee == 1)
                #expect(khugepaged() == Int(SCAN_SUCCEED))
                #expect(current.mm!.rss(Int(MM_SWAPENTS.rawValue)).pointee == 0)
                expectContents()
            }
        }

        @Test func mlockedMemory() {
            run {
                mapAndFill()
                #expect(ops.do_mlock(base, PMD_SIZE(), VM_LOCKED) == 0)
                #expect(khugepaged() == Int(SCAN_SUCCEED))
                ops.lru_add_drain_all()
                #expect(statistic(NR_MLOCK) == nr && pages(on: LRU_UNEVICTABLE) == nr)
                expectContents()
            }
        }

        @Test func whatStops() {
            run {
                mapAndFill()
                let pinned = ops.get_user_page_fast(current.mm!, address(5), FOLL_WRITE | FOLL_PIN)!
                #expect(khugepaged() == Int(SCAN_PAGE_COUNT))
                ops.unpin_user_page(pinned)

                #expect(ops.do_mprotect(base, PMD_SIZE(), PROT_READ) == 0)
                #expect(khugepaged() == Int(SCAN_PAGE_RO))
                #expect(ops.do_mprotect(base, PMD_SIZE(), PROT_READ | PROT_WRITE) == 0)

                fork(1)
                #expect(khugepaged() == Int(SCAN_EXCEED_SHARED_PTE))
                // Half of them may be shared.
                for n in 0..<nr / 2 { store(100 + n, address(n)) }
                ops.lru_add_drain_all()
                var results: [Int] = []
                for _ in 0..<2 { results.append(khugepaged()) }
                #expect(results.contains(Int(SCAN_SUCCEED)))
                expectContents()
                become(1)
                expectContents()
            }
        }

        @Test func tooManyInSwap() {
            run {
                mapAndFill()
                advise(Int32(MADV_PAGEOUT), 3, 2)
                #expect(khugepaged() == Int(SCAN_EXCEED_SWAP_PTE))
                expectContents()
            }
        }

        // MARK: Races

        private func race(
            sourceLocation: SourceLocation = #_sourceLocation, setup: @escaping () -> Void,
            _ first: TestMachine.Racer, _ second: TestMachine.Racer
        ) {
            TestMachine.race(
                shape, era: .v5_18_rc1, seeds: 1..<150, sourceLocation: sourceLocation, setup: setup,
                .init(0) {
                    // Without the drain at first, so that the others come to meet the collapse itself.
                    var cc = collapse_control()
                    cc.is_khugepaged = true
                    let mm = current.mm!
                    var mmap_locked = true
                    down_read(mm.mmap_lock)
                    if let vma = ops.find_vma(mm, base), vma.vm_start <= base, vma.vm_end >= base + PMD_SIZE() {
                        _ = ops.khugepaged_scan_pmd(mm, vma, base, &mmap_locked, &cc)
                    }
                    if mmap_locked { up_read(mm.mmap_lock) }
                    if let unused = cc.hpage { ops.put_page(unused) }
                    _ = khugepaged()
                }, first, second)
        }

        @Test func accessesMeanwhile() {
            race(
                setup: { mapAndFill(holes: 5..<6) },
                .init(0) { for n in 0..<4 { #expect(load(address(n)) == 100 + n) } },
                .init(0) {
                    store(7, address(5))
                    #expect(load(address(5)) == 7)
                })
        }

        @Test func forkAndExitMeanwhile() {
            race(
                setup: mapAndFill0,
                .init(0) {
                    fork(1)
                    exit(1)
                },
                .init(0) {
                    store(7, address(5))
                    #expect(load(address(5)) == 7)
                })
        }

        private func mapAndFill0() { mapAndFill() }

        @Test func unmappedMeanwhile() {
            race(
                setup: mapAndFill0,
                .init(0) { _ = ops.__vm_munmap(address(2), 2 * PAGE_SIZE, false) },
                .init(0) { advise(Int32(MADV_DONTNEED), 5, 2) })
        }

        @Test func reclaimedMeanwhile() {
            race(
                setup: mapAndFill0,
                .init(0) { _ = ops.shrink_node(0, 0) },
                .init(0) {
                    advise(Int32(MADV_PAGEOUT), 2, 2)
                    for n in 0..<nr { #expect(load(address(n)) == 100 + n) }
                })
        }

        @Test func migratedMeanwhile() {
            race(
                setup: mapAndFill0,
                .init(0) { _ = ops.do_move_pages(base, PMD_SIZE(), 1, 0) },
                .init(0) { for n in 0..<nr { #expect(load(address(n)) == 100 + n) } })
        }

        @Test func pinnedMeanwhile() {
            race(
                setup: mapAndFill0,
                .init(0) { writeThroughPins(address(2)) },
                .init(0) { for n in 4..<nr { #expect(load(address(n)) == 100 + n) } })
        }

        @Test func protectedAndMlockedMeanwhile() {
            race(
                setup: mapAndFill0,
                .init(0) { _ = ops.do_mprotect(address(2), PAGE_SIZE, PROT_READ) },
                .init(0) {
                    _ = ops.do_mlock(base, PMD_SIZE(), VM_LOCKED)
                    _ = ops.do_munlock(address(5), PAGE_SIZE)
                })
        }

        @Test func movedMeanwhile() {
            race(
                setup: mapAndFill0,
                .init(0) {
                    let flags = UInt(MREMAP_MAYMOVE | MREMAP_FIXED)
                    _ = ops.do_mremap(base, PMD_SIZE(), PMD_SIZE(), flags, base + PMD_SIZE())
                },
                .init(0) { _ = load(address(3)) })
        }
    }
}
