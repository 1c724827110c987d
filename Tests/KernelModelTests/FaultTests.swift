// SPDX-License-Identifier: GPL-2.0-only
import CKernel
import Simulation
import Testing

@testable import KernelModel

private let base: UInt = 8 * PAGE_SIZE
private let second = base + PAGE_SIZE
private let readWrite = Int(PROT_READ | PROT_WRITE)

/// Does an operation as a trace does it, so that user data are looked after.
@discardableResult
private func perform(_ operation: KernelModel.Operation, _ arguments: Int...) -> Int {
    arguments.withUnsafeBufferPointer { operation.body($0.baseAddress!) }
}

/// New private anonymous memory at a fixed address.
private func mapAnonymous(_ address: UInt = base, pages: Int = 2) {
    let flags = Int(MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS)
    #expect(perform(.mmap, Int(address), pages * Int(PAGE_SIZE), readWrite, flags, 0, 0) == Int(address))
}

private func unmap(_ address: UInt = base, pages: Int = 2) {
    #expect(perform(.munmap, Int(address), pages * Int(PAGE_SIZE)) == 0)
}

private func pte(_ address: UInt) -> pte_t {
    let pmd = pmd_offset(current.mm!, address)
    return pmd_is_table(pmd.pointee) ? pte_offset_map(pmd, address).pointee : __pte(0)
}

private func onCPU(_ cpu: UInt8, _ body: () -> Void) {
    let before = current.cpu
    current.cpu = cpu
    body()
    current.cpu = before
}

private func cached(_ address: UInt, cpu: Int = 0) -> Bool {
    translation(kernel.cpu(cpu), current.mm!, address) != nil
}

extension KernelModelTests {
    /// arch/x86: the TLB and the hardware's bits.
    @Suite struct TranslationTests {
        @Test func aLoadSetsTheAccessedBitAndAStoreTheDirtyOne() {
            TestMachine.run {
                map(base, pages: 2)
                #expect(load(base) == 0)
                #expect(pte_young(pte(base)))
                #expect(store(7, second) && load(second) == 7)
                #expect(pte_dirty(pte(second)) && cached(second))
            }
        }

        @Test func unmappingDropsTheEntriesOfAllCPUs() {
            TestMachine.run {
                map(base, pages: 2)
                #expect(store(7, base))
                onCPU(1) { #expect(load(base) == 7) }
                #expect(cached(base, cpu: 0) && cached(base, cpu: 1))
                #expect(ops.__vm_munmap(base, 2 * PAGE_SIZE, true) == 0)
                #expect(!cached(base, cpu: 0) && !cached(base, cpu: 1))
                #expect(load(base) == -Int(EFAULT))
            }
        }

        @Test func aStaleEntryIsUsedUntilItIsFlushed() {
            TestMachine.boot()
            map(base, pages: 1)
            store(7, base)
            let before = pte(base)
            pte_offset_map(pmd_offset(current.mm!, base), base).pointee = __pte(0)
            #expect(load(base) == 7)
            ops.flush_tlb_mm_range(current.mm!, base, base + PAGE_SIZE)
            #expect(load(base) == 0)
            #expect(!pte_same(pte(base), before))
        }

        @Test func aStoreToReadOnlyMemoryIsASegmentationFault() {
            TestMachine.run {
                map(base, pages: 1, prot: PROT_READ)
                #expect(load(base) == 0)
                #expect(!store(7, base) && load(base) == 0)
                #expect(load(0) == -Int(EFAULT) && load(TASK_SIZE()) == -Int(EFAULT))
            }
        }
    }

    /// mm/memory.c: faults, copy on write, fork, unmapping.
    @Suite struct FaultTests {
        @Test func parentAndChildWriteToPagesOfTheirOwn() {
            TestMachine.run {
                map(base, pages: 2)
                store(7, base)
                fork(1)
                #expect(page_mapcount(pte_page(pte(base))) == 2 && !pte_write(pte(base)))
                store(8, base)
                become(1)
                #expect(load(base) == 7)
                store(9, base)
                #expect(page_mapcount(pte_page(pte(base))) == 1)
                become(0)
                #expect(load(base) == 8)
                exit(1)
            }
        }

