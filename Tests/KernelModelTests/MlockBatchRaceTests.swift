// SPDX-License-Identifier: GPL-2.0-only
// mlock from v5.18-rc1 on, while several tasks work on the same pages; and what the invariants of these eras see.

import CKernel
import Simulation
import Testing

@testable import KernelModel

private let base: UInt = 8 * PAGE_SIZE

private func mlock(_ pages: UInt = 2) { _ = ops.do_mlock(base, pages * PAGE_SIZE, VM_LOCKED) }
private func munlock(_ pages: UInt = 2) { _ = ops.do_munlock(base, pages * PAGE_SIZE) }

private func mapAnonymous() {
    map(base, pages: 2)
    store(1, base)
    store(2, base + PAGE_SIZE)
    ops.lru_add_drain_all()
}

/// Two pages of a file, mapped by processes 0 and 1.
private func mapShared() {
    map(base, pages: 2, file: kernel.file(0), shared: true)
    store(1, base)
    store(2, base + PAGE_SIZE)
    fork(1)
    become(1)
    _ = load(base)
    _ = load(base + PAGE_SIZE)
    become(0)
    ops.lru_add_drain_all()
}

private func mapHuge() {
    map(PMD_SIZE(), pages: 8)
    _ = ops.do_madvise(PMD_SIZE(), PMD_SIZE(), Int32(MADV_HUGEPAGE))
    store(1, PMD_SIZE())
}

private let shape: MachineShape = {
    var shape = MachineShape()
    shape.pages = 64
    shape.cpus = 3
    shape.files = [.init(kind: .shmem, size: 4), .init(kind: .shmem, size: 8, huge: true)]
    return shape
}()

extension KernelModelTests {
    @Suite struct MlockBatchRaceTests {
        private func race(
            _ shape: MachineShape = shape, sourceLocation: SourceLocation = #_sourceLocation,
            setup: @escaping () -> Void, _ first: TestMachine.Racer, _ second: TestMachine.Racer,
            _ third: TestMachine.Racer
        ) {
            TestMachine.race(
                shape, era: .v5_18_rc1, seeds: 1..<300, sourceLocation: sourceLocation, setup: setup, first, second,
                third)
        }

        @Test func twoProcessesMlockAndMunlockOnePage() {
            race(
                setup: mapShared,
                .init(0) {
                    mlock()
                    munlock()
                },
                .init(1) {
                    mlock()
                    munlock(1)
                },
                .init(1) { ops.lru_add_drain_all() })
        }

        @Test func munmapAndExitAgainstMlock() {
            race(
                setup: {
                    mapShared()
                    mlock()
                },
                .init(0) { _ = ops.__vm_munmap(base, PAGE_SIZE, true) },
                .init(1) { mlock() },
                .init(1) {
                    store(3, base)
                    munlock()
                })
        }

        @Test func reclaimAgainstMlock() {
            race(
                setup: mapAnonymous,
                .init(0) { mlock() },
                .init(0) { _ = ops.do_madvise(base, 2 * PAGE_SIZE, Int32(MADV_PAGEOUT)) },
                .init(0) { _ = ops.shrink_node(0, 0) })
        }

        @Test func reclaimAgainstMunlock() {
            race(
                setup: {
                    mapShared()
                    mlock()
                },
                .init(0) { munlock() },
                .init(1) { mlock() },
                .init(1) { _ = ops.shrink_node(0, 0) })
        }

        @Test func truncationAgainstMunlock() {
            race(
                setup: {
                    mapShared()
                    mlock()
                },
                .init(0) { munlock() },
                .init(1) { _ = ops.do_fallocate_punch(kernel.file(0), 0, 2) },
                .init(1) { mlock(1) })
        }

        @Test func faultsAgainstMlockall() {
            race(
                setup: { map(base, pages: 4) },
                .init(0) { _ = ops.do_mlockall(UInt(MCL_CURRENT | MCL_FUTURE)) },
                .init(0) {
                    store(1, base)
                    store(2, base + PAGE_SIZE)
                },
                .init(0) {
                    store(3, base)
                    _ = ops.do_munlockall()
                })
        }

        @Test func copyOnWriteAgainstMlock() {
            race(
                setup: {
                    mapAnonymous()
                    mlock()
                    fork(1)
                },
                .init(0) { store(5, base) },
                .init(1) { mlock() },
                .init(1) { store(6, base) })
        }

        @Test func splitsAgainstMlock() {
            race(
                setup: mapHuge,
                .init(0) { _ = ops.do_mlock(PMD_SIZE(), PMD_SIZE(), VM_LOCKED) },
                .init(0) { _ = ops.do_mprotect(PMD_SIZE() + PAGE_SIZE, PAGE_SIZE, PROT_READ) },
                .init(0) { _ = ops.do_munlock(PMD_SIZE() + 4 * PAGE_SIZE, PAGE_SIZE) })
        }

