// SPDX-License-Identifier: GPL-2.0-only
// Migration as v5.18-rc1 has it, of mlocked pages above all, by each of its entry points; alone and in races.

import CKernel
import Simulation
import Testing

@testable import KernelModel

extension KernelModelTests {
    @Suite struct MigrationTests518 {
        static let era = Era.v5_18_rc1
        static let start: UInt = 0x8000
        static let count = 4

        /// CPU 0's node is movable, so that pins for long move a page to the other one.
        var shape: MachineShape {
            var shape = MachineShape()
            shape.nodes = 2
            shape.pages = 48
            shape.movableNode = 0
            shape.files = [.init(kind: .shmem, size: 4), .init(kind: .shmem, size: 8, huge: true)]
            return shape
        }

        func address(_ n: Int) -> UInt { Self.start + UInt(n) * PAGE_SIZE }

        func page(_ n: Int = 0) -> page {
            pte_page(pte_offset_map(pmd_offset(current.mm!, address(n)), address(n)).pointee)
        }

        func anonymous() {
            map(Self.start, pages: Self.count)
            for n in 0..<Self.count { store(100 + n, address(n)) }
        }

        func mlocked(_ pages: Int = 1) {
            anonymous()
            #expect(ops.do_mlock(Self.start, UInt(pages) * PAGE_SIZE, VM_LOCKED) == 0)
            ops.lru_add_drain_all()
        }

        func mlockedHuge() {
            map(Self.start, pages: 8, file: kernel.file(1), shared: true)
            store(100, Self.start)
            #expect(pmd_trans_huge(pmd_offset(current.mm!, Self.start).pointee))
            #expect(ops.do_mlock(Self.start, 8 * PAGE_SIZE, VM_LOCKED) == 0)
            ops.lru_add_drain_all()
        }

        /// An entry point of migration, for the page at `start`.
        enum EntryPoint: CaseIterable {
            case movePages, compaction, hintFault, longtermPin

            func migrate() {
                switch self {
                case .movePages: #expect(ops.do_move_pages(start, PAGE_SIZE, 1, MPOL_MF_MOVE) == 0)
                case .compaction: _ = ops.compact_zone(0, -1)
                case .hintFault:
                    task_numa_work(start, PAGE_SIZE)
                    current.cpu = 1
                    #expect(load(start) == 100)
                    current.cpu = 0
                case .longtermPin:
                    let pinned = ops.get_user_page_fast(current.mm!, start, FOLL_WRITE | FOLL_LONGTERM | FOLL_PIN)!
                    #expect(!IS_ERR(pinned))
                    if !IS_ERR(pinned) { ops.unpin_user_page(pinned) }
                }
            }
        }

        private var attempts: UInt32 { kernel.event_count(Int(EVENT_migrate.rawValue)).pointee }

        @Test(arguments: EntryPoint.allCases)
        func anMlockedPageMovesAtTheFirstAttempt(_ entry: EntryPoint) {
            TestMachine.run(shape, era: Self.era) {
                mlocked()
                let old = page()
                let others = attempts
                entry.migrate()
                #expect(page() !== old && load(Self.start) == 100)
                #expect(events(PGMIGRATE_SUCCESS) >= 1)
                ops.lru_add_drain_all()
                #expect(PageMlocked(page()) && PageUnevictable(page()))
                #expect(statistic(NR_MLOCK) == 1 && statistic(NR_ISOLATED_ANON) == 0)
                // Compaction goes on with the other pages, until there is no place left to move them to.
                if entry == .compaction { return }
                #expect(events(PGMIGRATE_FAIL) == 0 && attempts - others == 1 && page().mlock_count == 1)
            }
        }

        @Test(arguments: [EntryPoint.movePages, .longtermPin])
        func aHugePageMovesWithItsMlock(_ entry: EntryPoint) {
            TestMachine.run(shape, era: Self.era) {
                mlockedHuge()
                let old = pmd_page(pmd_offset(current.mm!, Self.start).pointee)
                entry.migrate()
                let new = pmd_page(pmd_offset(current.mm!, Self.start).pointee)
                #expect(new !== old && new.nid == 1 && load(Self.start) == 100)
                ops.lru_add_drain_all()
                #expect(PageMlocked(new) && new.mlock_count == 1 && statistic(NR_MLOCK) == 8)
            }
        }

        @Test func aHintFaultMovesAnAnonymousHugePage() {
            TestMachine.run(shape, era: Self.era) {
                map(Self.start, pages: 8)
                #expect(ops.do_madvise(Self.start, PMD_SIZE(), Int32(MADV_HUGEPAGE)) == 0)
                store(100, Self.start)
                ops.lru_add_drain_all()
                #expect(pmd_page(pmd_offset(current.mm!, Self.start).pointee).nid == 0)
                task_numa_work(Self.start, PMD_SIZE())
                current.cpu = 1
                #expect(load(Self.start) == 100)
                current.cpu = 0
                let new = pmd_offset(current.mm!, Self.start).pointee
                #expect(pmd_trans_huge(new) && !pmd_protnone(new) && pmd_page(new).nid == 1)
            }
        }

        @Test func aHugePageOfTwoProcessesStays() {
            TestMachine.run(shape, era: Self.era) {
                mlockedHuge()
                fork(1)
                become(1)
                #expect(load(Self.start) == 100)
                become(0)
                task_numa_work(Self.start, PMD_SIZE())
                current.cpu = 1
                #expect(load(Self.start) == 100)
                current.cpu = 0
                let pmd = pmd_offset(current.mm!, Self.start).pointee
                #expect(pmd_trans_huge(pmd) && !pmd_protnone(pmd) && pmd_page(pmd).nid == 0)
            }
        }