        @Test func theLastUserOfAPageReusesIt() {
            TestMachine.run {
                map(base, pages: 1)
                store(7, base)
                let page = pte_page(pte(base))
                fork(1)
                exit(1)
                store(8, base)
                #expect(pte_page(pte(base)) === page && pte_write(pte(base)))
            }
        }

        @Test func whatWasSwappedOutComesBack() {
            TestMachine.run {
                map(base, pages: 2)
                store(7, base)
                store(8, second)
                ops.lru_add_drain()
                #expect(ops.do_madvise(base, 2 * PAGE_SIZE, MADV_PAGEOUT) == 0)
                #expect(is_swap_pte(pte(base)) && is_swap_pte(pte(second)))
                #expect(load(base) == 7)
                fork(1)
                #expect(store(9, second) && load(second) == 9)
                become(1)
                #expect(load(base) == 7 && load(second) == 8)
                become(0)
                exit(1)
            }
        }

        @Test func aPrivateMappingCopiesTheFilesPage() {
            var shape = MachineShape()
            shape.files = [MachineShape.File(kind: .disk, size: 4)]
            TestMachine.run(shape) {
                map(base, pages: 4, file: kernel.file(0))
                let content = load(base)
                #expect(content == Int(kernel.file(0).disk(0).pointee))
                // Fault-around maps its neighbours once they are in the page cache.
                #expect(load(second) != content)
                #expect(store(7, base) && load(base) == 7)
                #expect(PageAnon(pte_page(pte(base))) && !PageAnon(pte_page(pte(second))))
                ops.unmap_mapping_pages(kernel.file(0), 0, 0, false)
                #expect(pte_present(pte(base)) && pte_none(pte(second)))
                ops.unmap_mapping_pages(kernel.file(0), 0, 0, true)
                #expect(load(base) == content)
            }
        }

        @Test func aDiskFileHearsOfTheFirstWriteAShmemFileDoesNot() {
            var shape = MachineShape()
            shape.files = [MachineShape.File(kind: .disk, size: 4), MachineShape.File(kind: .shmem, size: 4)]
            TestMachine.run(shape) {
                for number in 0..<2 {
                    let address = base + UInt(number) * 4 * PAGE_SIZE
                    map(address, pages: 4, file: kernel.file(number), shared: true)
                    _ = load(address)
                    // Only a disk file wants to know before a page is written to.
                    #expect(pte_write(pte(address)) == (number == 1))
                    store(7 + number, address)
                    #expect(pte_write(pte(address)) && pte_dirty(pte(address)))
                    #expect(PageDirty(pte_page(pte(address))) == (number == 0))
                }
            }
        }

        @Test func pageTablesGoWithTheLastMappingOfTheirRange() {
            TestMachine.run {
                map(base, pages: 2)
                map(base + 4 * PAGE_SIZE, pages: 2)
                store(7, base)
                store(8, base + 4 * PAGE_SIZE)
                #expect(current.mm!.nr_ptes == 1)
                #expect(ops.__vm_munmap(base, 2 * PAGE_SIZE, true) == 0)
                #expect(current.mm!.nr_ptes == 1 && load(base + 4 * PAGE_SIZE) == 8)
                #expect(ops.__vm_munmap(base + 4 * PAGE_SIZE, 2 * PAGE_SIZE, true) == 0)
                #expect(current.mm!.nr_ptes == 0)
            }
        }
    }

