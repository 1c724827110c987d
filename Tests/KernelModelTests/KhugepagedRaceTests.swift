// SPDX-License-Identifier: GPL-2.0-only
// khugepaged on ranges of shmem, while others work on them.

import CKernel
import Simulation
import Testing

@testable import KernelModel

private let base: UInt = 8 * PAGE_SIZE
private let nr = 8

extension KernelModelTests {
    @Suite struct KhugepagedRaceTests {
        var shape: MachineShape {
            var shape = MachineShape()
            shape.nodes = 2
            shape.pages = 64
            shape.swapSlots = 16
            shape.files = [.init(kind: .shmem, size: 16, huge: true, onAdvice: true)]
            return shape
        }

        func address(_ n: Int) -> UInt { base + UInt(n) * PAGE_SIZE }
        func advise(_ advice: Int32, _ n: Int = 0, _ pages: Int = nr) {
            _ = ops.do_madvise(address(n), UInt(pages) * PAGE_SIZE, advice)
        }
        func mlock(_ n: Int = 0, _ pages: Int = nr) { _ = ops.do_mlock(address(n), UInt(pages) * PAGE_SIZE, VM_LOCKED) }
        func munlock(_ n: Int = 0, _ pages: Int = nr) { _ = ops.do_munlock(address(n), UInt(pages) * PAGE_SIZE) }

        /// Small pages of the file, except some holes, in a vma of process 0 that is registered.
        func mapAndFill(holes: Range<Int> = 0..<0) {
            map(base, pages: nr, file: kernel.file(0), shared: true)
            for n in 0..<nr where !holes.contains(n) { store(100 + n, address(n)) }
            for _ in 0..<2 { advise(Int32(MADV_HUGEPAGE)) }
            ops.lru_add_drain_all()
        }

        /// What khugepaged does once it has come to the range, at once.
        static func collapse() -> Int32 {
            var cc = collapse_control()
            cc.is_khugepaged = true
            let result = ops.khugepaged_scan_file(current.mm!, base, kernel.file(0), 0, &cc)
            if let unused = cc.hpage { ops.put_page(unused) }
            return result
        }

        func mapAndFork() {
            mapAndFill()
            fork(1)
            become(1)
            for n in 0..<nr { _ = load(address(n)) }
            become(0)
            ops.lru_add_drain_all()
        }

        /// khugepaged against `racers`.
        private func race(
            seeds: Range<UInt64> = 1..<150, sourceLocation: SourceLocation = #_sourceLocation,
            setup: @escaping () -> Void, _ first: TestMachine.Racer, _ second: TestMachine.Racer
        ) {
            TestMachine.race(
                shape, era: .v5_18_rc1, seeds: seeds, sourceLocation: sourceLocation, setup: setup,
                .init(0) {
                    _ = Self.collapse()
                    _ = ops.khugepaged_do_scan()
                }, first, second)
        }

