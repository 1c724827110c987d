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
}

private func setup() {
    mapAnonymous()
    _ = perform(.write, Int(base))
    _ = perform(.sva_bind_device)
    _ = perform(.sva_write, 0, Int(base))
}

private func pte() -> pte_t { pte_offset_map(pmd_offset(current.mm!, base), base).pointee }
private var svm: intel_svm { current.mm!.intel_svm! }

extension KernelModelTests {
    /// A device behind an IOMMU that walks the CPU's page tables.
    @Suite struct SharedVirtualAddressingTests {
        @Test func theDeviceUsesTheProcessesPageTables() {
            TestMachine.run(era: .v6_5) {
                mapAnonymous()
                #expect(perform(.sva_read, 0, Int(base)) == -Int(ESRCH))
                #expect(perform(.sva_bind_device) == 0)
                #expect(perform(.sva_read, 0, Int(base)) == 0)
                #expect(pte_young(pte()))
                let written = perform(.sva_write, 0, Int(base))
                #expect(pte_dirty(pte()) && load(base) == written)
                #expect(svm.table(1).pointee === pmd_page_table(pmd_offset(current.mm!, base).pointee))
                #expect(perform(.munmap, Int(base), length) == 0)
                #expect(svm.table(1).pointee == nil)
                #expect(perform(.sva_read, 0, Int(base)) == -Int(EFAULT))
            }
        }

        @Test func theDeviceWritesNothingThatIsReadOnly() {
            TestMachine.run(era: .v6_5) {
                setup()
                #expect(perform(.mprotect, Int(base), length, Int(PROT_READ)) == 0)
                #expect(perform(.sva_write, 0, Int(base)) == -Int(EFAULT))
                #expect(perform(.sva_read, 0, Int(base)) == load(base))
            }
        }

        @Test func theDeviceSeesCopiesOnWrite() {
            TestMachine.run(era: .v6_5) {
                setup()
                fork(1)
                let stored = perform(.write, Int(base))
                #expect(perform(.sva_read, 0, Int(base)) == stored)
                let written = perform(.sva_write, 0, Int(base))
                #expect(load(base) == written)
                exit(1)
            }
        }

        @Test func aHugePageIsWalkedToo() {
            TestMachine.run(era: .v6_5) {
                let (start, size) = (Int(PMD_SIZE()), Int(PMD_SIZE()))
                let flags = Int(MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS)
                #expect(perform(.mmap, start, size, readWrite, flags, 0, 0) == start)
                #expect(perform(.madvise, start, size, Int(MADV_HUGEPAGE)) == 0)
                #expect(perform(.sva_bind_device) == 0)
                let written = perform(.sva_write, 0, start + Int(PAGE_SIZE))
                let pmd = pmd_offset(current.mm!, PMD_SIZE()).pointee
                #expect(pmd_trans_huge(pmd) && pmd_dirty(pmd) && load(PMD_SIZE() + PAGE_SIZE) == written)
                #expect(perform(.munmap, start + Int(PAGE_SIZE), Int(PAGE_SIZE)) == 0)
                #expect(perform(.sva_read, 0, start + Int(PAGE_SIZE)) == -Int(EFAULT))
            }
        }

        @Test func theEndOfTheProcessCutsTheDeviceOff() {
            TestMachine.race(
                era: .v6_5,
                setup: {
                    mapAnonymous()
                    fork(1)
                    become(1)
                    _ = perform(.sva_bind_device)
                    _ = perform(.sva_write, 1, Int(base))
                    become(0)
                }, .init(1) { exit(1) },
                .init(0) {
                    for _ in 0..<4 { _ = perform(.sva_write, 1, Int(base)) }
                })
        }

        private func work() {
            for _ in 0..<3 {
                _ = perform(.sva_write, 0, Int(base))
                _ = perform(.sva_read, 0, Int(base) + Int(PAGE_SIZE))
            }
        }

        private func change() {
            _ = perform(.fork, 1)
            _ = perform(.write, Int(base))
            _ = perform(.madvise, Int(base), length, Int(MADV_PAGEOUT))
            _ = perform(.mprotect, Int(base), length, Int(PROT_READ))
            _ = perform(.mprotect, Int(base), length, readWrite)
            _ = perform(.madvise, Int(base), length, Int(MADV_DONTNEED))
            _ = perform(.mremap, Int(base), length, length, 3, Int(base + 4 * PAGE_SIZE))
            _ = perform(.munmap, Int(base + 4 * PAGE_SIZE), length)
            mapAnonymous()
        }