    /// mm/gup.c.
    @Suite struct GUPTests {
        @Test func forkCopiesAPinnedPage() {
            TestMachine.run {
                mapAnonymous()
                store(7, base)
                #expect(perform(.pin, Int(base), Int(FOLL_WRITE)) == 0)
                let page = pte_page(pte(base))
                #expect(page_maybe_dma_pinned(page) && current.mm!.has_pinned)
                fork(1)
                #expect(pte_page(pte(base)) === page && pte_write(pte(base)))
                become(1)
                #expect(pte_page(pte(base)) !== page && load(base) == 7)
                become(0)
                let written = perform(.unpin, Int(base))
                ops.lru_add_drain_all()
                #expect(load(base) == written && page_count(page) == 1)
                exit(1)
            }
        }

        @Test func aPinOfWhatIsNotThereFaultsItIn() {
            TestMachine.run {
                mapAnonymous()
                #expect(perform(.pin, Int(base), 0) == 0)
                #expect(pte_present(pte(base)))
                #expect(perform(.unpin, Int(base)) == 0)
                #expect(perform(.unpin, Int(base)) == -Int(EINVAL))
                #expect(perform(.pin, Int(base + 4 * PAGE_SIZE), 0) == -Int(EFAULT))
            }
        }

        @Test func mlockMarksWhatItPopulates() {
            TestMachine.run {
                mapAnonymous()
                #expect(perform(.mlock, Int(base), 2 * Int(PAGE_SIZE)) == 0)
                #expect(PageMlocked(pte_page(pte(base))) && PageMlocked(pte_page(pte(second))))
                #expect(statistic(NR_MLOCK) == 2)
                unmap()
                #expect(statistic(NR_MLOCK) == 0)
            }
        }

        @Test func followPageTellsAHoleFromWhatIsElsewhere() {
            TestMachine.run {
                map(base, pages: 2)
                store(7, base)
                let vma = ops.find_vma(current.mm!, base)!
                #expect(ops.follow_page(vma, base, 0) === pte_page(pte(base)))
                #expect(ops.follow_page(vma, second, 0) == nil)
                #expect(PTR_ERR(ops.follow_page(vma, second, FOLL_DUMP)!) == -Int(EFAULT))
            }
        }
    }

    /// A device that mirrors an mm.
    @Suite struct SecondaryMMUTests {
        @Test func theDeviceSeesWhatTheProcessWritesAndTheOtherWayRound() {
            TestMachine.run {
                mapAnonymous()
                store(7, base)
                #expect(perform(.register_device) == 0)
                #expect(perform(.register_device) == -Int(EBUSY))
                #expect(perform(.device_read, 0, Int(base)) == 7)
                let written = perform(.device_write, 0, Int(base))
                #expect(written > 7 && load(base) == written)
                #expect(perform(.device_read, 0, 0) == -Int(EFAULT))
                #expect(perform(.device_read, 1, Int(base)) == -Int(ESRCH))
                unmap()
                #expect(perform(.device_read, 0, Int(base)) == -Int(EFAULT))
            }
        }

        @Test func copyOnWriteTakesTheDeviceAlong() {
            TestMachine.run {
                mapAnonymous()
                store(7, base)
                #expect(perform(.register_device) == 0)
                #expect(perform(.device_read, 0, Int(base)) == 7)
                fork(1)
                store(8, base)
                #expect(perform(.device_read, 0, Int(base)) == 8)
                exit(1)
            }
        }
    }

    /// The fault path against what else changes page tables.
    @Suite struct FaultRaceTests {
        private var twoNodes: MachineShape {
            var shape = MachineShape()
            shape.nodes = 2
            return shape
        }

        private func setup() {
            mapAnonymous(pages: 4)
            for page in 0..<4 { _ = perform(.write, Int(base) + page * Int(PAGE_SIZE)) }
            ops.lru_add_drain_all()
        }

        private func touchAll() {
            for page in 0..<4 {
                let address = Int(base) + page * Int(PAGE_SIZE)
                _ = perform(.read, address)
                _ = perform(.write, address)
            }
        }