        /// The page comes back to its list between munlock's look at PG_lru and the end of PG_mlocked.  Each part of
        /// it is a page without a reason then.
        @Test func aHugePageThatMunlockMissesAndThatIsSplit() {
            race(
                setup: {
                    map(PMD_SIZE(), pages: 8, file: kernel.file(1), shared: true)
                    store(1, PMD_SIZE())
                    _ = ops.do_mlock(PMD_SIZE(), PMD_SIZE(), VM_LOCKED)
                },
                .init(0) {
                    _ = ops.do_munlock(PMD_SIZE(), PMD_SIZE())
                    _ = ops.do_fallocate_punch(kernel.file(1), 0, 2)
                },
                .init(0) {
                    guard let page = ops.find_get_page(kernel.file(1), 0) else { return }
                    if ops.isolate_lru_page(page) == 0 { ops.putback_lru_page(page) }
                    ops.put_page(page)
                },
                .init(0) {})
        }

        @Test func batchesThatAreDisabled() {
            race(
                setup: {
                    mapShared()
                    mlock()
                },
                .init(0) {
                    ops.lru_cache_disable()
                    for number in 0..<3 where ops.need_mlock_page_drain(Int32(number)) {
                        // Its CPU is about to empty it.
                        #expect(kernel.cpu(number).mlock_pvec_lock.owner != 0)
                    }
                    ops.lru_cache_enable()
                },
                .init(1) {
                    mlock()
                    munlock()
                },
                .init(0) { munlock() })
        }

        // MARK: What the kernel itself gets wrong

        /// Truncation, which takes no mmap_lock, unmaps the huge page after walk_page_range() has seen its pmd.
        @Test func mlockMayWalkATableThatIsNotThere() {
            TestMachine.raceOfMutant(
                { _ in }, breaks: VIOLATION_bug_on, shape, era: .v5_18_rc1, seeds: 1..<2000,
                setup: {
                    map(PMD_SIZE(), pages: 8, file: kernel.file(1), shared: true)
                    store(1, PMD_SIZE())
                },
                .init(0) { _ = ops.do_mlock(PMD_SIZE(), PMD_SIZE(), VM_LOCKED) },
                .init(0) { _ = ops.do_truncate(kernel.file(1), 0) })
        }

        // MARK: Mutants

        private func expectBreaks(
            _ kinds: violation_kind..., mutant: (kernel_ops) -> Void = { _ in }, atRest: () -> Void = {},
            sourceLocation: SourceLocation = #_sourceLocation, _ body: @escaping () -> Void
        ) {
            let healthy = TestMachine.violations(shape, era: .v5_18_rc1, body)
            #expect(healthy == 0, "the kernel as it is", sourceLocation: sourceLocation)
            let broken = TestMachine.violations(shape, era: .v5_18_rc1, mutant: mutant, atRest: atRest, body)
            #expect(broken == kinds.reduce(0) { $0 | 1 << $1.rawValue }, "the mutant", sourceLocation: sourceLocation)
        }

        @Test func aMarkThatIsNotCounted() {
            expectBreaks(
                VIOLATION_nr_mlock, mutant: { $0.mlock_page = { page in SetPageMlocked(page) } }
            ) {
                mapAnonymous()
                mlock()
            }
        }

        @Test func munlockThatForgets() {
            expectBreaks(
                VIOLATION_mlocked_without_vma, mutant: { $0.munlock_page = { _ in } }
            ) {
                mapAnonymous()
                mlock()
                munlock()
            }
        }

        @Test func munlockThatLeavesThePageWhereItIs() {
            expectBreaks(
                VIOLATION_unevictable_without_reason,
                mutant: {
                    $0.munlock_page = { page in
                        page.mlock_count = 0
                        ClearPageMlocked(page)
                        mod_node_page_state(Int32(NR_MLOCK.rawValue), -1)
                    }
                }
            ) {
                mapAnonymous()
                mlock()
                munlock()
            }
        }

        @Test func anMlockCountedTwice() {
            expectBreaks(
                VIOLATION_mlock_count,
                atRest: { pte_page(pte_offset_map(pmd_offset(current.mm!, base), base).pointee).mlock_count += 1 }
            ) {
                mapAnonymous()
                mlock()
            }
        }

        @Test func mlockThatForgetsToTakeVMIOAway() {
            expectBreaks(
                VIOLATION_locked_special, atRest: { ops.find_vma(current.mm!, base)!.vm_flags |= VM_IO }
            ) {
                mapAnonymous()
                mlock()
            }
        }

        @Test func aDrainThatPassesTheBatchOver() {
            expectBreaks(
                VIOLATION_mlocked_without_vma, mutant: { $0.mlock_page_drain = { _ in } }
            ) {
                mapAnonymous()
                mlock()
                munlock()
            }
        }

        @Test func aMarkThatOutlivesThePage() {
            // Freed without a look at PG_mlocked.
            expectBreaks(
                VIOLATION_bad_page,
                mutant: {
                    let old = makeOperationsTable(Era.v5_13.install)
                    $0.put_page = old.put_page
                }
            ) {
                mapAnonymous()
                mlock(1)
                let page = pte_page(pte_offset_map(pmd_offset(current.mm!, base), base).pointee)
                get_page(page)
                ops.find_vma(current.mm!, base)!.vm_flags &= ~VM_LOCKED
                _ = ops.do_munmap(current.mm!, base, PAGE_SIZE)
                ops.put_page(page)
            }
        }
    }
}
