// SPDX-License-Identifier: GPL-2.0-only
import CKernel
import Simulation
import Testing

@testable import KernelModel

private func address(_ n: Int) -> UInt { PMD_SIZE() + UInt(n) * PAGE_SIZE }

private func shape(_ kind: MachineShape.File.Kind, huge: Bool = false) -> MachineShape {
    var shape = MachineShape()
    shape.files = [.init(kind: kind, size: 8, huge: huge)]
    return shape
}

private var file: address_space { kernel.file(0) }

/// Maps the file shared in process 0 and a copy of it, and fills it by stores.
private func mapAndFill() {
    map(address(0), pages: 8, file: file, shared: true)
    for n in 0..<8 { store(100 + n, address(n)) }
    fork(1)
    ops.lru_add_drain_all()
}

/// Reclaims what can be had of the node.
private func reclaim() {
    _ = balance_pgdat(0)
}

extension KernelModelTests {
    /// Truncation, holes and writeback while others use the file.
    @Suite struct FileRaceTests {
        @Test(arguments: [MachineShape.File.Kind.disk, .shmem]) func truncation(_ kind: MachineShape.File.Kind) {
            TestMachine.race(
                shape(kind), setup: mapAndFill,
                .init(0) {
                    _ = ops.do_truncate(file, 2)
                    // Nothing that was truncated comes back.
                    for n in 2..<8 { #expect(load(address(n)) == -Int(EFAULT)) }
                },
                .init(1) { for n in 0..<4 { _ = load(address(n)) } },
                .init(1) { store(1, address(3)) })
        }

        @Test(arguments: [MachineShape.File.Kind.disk, .shmem]) func holes(_ kind: MachineShape.File.Kind) {
            TestMachine.race(
                shape(kind), setup: mapAndFill,
                .init(0) { _ = ops.do_fallocate_punch(file, 1, 7) },
                .init(1) {
                    let token = load(address(2))
                    #expect(token == 0 || token == 102)
                    #expect(load(address(7)) == 107)
                },
                .init(1) { _ = ops.generic_file_write(file, 3, 1) })
        }

        @Test func holesInHugePages() {
            TestMachine.race(
                shape(.shmem, huge: true), setup: mapAndFill,
                .init(0) { _ = ops.do_fallocate_punch(file, 2, 4) },
                .init(1) {
                    #expect(load(address(1)) == 101)
                    let token = load(address(2))
                    #expect(token == 0 || token == 102)
                },
                .init(1) { #expect(ops.generic_file_read(file, 5) == 105) })
        }

        @Test func writebackLosesNoStore() {
            TestMachine.race(
                shape(.disk), setup: mapAndFill,
                .init(0) {
                    store(1, address(0))
                    _ = ops.do_writepages(file)
                },
                .init(1) {
                    store(2, address(1))
                    _ = ops.do_writepages(file)
                    #expect(file.disk(1).pointee == 2)
                },
                .init(1) { _ = ops.do_writepages(file) })
        }

        @Test func writebackAgainstTruncation() {
            TestMachine.race(
                shape(.disk), setup: mapAndFill,
                .init(0) { _ = ops.do_writepages(file) },
                .init(1) { _ = ops.do_truncate(file, 3) },
                .init(1) {
                    _ = ops.generic_file_write(file, 5, 1)
                    _ = ops.generic_file_read(file, 5)
                })
        }

        @Test func twoReadersOfOnePage() {
            TestMachine.race(
                shape(.disk), setup: {},
                .init(0) { #expect(ops.generic_file_read(file, 1) == Int(file.disk(1).pointee)) },
                .init(0) { #expect(ops.generic_file_read(file, 1) == Int(file.disk(1).pointee)) },
                .init(0) { _ = ops.invalidate_mapping_pages(file) })
        }

        @Test func truncationWithoutUnmapping() {
            TestMachine.raceOfMutant(
                {
                    $0.unmap_mapping_pages = { _, _, _, _ in }
                    $0.unmap_mapping_page = { _ in }
                },
                breaks: VIOLATION_bug_on, shape(.disk), setup: mapAndFill,
                .init(0) { _ = ops.do_truncate(file, 0) })
        }

        @Test func writebackWithoutWriteProtection() {
            TestMachine.raceOfMutant(
                { $0.page_mkclean = { _ in 0 } }, breaks: VIOLATION_user_data, shape(.disk), setup: mapAndFill,
                .init(0) {
                    _ = ops.do_writepages(file)
                    store(1, address(0))
                    _ = ops.do_writepages(file)
                    // The store was not noticed.
                    if file.disk(0).pointee != 1 { reportViolation(VIOLATION_user_data, 0, 0) }
                })
        }
    }

    /// The swap cache while several tasks bring in, write out and give up its pages.
    @Suite struct SwapRaceTests {
        private func mapAnonymous() {
            map(address(0), pages: 4)
            for n in 0..<4 { store(100 + n, address(n)) }
            fork(1)
            ops.lru_add_drain_all()
        }

        @Test func reclaimLosesNothing() {
            TestMachine.race(
                setup: mapAnonymous,
                .init(0) { reclaim() },
                .init(0) { for n in 0..<4 { #expect(load(address(n)) == 100 + n) } },
                .init(1) {
                    store(1, address(1))
                    #expect(load(address(1)) == 1)
                })
        }

        @Test func twoTasksBringInOnePage() {
            TestMachine.race(
                setup: {
                    mapAnonymous()
                    reclaim()
                    reclaim()
                },
                .init(0) { #expect(load(address(2)) == 102) },
                .init(1) { #expect([2, 102].contains(load(address(2)))) },
                .init(1) { store(2, address(2)) })
        }

        @Test func exitAgainstReclaim() {
            TestMachine.race(
                setup: mapAnonymous,
                .init(0) { reclaim() },
                .init(1) { _ = ops.do_munmap(current.mm!, address(0), 4 * PAGE_SIZE) },
                .init(0) { for n in 0..<4 { #expect(load(address(n)) == 100 + n) } })
        }

        @Test(arguments: [false, true]) func shmemGoesOutAndComesBack(huge: Bool) {
            TestMachine.race(
                shape(.shmem, huge: huge), setup: mapAndFill,
                .init(0) { reclaim() },
                .init(1) { for n in 0..<8 { #expect(load(address(n)) == 100 + n) } },
                .init(0) { #expect(ops.generic_file_read(file, 6) == 106) })
        }

        @Test func truncationAgainstSwap() {
            TestMachine.race(
                shape(.shmem), setup: mapAndFill,
                .init(0) { reclaim() },
                .init(1) { _ = ops.do_truncate(file, 0) },
                .init(0) { for n in 0..<8 { _ = load(address(n)) } })
        }
    }
}