        @Test func migration() {
            TestMachine.race(
                twoNodes, setup: setup,
                .init(0) {
                    _ = perform(.move_pages, Int(base), 4 * Int(PAGE_SIZE), 1, Int(MPOL_MF_MOVE))
                    _ = perform(.move_pages, Int(base), 4 * Int(PAGE_SIZE), 0, Int(MPOL_MF_MOVE))
                }, .init(0, touchAll))
        }

        @Test func migrationWhileForking() {
            TestMachine.race(
                twoNodes, setup: setup,
                .init(0) { _ = perform(.move_pages, Int(base), 4 * Int(PAGE_SIZE), 1, Int(MPOL_MF_MOVE)) },
                .init(0) { _ = perform(.fork, 1) }, .init(0, touchAll))
        }

        @Test func numaHints() {
            TestMachine.race(
                twoNodes, setup: setup,
                .init(0) {
                    _ = perform(.change_prot_numa, Int(base), 4 * Int(PAGE_SIZE))
                    touchAll()
                }, .init(0, touchAll))
        }

        @Test func swapping() {
            TestMachine.race(
                setup: {
                    setup()
                    fork(1)
                },
                .init(0) {
                    _ = perform(.madvise, Int(base), 4 * Int(PAGE_SIZE), Int(MADV_PAGEOUT))
                    _ = perform(.madvise, Int(base), 4 * Int(PAGE_SIZE), Int(MADV_PAGEOUT))
                }, .init(0, touchAll), .init(1, touchAll))
        }

        @Test func hugePages() {
            let range = Int(PMD_SIZE())
            TestMachine.race(
                setup: {
                    mapAnonymous(PMD_SIZE(), pages: Int(HPAGE_PMD_NR()))
                    _ = perform(.madvise, range, range, Int(MADV_HUGEPAGE))
                    _ = perform(.write, range)
                    fork(1)
                },
                .init(0) {
                    _ = perform(.write, range)
                    _ = perform(.pin, range + Int(PAGE_SIZE), Int(FOLL_WRITE))
                    _ = perform(.fork, 2)
                    _ = perform(.unpin, range + Int(PAGE_SIZE))
                },
                .init(0) {
                    _ = perform(.madvise, range, Int(PAGE_SIZE), Int(MADV_DONTNEED))
                    _ = perform(.read, range)
                }, .init(1, touchAll))
        }

        @Test func pinsAgainstUnmappingAndFork() {
            TestMachine.race(
                setup: setup,
                .init(0) {
                    for _ in 0..<3 {
                        _ = perform(.pin, Int(base), Int(FOLL_WRITE))
                        _ = perform(.unpin, Int(base))
                    }
                },
                .init(0) {
                    _ = perform(.fork, 1)
                    unmap(pages: 4)
                    mapAnonymous(pages: 4)
                }, .init(0, touchAll))
        }

        @Test func aDeviceAgainstEverything() {
            TestMachine.race(
                twoNodes,
                setup: {
                    setup()
                    _ = perform(.register_device)
                },
                .init(0) {
                    for page in 0..<4 {
                        _ = perform(.device_write, 0, Int(base) + page * Int(PAGE_SIZE))
                        _ = perform(.device_read, 0, Int(base))
                    }
                },
                .init(0) {
                    _ = perform(.fork, 1)
                    _ = perform(.madvise, Int(base), 4 * Int(PAGE_SIZE), Int(MADV_PAGEOUT))
                    _ = perform(.move_pages, Int(base), 4 * Int(PAGE_SIZE), 1, Int(MPOL_MF_MOVE))
                }, .init(0, touchAll))
        }

        @Test func truncationOfASharedFile() {
            var shape = MachineShape()
            shape.files = [MachineShape.File(kind: .disk, size: 4)]
            let share = Int(MAP_SHARED | MAP_FIXED)
            TestMachine.race(
                shape,
                setup: { _ = perform(.mmap, Int(base), 4 * Int(PAGE_SIZE), readWrite, share, 0, 0) },
                .init(0) { _ = perform(.truncate, 0, 1) }, .init(0, touchAll),
                .init(0) { _ = perform(.writeback, 0) })
        }
    }