        @Test(arguments: [Era.v5_18_rc1, .v6_5]) func theDeviceAgainstEverything(era: Era) {
            TestMachine.race(era: era, setup: setup, .init(0, work), .init(0, change))
        }

        @Test func migrationTakesTheDeviceAlong() {
            var shape = MachineShape()
            shape.nodes = 2
            TestMachine.race(
                shape, era: .v6_5, setup: setup, .init(0, work),
                .init(0) {
                    _ = perform(.move_pages, Int(base), length, 1, Int(MPOL_MF_MOVE))
                    _ = perform(.move_pages, Int(base), length, 0, Int(MPOL_MF_MOVE))
                })
        }

        private var shapeWithFile: MachineShape {
            var shape = MachineShape()
            shape.pages = 64
            shape.files = [.init(kind: .shmem, size: 8)]
            return shape
        }

        private func mapFile() {
            map(PMD_SIZE(), pages: 8, file: kernel.file(0), shared: true)
            store(7, PMD_SIZE())
            ops.lru_add_drain_all()
            _ = perform(.sva_bind_device)
        }

        private func collapse() { _ = ops.do_madvise(PMD_SIZE(), PMD_SIZE(), Int32(MADV_COLLAPSE)) }

        private func read() {
            for page in 0..<3 { _ = perform(.sva_read, 0, Int(PMD_SIZE()) + page * Int(PAGE_SIZE)) }
        }

        @Test func aHugePageTakesThePlaceOfAPageTable() {
            TestMachine.race(shapeWithFile, era: .v6_5, setup: mapFile, .init(0, collapse), .init(0, read))
        }

        // MARK: Mutants: one call less each

        @Test func aPageTableThatMakesWayWithoutACall() {
            TestMachine.raceOfMutant(
                { table in
                    table.mmu_notifier_invalidate_range_end = { ops.mmu_notifier_invalidate_range_only_end($0) }
                }, breaks: VIOLATION_freed_reachable, shapeWithFile, era: .v6_5, setup: mapFile,
                .init(0, collapse), .init(0, read))
        }

        @Test func aPageTableThatIsFreedWithoutACall() {
            TestMachine.raceOfMutant(
                { $0.mmu_notifier_invalidate_range = { _, _, _ in } }, breaks: VIOLATION_freed_reachable, era: .v6_5,
                setup: setup, .init(0) { _ = perform(.munmap, Int(base), length) }, .init(0, work))
        }

        @Test func aCopyOnWriteWithoutACall() {
            TestMachine.raceOfMutant(
                { $0.mmu_notifier_invalidate_range = { _, _, _ in } }, breaks: VIOLATION_user_data, era: .v6_5,
                setup: {
                    setup()
                    fork(1)
                },
                .init(0) {
                    _ = perform(.write, Int(base))
                    _ = perform(.sva_read, 0, Int(base))
                }, .init(0) { _ = perform(.sva_read, 0, Int(base)) })
        }

        @Test func aWriteProtectionWithoutACall() {
            TestMachine.raceOfMutant(
                { table in
                    table.mmu_notifier_invalidate_range_end = { ops.mmu_notifier_invalidate_range_only_end($0) }
                }, breaks: VIOLATION_stale_translation, era: .v6_5, setup: setup,
                .init(0) { _ = perform(.mprotect, Int(base), length, Int(PROT_READ)) }, .init(0) {})
        }

        @Test func aDeviceThatIsNotCutOff() {
            TestMachine.raceOfMutant(
                { $0.mmu_notifier_release = { $0.intel_svm = nil } }, breaks: VIOLATION_freed_reachable, era: .v6_5,
                seeds: 1..<3000,
                setup: {
                    mapAnonymous()
                    fork(1)
                    become(1)
                    _ = perform(.sva_bind_device)
                    _ = perform(.sva_write, 1, Int(base))
                    become(0)
                }, .init(1) { exit(1) }, .init(0) { _ = perform(.sva_write, 1, Int(base)) })
        }
    }
}