        @Test func whatOthersKeepInTheirBatchFailsTheMove() {
            TestMachine.run(shape, era: Self.era) {
                mlocked()
                let old = page()
                // Another CPU holds a reference until it is drained.
                current.cpu = 1
                ops.mlock_page(old)
                current.cpu = 0
                #expect(
                    ops.get_user_page_fast(current.mm!, Self.start, FOLL_WRITE | FOLL_LONGTERM | FOLL_PIN).map {
                        PTR_ERR($0)
                    } == -Int(ENOMEM))
                #expect(page() === old && PageMlocked(old))
            }
        }

        @Test func aSplitAnonymousPageKeepsItsData() {
            TestMachine.run(shape, era: Self.era) {
                map(Self.start, pages: 8)
                #expect(ops.do_madvise(Self.start, PMD_SIZE(), Int32(MADV_HUGEPAGE)) == 0)
                for n in 0..<Self.count { store(100 + n, address(n)) }
                #expect(ops.do_mlock(Self.start, PMD_SIZE(), VM_LOCKED) == 0)
                let huge = pmd_page(pmd_offset(current.mm!, Self.start).pointee)
                get_page(huge)
                lock_page(huge)
                #expect(ops.split_huge_page_to_list(huge, nil) == 0)
                unlock_page(huge)
                ops.put_page(huge)
                for n in 0..<Self.count { #expect(load(address(n)) == 100 + n) }
            }
        }

        // MARK: - Races

        @Test(arguments: EntryPoint.allCases)
        func migrationAgainstMlock(_ entry: EntryPoint) {
            TestMachine.race(
                shape, era: Self.era,
                setup: {
                    mlocked(1)
                    fork(1)
                },
                .init(0) { migrateIfPossible(entry) },
                .init(0) { _ = ops.do_mlock(address(1), PAGE_SIZE, VM_LOCKED) },
                .init(1) { _ = ops.do_mlock(Self.start, PAGE_SIZE, VM_LOCKED) })
        }

        @Test(arguments: EntryPoint.allCases)
        func migrationAgainstMunlock(_ entry: EntryPoint) {
            TestMachine.race(
                shape, era: Self.era,
                setup: {
                    mlocked(2)
                    fork(1)
                },
                .init(0) { migrateIfPossible(entry) },
                .init(0) { _ = ops.do_munlock(Self.start, PAGE_SIZE) },
                .init(1) { _ = load(Self.start) })
        }

        @Test(arguments: EntryPoint.allCases)
        func migrationAgainstUnmapAndFork(_ entry: EntryPoint) {
            TestMachine.race(
                shape, era: Self.era, moves: true, setup: { mlocked(Self.count) },
                .init(0) { migrateIfPossible(entry) },
                .init(0) { _ = ops.__vm_munmap(Self.start, 2 * PAGE_SIZE, true) },
                .init(0) { fork(1) })
        }

        @Test(arguments: EntryPoint.allCases)
        func migrationAgainstAccessAndReclaim(_ entry: EntryPoint) {
            TestMachine.race(
                shape, era: Self.era, moves: true, setup: { mlocked(2) },
                .init(0) { migrateIfPossible(entry) },
                .init(0) { for n in 0..<Self.count { #expect(load(address(n)) == 100 + n) } },
                .init(0) { _ = balance_pgdat(0) })
        }

        @Test(arguments: [EntryPoint.movePages, .longtermPin])
        func migrationOfHugePagesAgainstMunlockAndSplit(_ entry: EntryPoint) {
            TestMachine.race(
                shape, era: Self.era,
                setup: {
                    mlockedHuge()
                    fork(1)
                },
                .init(0) { migrateIfPossible(entry) },
                .init(0) { _ = ops.do_munlock(Self.start, PAGE_SIZE) },
                .init(1) {
                    _ = load(Self.start)
                    _ = ops.do_madvise(Self.start, PAGE_SIZE, Int32(MADV_DONTNEED))
                })
        }

        @Test func twoMigrationsOfOneRange() {
            TestMachine.race(
                shape, era: Self.era, setup: { mlocked(2) },
                .init(0) { _ = ops.do_move_pages(Self.start, 4 * PAGE_SIZE, 1, MPOL_MF_MOVE) },
                .init(0) { _ = ops.compact_zone(0, -1) },
                .init(0) { migrateIfPossible(.longtermPin) })
        }

        /// As `migrate`, but what it comes to is up to the others.
        private func migrateIfPossible(_ entry: EntryPoint) {
            switch entry {
            case .movePages: _ = ops.do_move_pages(Self.start, PAGE_SIZE, 1, MPOL_MF_MOVE_ALL)
            case .compaction: _ = ops.compact_zone(0, -1)
            case .hintFault:
                task_numa_work(Self.start, 2 * PAGE_SIZE)
                _ = load(Self.start)
            case .longtermPin:
                guard
                    let pinned = ops.get_user_page_fast(current.mm!, Self.start, FOLL_WRITE | FOLL_LONGTERM | FOLL_PIN),
                    !IS_ERR(pinned)
                else { return }
                #expect(pinned.nid == 1)
                ops.unpin_user_page(pinned)
            }
        }
    }
}