    /// Each invariant of this part notices the bug it is there for.
    @Suite struct MutantTests {
        private func readAndWrite() {
            _ = perform(.read, Int(base))
            _ = perform(.write, Int(base))
            _ = perform(.read, Int(base))
        }

        private func setup() {
            mapAnonymous()
            _ = perform(.write, Int(base))
            _ = perform(.write, Int(second))
            ops.lru_add_drain_all()
        }

        @Test func nothingIsWrongWithTheKernelItself() {
            TestMachine.race(
                setup: setup,
                .init(0) {
                    unmap()
                    mapAnonymous()
                },
                .init(0) { readAndWrite() })
        }

        @Test func unmappingWithoutAFlush() {
            TestMachine.raceOfMutant(
                { $0.flush_tlb_mm_range = { _, _, _ in } }, breaks: VIOLATION_stale_translation, setup: setup,
                .init(0) { unmap() }, .init(0) { readAndWrite() })
        }

        @Test func copyOnWriteWithoutAFlush() {
            TestMachine.raceOfMutant(
                { table in
                    table.ptep_clear_flush = { vma, address, ptep in ptep_get_and_clear(vma.vm_mm, address, ptep) }
                }, breaks: VIOLATION_user_data,
                setup: {
                    setup()
                    fork(1)
                }, .init(0) { _ = perform(.write, Int(base)) },
                .init(0) {
                    _ = perform(.read, Int(base))
                    _ = perform(.read, Int(base))
                })
        }

        @Test func reclaimWithoutABatchedFlush() {
            TestMachine.raceOfMutant(
                { $0.arch_tlbbatch_flush = { $0.pointee.cpumask = 0 } }, breaks: VIOLATION_stale_translation,
                setup: setup, .init(0) { _ = perform(.madvise, Int(base), 2 * Int(PAGE_SIZE), Int(MADV_PAGEOUT)) },
                .init(0) { readAndWrite() })
        }

        @Test func discardingThatLeavesThePages() {
            TestMachine.raceOfMutant(
                { $0.zap_page_range = { _, _, _ in } }, breaks: VIOLATION_user_data, setup: setup,
                .init(0) {
                    _ = perform(.madvise, Int(base), 2 * Int(PAGE_SIZE), Int(MADV_DONTNEED))
                    _ = perform(.read, Int(base))
                }, .init(0) {})
        }

        @Test func notificationsThatNeverArrive() {
            TestMachine.raceOfMutant(
                { table in
                    table.mmu_notifier_invalidate_range_start = { _ in }
                    table.mmu_notifier_invalidate_range_end = { _ in }
                    table.mmu_notifier_invalidate_range_only_end = { _ in }
                }, breaks: VIOLATION_stale_translation,
                setup: {
                    setup()
                    _ = perform(.register_device)
                    _ = perform(.device_read, 0, Int(base))
                }, .init(0) { unmap() }, .init(0) { _ = perform(.device_read, 0, Int(base)) })
        }

        @Test func faultsOfTheDeviceThatMissAnInvalidation() {
            // Without the lock of its table nobody would count; the device's check of the sequence is replaced by
            // invalidations that do not move it.
            TestMachine.raceOfMutant(
                { table in
                    table.mmu_notifier_invalidate_range_start = { range in
                        guard let mmu = range.pointee.mm.notifier_subscriptions else { return }
                        secondary_mmu_invalidate_range_start(mmu, range.pointee.start, range.pointee.end)
                        mmu.invalidate_in_progress -= 1
                    }
                    table.mmu_notifier_invalidate_range_only_end = { _ in }
                }, breaks: VIOLATION_stale_translation,
                setup: {
                    setup()
                    _ = perform(.register_device)
                }, .init(0) { unmap() }, .init(0) { _ = perform(.device_read, 0, Int(base)) })
        }
    }
}
