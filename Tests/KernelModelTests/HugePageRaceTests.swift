// SPDX-License-Identifier: GPL-2.0-only
// Transparent huge pages while several tasks work on them.

import CKernel
import Simulation
import Testing

@testable import KernelModel

extension KernelModelTests {
    @Suite struct HugePageRaceTests {
        var shape: MachineShape {
            var shape = MachineShape()
            shape.nodes = 2
            shape.pages = 64
            shape.swapSlots = 16
            shape.files = [.init(kind: .shmem, size: 8, huge: true)]
            return shape
        }

        func anonymous() {
            map(PMD_SIZE(), pages: 8)
            _ = ops.do_madvise(PMD_SIZE(), PMD_SIZE(), Int32(MADV_HUGEPAGE))
            for n in 0..<8 { store(100 + n, address(n)) }
        }

        func shmem() {
            map(PMD_SIZE(), pages: 8, file: kernel.file(0), shared: true)
            for n in 0..<8 { store(100 + n, address(n)) }
        }

        func address(_ n: Int) -> UInt { PMD_SIZE() + UInt(n) * PAGE_SIZE }
        func mlock(_ n: Int = 0, _ pages: Int = 8) { _ = ops.do_mlock(address(n), UInt(pages) * PAGE_SIZE, VM_LOCKED) }
        func munlock(_ n: Int = 0, _ pages: Int = 8) { _ = ops.do_munlock(address(n), UInt(pages) * PAGE_SIZE) }
        func advise(_ advice: Int32, _ n: Int = 0, _ pages: Int = 8) {
            _ = ops.do_madvise(address(n), UInt(pages) * PAGE_SIZE, advice)
        }

        @Test func writersAfterFork() {
            TestMachine.race(
                shape,
                setup: {
                    anonymous()
                    fork(1)
                },
                .init(0) { store(1, address(2)) },
                .init(1) { store(2, address(2)) },
                .init(1) { #expect(load(address(3)) == 103) })
        }

        @Test func splitAgainstMlock() {
            TestMachine.race(
                shape, setup: anonymous,
                .init(0) { mlock() },
                .init(0) { _ = ops.do_mprotect(address(2), PAGE_SIZE, PROT_READ) },
                .init(0) { munlock(4, 2) })
        }

        @Test func pageoutAgainstAccess() {
            TestMachine.race(
                shape, setup: anonymous,
                .init(0) { advise(MADV_PAGEOUT) },
                .init(0) { for n in 0..<8 { #expect(load(address(n)) == 100 + n) } },
                .init(0) { advise(MADV_PAGEOUT, 2, 3) })
        }

        @Test func deferredSplitAgainstUnmap() {
            TestMachine.race(
                shape,
                setup: {
                    anonymous()
                    fork(1)
                    _ = ops.__vm_munmap(address(6), 2 * PAGE_SIZE, false)
                },
                .init(0) { _ = ops.deferred_split_scan(0) },
                .init(0) { _ = ops.__vm_munmap(address(0), PMD_SIZE(), false) },
                .init(1) {
                    store(1, address(7))
                    exit(1)
                })
        }

        @Test func migrationAgainstForkAndWrites() {
            TestMachine.race(
                shape, setup: anonymous,
                .init(0) { _ = ops.do_move_pages(PMD_SIZE(), PMD_SIZE(), 1, 0) },
                .init(0) {
                    store(9, address(1))
                    #expect(load(address(1)) == 9)
                },
                .init(0) {
                    fork(1)
                    exit(1)
                })
        }

        @Test func discardAgainstSplitAndFault() {
            TestMachine.race(
                shape, setup: anonymous,
                .init(0) { advise(MADV_DONTNEED) },
                .init(0) { advise(MADV_FREE, 1, 2) },
                .init(0) { store(9, address(1)) })
        }

        @Test func hintingFaultsAgainstUnmap() {
            TestMachine.race(
                shape, setup: anonymous,
                .init(0) {
                    task_numa_work(PMD_SIZE(), PMD_SIZE())
                    #expect(load(address(2)) == 102)
                },
                .init(0) { #expect(load(address(3)) == 103) },
                .init(0) { advise(MADV_DONTNEED, 4, 4) })
        }

        @Test func reclaimAgainstMlockAndExit() {
            TestMachine.race(
                shape,
                setup: {
                    anonymous()
                    fork(1)
                },
                .init(0) { _ = ops.shrink_node(0, 0) },
                .init(0) { mlock() },
                .init(1) { exit(1) })
        }

        @Test func moveAgainstReclaim() {
            TestMachine.race(
                shape, setup: anonymous,
                .init(0) {
                    let flags = UInt(MREMAP_MAYMOVE | MREMAP_FIXED)
                    _ = ops.do_mremap(PMD_SIZE(), PMD_SIZE(), PMD_SIZE(), flags, 3 * PMD_SIZE() - 2 * PAGE_SIZE)
                },
                .init(0) { _ = ops.shrink_node(0, 0) },
                .init(0) { _ = ops.compact_zone(0, Int32(kernel.hpage_pmd_order)) })
        }

        @Test func shmemLockedByTwo() {
            TestMachine.race(
                shape, defect: VIOLATION_lost_huge_mlock,
                setup: {
                    shmem()
                    fork(1)
                    mlock()
                },
                .init(0) { munlock() },
                .init(1) {
                    _ = load(address(0))
                    mlock()
                },
                .init(0) { ops.lru_add_drain_all() })
        }

        @Test func shmemTruncatedWhileMapped() {
            TestMachine.race(
                shape,
                setup: {
                    shmem()
                    fork(1)
                    mlock()
                },
                .init(0) { _ = ops.do_truncate(kernel.file(0), 3) },
                .init(0) { _ = load(address(2)) },
                .init(1) { store(5, address(6)) })
        }

        @Test func shmemPunchedAndSplit() {
            TestMachine.race(
                shape,
                setup: {
                    shmem()
                    fork(1)
                },
                .init(0) { _ = ops.do_mprotect(address(2), PAGE_SIZE, PROT_READ) },
                .init(1) { _ = ops.do_fallocate_punch(kernel.file(0), 4, 6) },
                .init(1) { for n in 0..<8 { _ = load(address(n)) } })
        }
    }
}
