// SPDX-License-Identifier: GPL-2.0-only
// Migration of mapped pages: move_pages(2), compaction, NUMA hints; alone and against other tasks.

import CKernel
import Simulation
import Testing

@testable import KernelModel

extension KernelModelTests {
    @Suite struct MigrationTests {
        static let count = 4
        static let start: UInt = 0x8000

        var shape: MachineShape {
            var shape = MachineShape()
            shape.nodes = 2
            shape.files = [.init(kind: .shmem, size: 4), .init(kind: .disk, size: 4)]
            return shape
        }

        func address(_ n: Int) -> UInt { Self.start + UInt(n) * PAGE_SIZE }

        /// The page mapped at page `n` of the range.
        func page(_ n: Int) -> page {
            pte_page(pte_offset_map(pmd_offset(current.mm!, address(n)), address(n)).pointee)
        }

        func anonymous() {
            map(Self.start, pages: Self.count)
            for n in 0..<Self.count { store(100 + n, address(n)) }
        }

        func move(to nid: Int32, _ n: Int = 0, _ count: Int = Self.count, all: Bool = false) -> Int {
            ops.do_move_pages(
                address(n), UInt(count) * PAGE_SIZE, nid, all ? MPOL_MF_MOVE_ALL : MPOL_MF_MOVE)
        }