        @Test func contentsAreKept() {
            race(
                setup: { mapAndFill() },
                .init(0) { for n in 0..<nr where n != 3 { #expect(load(address(n)) == 100 + n) } },
                .init(0) {
                    store(7, address(3))
                    #expect(load(address(3)) == 7)
                    store(8, address(3))
                    #expect(load(address(3)) == 8)
                })
        }

        @Test func holesAreFilledMeanwhile() {
            race(
                setup: { mapAndFill(holes: 2..<5) },
                .init(0) {
                    store(7, address(3))
                    #expect(load(address(3)) == 7)
                },
                .init(0) { #expect(ops.generic_file_read(kernel.file(0), 6) == 106) })
        }

        @Test func writtenByCallsMeanwhile() {
            race(
                setup: { mapAndFill(holes: 2..<5) },
                .init(0) {
                    #expect(ops.generic_file_write(kernel.file(0), 4, 0x44) == Int(PAGE_SIZE))
                    #expect(ops.generic_file_read(kernel.file(0), 4) == 0x44)
                },
                .init(0) {
                    #expect(ops.generic_file_write(kernel.file(0), 1, 0x11) == Int(PAGE_SIZE))
                    #expect(load(address(1)) == 0x11)
                })
        }

        @Test func truncatedMeanwhile() {
            race(
                setup: mapAndFork,
                .init(0) { _ = ops.do_truncate(kernel.file(0), 3) },
                .init(1) { store(5, address(6)) })
        }

        @Test func punchedMeanwhile() {
            race(
                setup: mapAndFork,
                .init(0) { _ = ops.do_fallocate_punch(kernel.file(0), 2, 6) },
                .init(1) { for n in 0..<nr { _ = load(address(n)) } })
        }

        @Test func punchedWholeAndFilledAgain() {
            race(
                setup: { mapAndFill() },
                .init(0) { _ = ops.do_fallocate_punch(kernel.file(0), 0, 8) },
                .init(0) { for n in 0..<nr { store(200 + n, address(n)) } })
        }

        @Test func unmappedMeanwhile() {
            race(
                setup: mapAndFork,
                .init(0) { _ = ops.__vm_munmap(address(0), UInt(nr) * PAGE_SIZE, false) },
                .init(1) {
                    #expect(load(address(3)) == 103)
                    _ = ops.__vm_munmap(address(2), PAGE_SIZE, false)
                    #expect(load(address(3)) == 103)
                })
        }

        @Test func exitAndForkMeanwhile() {
            race(
                setup: mapAndFork,
                .init(0) {
                    fork(2)
                    exit(2)
                },
                .init(1) { exit(1) })
        }

        @Test func theScannedMMExits() {
            race(
                setup: mapAndFork,
                .init(0) { exit(0) },
                .init(1) { for n in 0..<nr { #expect(load(address(n)) == 100 + n) } })
        }

        @Test func reclaimMeanwhile() {
            race(
                setup: mapAndFork,
                .init(0) { _ = ops.shrink_node(0, 0) },
                .init(1) { for n in 0..<nr { #expect(load(address(n)) == 100 + n) } })
        }

        @Test func swappedInMeanwhile() {
            race(
                setup: {
                    mapAndFill()
                    advise(Int32(MADV_PAGEOUT), 3, 1)
                },
                .init(0) { for n in 0..<nr { #expect(load(address(n)) == 100 + n) } },
                .init(0) { advise(Int32(MADV_PAGEOUT), 3, 2) })
        }

        @Test func migratedMeanwhile() {
            race(
                setup: mapAndFork,
                .init(0) { _ = ops.do_move_pages(base, PMD_SIZE(), 1, Int32(MPOL_MF_MOVE_ALL)) },
                .init(1) { for n in 0..<nr { #expect(load(address(n)) == 100 + n) } })
        }

        @Test func pinnedMeanwhile() {
            race(
                setup: mapAndFork,
                .init(0) { writeThroughPins(address(2)) },
                .init(1) { _ = ops.get_user_page_fast(current.mm!, address(4), FOLL_GET).map(ops.put_page) })
        }

        /// One that mlocks is enough here: where two batches meet, mlock_count itself can end too high
        /// (docs/fidelity/mlock.md).
        @Test func mlockedAndMunlockedMeanwhile() {
            TestMachine.race(
                shape, era: .v5_18_rc1, seeds: 1..<300, setup: mapAndFork,
                .init(0) { for _ in 0..<2 { _ = Self.collapse() } },
                .init(0) {
                    mlock()
                    munlock(2, 3)
                },
                .init(1) { for n in 0..<nr { #expect(load(address(n)) == 100 + n) } })
        }

        @Test func anotherHugePageComesAndIsSplit() {
            race(
                setup: mapAndFork,
                .init(0) { _ = ops.do_mprotect(address(2), PAGE_SIZE, PROT_READ) },
                .init(1) {
                    for n in 0..<nr { #expect(load(address(n)) == 100 + n) }
                    _ = ops.do_fallocate_punch(kernel.file(0), 4, 5)
                })
        }

        @Test func privateCopiesMeanwhile() {
            race(
                setup: {
                    mapAndFill()
                    map(base + PMD_SIZE(), pages: nr, file: kernel.file(0))
                    for n in 0..<nr { _ = load(base + PMD_SIZE() + UInt(n) * PAGE_SIZE) }
                },
                .init(0) {
                    let mine = base + PMD_SIZE() + 2 * PAGE_SIZE
                    store(55, mine)
                    #expect(load(mine) == 55)
                },
                .init(0) { #expect(load(address(2)) == 102) })
        }

        @Test func twoThatAreKhugepaged() {
            race(
                setup: mapAndFork,
                .init(0) { _ = ops.khugepaged_do_scan() },
                .init(1) { for n in 0..<nr { #expect(load(address(n)) == 100 + n) } })
        }
    }
}