        func expectContents() {
            for n in 0..<Self.count { #expect(load(address(n)) == 100 + n) }
        }

        @Test func movePagesPutsThemOnTheNode() {
            TestMachine.run(shape) {
                anonymous()
                for nid: Int32 in [1, 0, 0] {
                    #expect(move(to: nid) == 0)
                    for n in 0..<Self.count { #expect(Int32(page(n).nid) == nid) }
                    expectContents()
                }
                #expect(events(PGMIGRATE_SUCCESS) == UInt32(2 * Self.count))
                #expect(statistic(NR_ISOLATED_ANON) == 0)
            }
        }

        @Test func wrongNodesAndFlagsAreErrors() {
            TestMachine.run(shape) {
                anonymous()
                #expect(move(to: 2) == -Int(ENODEV))
                #expect(ops.do_move_pages(Self.start, PAGE_SIZE, 0, 1) == -Int(EINVAL))
            }
        }

        @Test func aSharedPageNeedsMoveAll() {
            TestMachine.run(shape) {
                anonymous()
                fork(1)
                #expect(move(to: 1) == 0)
                #expect(page(0).nid == 0)
                #expect(move(to: 1, all: true) == 0)
                #expect(page(0).nid == 1)
                expectContents()
                become(1)
                expectContents()
            }
        }

        @Test func aPinnedPageStays() {
            TestMachine.run(shape) {
                anonymous()
                let pinned = page(1)
                get_page(pinned)
                // One of the pages is not moved, but the kernel does not count it at the end of the call.
                #expect(move(to: 1) == 0)
                #expect(page(1) === pinned && page(0).nid == 1)
                #expect(events(PGMIGRATE_FAIL) == 1)
                ops.put_page(pinned)
                expectContents()
            }
        }

        @Test func anMlockedPageStaysMlocked() {
            TestMachine.run(shape) {
                anonymous()
                #expect(ops.do_mlock(Self.start, PAGE_SIZE, VM_LOCKED) == 0)
                let old = page(0)
                #expect(PageMlocked(old))
                #expect(move(to: 1, 0, 1) == 0)
                #expect(page(0) !== old && PageMlocked(page(0)))
                #expect(statistic(NR_MLOCK) == 1)
                ops.lru_add_drain_all()
                #expect(PageUnevictable(page(0)) && pages(on: LRU_UNEVICTABLE) == 1)
            }
        }

        @Test func pagesOfFilesTakeTheirPlaceInTheCache() {
            for number in 0..<2 {
                TestMachine.run(shape) {
                    let file = kernel.file(number)
                    map(Self.start, pages: Self.count, file: file, shared: true)
                    for n in 0..<Self.count { store(100 + n, address(n)) }
                    #expect(move(to: 1) == 0)
                    for n in 0..<Self.count {
                        #expect(page(n).nid == 1)
                        #expect(entry_to_page(file.slot(n).pointee) === page(n))
                    }
                    expectContents()
                }
            }
        }

        @Test func aSwapCachePageTakesItsSlotAlong() {
            TestMachine.run(shape) {
                anonymous()
                #expect(ops.do_madvise(Self.start, PAGE_SIZE, Int32(MADV_PAGEOUT)) == 0)
                #expect(load(address(0)) == 100)
                #expect(PageSwapCache(page(0)))
                ops.lru_add_drain_all()
                #expect(move(to: 1, 0, 1) == 0)
                #expect(page(0).nid == 1 && PageSwapCache(page(0)))
                expectContents()
            }
        }

        @Test func compactionMovesMappedPages() {
            TestMachine.run(shape) {
                anonymous()
                let before = page(2)
                _ = ops.compact_zone(0, -1)
                #expect(page(2) !== before)
                expectContents()
            }
        }

        @Test func compactionLeavesPinnedAnonymousPagesOnTheirList() {
            TestMachine.run(shape) {
                anonymous()
                ops.lru_add_drain_all()
                let pinned = page(2)
                get_page(pinned)
                _ = ops.compact_zone(0, -1)
                #expect(page(2) === pinned && PageLRU(pinned))
                #expect(events(PGMIGRATE_FAIL) == 0)
                ops.put_page(pinned)
            }
        }

        @Test func aHintFaultBringsThePageNear() {
            TestMachine.run(shape) {
                anonymous()
                ops.lru_add_drain_all()
                current.cpu = 1
                task_numa_work(Self.start, PAGE_SIZE)
                #expect(pte_protnone(pte_offset_map(pmd_offset(current.mm!, address(0)), address(0)).pointee))
                #expect(load(address(0)) == 100)
                #expect(page(0).nid == 1)
                expectContents()
                current.cpu = 0
            }
        }

        // MARK: - Races

        @Test func migrationAgainstAccess() {
            TestMachine.race(
                shape, setup: anonymous,
                .init(0) { _ = move(to: 1) },
                .init(0) { for n in 1..<Self.count { #expect(load(address(n)) == 100 + n) } },
                .init(0) {
                    store(7, address(0))
                    #expect(load(address(0)) == 7)
                })
        }

        @Test func migrationAgainstUnmapAndFork() {
            TestMachine.race(
                shape, setup: anonymous,
                .init(0) { _ = move(to: 1) },
                .init(0) { _ = ops.__vm_munmap(address(1), PAGE_SIZE, true) },
                .init(0) { fork(1) })
        }

        @Test func compactionAgainstMlockAndMunlock() {
            TestMachine.race(
                shape, setup: anonymous,
                .init(0) { _ = ops.compact_zone(0, -1) },
                .init(0) { _ = ops.do_mlock(Self.start, 2 * PAGE_SIZE, VM_LOCKED) },
                .init(0) { _ = ops.do_munlock(Self.start, PAGE_SIZE) })
        }

        @Test func reclaimAgainstMlockOfTwoProcesses() {
            TestMachine.race(
                shape,
                setup: {
                    map(Self.start, pages: Self.count, file: kernel.file(0), shared: true)
                    for n in 0..<Self.count { store(100 + n, address(n)) }
                    fork(1)
                },
                .init(0) { _ = balance_pgdat(0) },
                .init(0) {
                    _ = ops.do_mlock(Self.start, 2 * PAGE_SIZE, VM_LOCKED)
                    _ = ops.do_munlock(Self.start, 2 * PAGE_SIZE)
                },
                .init(1) { _ = ops.do_mlock(Self.start, 2 * PAGE_SIZE, VM_LOCKED) })
        }

        @Test func twoReclaimersAndADrain() {
            TestMachine.race(
                shape, setup: anonymous,
                .init(0) { _ = balance_pgdat(0) },
                .init(0) { _ = ops.do_madvise(Self.start, 4 * PAGE_SIZE, Int32(MADV_PAGEOUT)) },
                .init(0) { ops.lru_add_drain_all() })
        }

        @Test func twoMigrationsOfOneRange() {
            TestMachine.race(
                shape, setup: anonymous,
                .init(0) { _ = move(to: 1) },
                .init(0) { _ = move(to: 0) },
                .init(0) { _ = ops.compact_zone(1, -1) })
        }

        @Test func hintFaultsAgainstMigration() {
            TestMachine.race(
                shape, setup: anonymous,
                .init(0) { task_numa_work(Self.start, 4 * PAGE_SIZE) },
                .init(0) { for n in 0..<Self.count { #expect(load(address(n)) == 100 + n) } },
                .init(0) { _ = ops.compact_zone(0, -1) })
        }

        @Test func lazyFreeAgainstReclaimAndWrites() {
            TestMachine.race(
                shape, setup: anonymous,
                .init(0) { _ = ops.do_madvise(Self.start, 4 * PAGE_SIZE, Int32(MADV_FREE)) },
                .init(0) {
                    _ = balance_pgdat(0)
                    _ = balance_pgdat(0)
                },
                .init(0) { store(9, address(2)) })
        }
    }
}
