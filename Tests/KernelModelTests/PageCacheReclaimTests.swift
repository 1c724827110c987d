// SPDX-License-Identifier: GPL-2.0-only
import CKernel
import Simulation
import Testing

@testable import KernelModel

extension KernelModelTests {
    /// Reclaim and migration of pages that a file's page cache holds and nobody maps.
    @Suite struct PageCacheReclaimTests {
        private func boot(_ kind: MachineShape.File.Kind, nodes: Int = 1) -> address_space {
            var shape = MachineShape()
            shape.nodes = nodes
            shape.files = [MachineShape.File(kind: kind, size: 4)]
            TestMachine.boot(shape)
            return kernel.file(0)
        }

        private func cachedPage(_ file: address_space, _ index: Int) -> page {
            entry_to_page(file.slot(index).pointee)!
        }

        @Test func kswapdFreesCleanPages() {
            let file = boot(.disk)
            let free = freePages()
            for index in 0..<4 { _ = ops.generic_file_read(file, UInt(index)) }
            #expect(file.nrpages == 4)
            #expect(balance_pgdat(0) == 4)
            #expect(file.nrpages == 0)
            #expect(freePages() == free)
            #expect(kernel.violations == 0)
        }

        @Test func kswapdWritesADirtyPageTheSecondTime() {
            let file = boot(.disk)
            _ = ops.generic_file_write(file, 1, 77)
            #expect(balance_pgdat(0) == 0)
            #expect(PageReclaim(cachedPage(file, 1)))
            ops.deactivate_page(cachedPage(file, 1))
            _ = balance_pgdat(0)
            #expect(file.disk(1).pointee == 77)
        }

        @Test func shmemGoesToSwapAndComesBack() {
            let file = boot(.shmem)
            _ = ops.generic_file_write(file, 2, 99)
            var passes = 0
            while file.nrpages > 0 && passes < 4 {
                _ = balance_pgdat(0)
                passes += 1
            }
            #expect(file.nrpages == 0)
            #expect(xa_is_value(file.slot(2).pointee))
            #expect(ops.generic_file_read(file, 2) == 99)
            #expect(kernel.violations == 0)
        }

        @Test func aPinnedPageIsKept() {
            let file = boot(.disk)
            _ = ops.generic_file_read(file, 0)
            let page = ops.find_get_page(file, 0)!
            #expect(balance_pgdat(0) == 0)
            #expect(cachedPage(file, 0) === page)
            ops.put_page(page)
            for _ in 0..<3 { _ = balance_pgdat(0) }
            #expect(file.nrpages == 0)
        }

        @Test func compactionMovesPagesAndWhatTheyHold() {
            let file = boot(.disk)
            let contents = (0..<4).map { ops.generic_file_read(file, UInt($0)) }
            let before = (0..<4).map { page_to_pfn(cachedPage(file, $0)) }
            #expect(ops.compact_zone(0, -1) == 0)
            let after = (0..<4).map { page_to_pfn(cachedPage(file, $0)) }
            #expect(zip(before, after).allSatisfy { $0 != $1 })
            #expect(events(PGMIGRATE_SUCCESS) == 4)
            ops.lru_add_drain()
            #expect((0..<4).map { ops.generic_file_read(file, UInt($0)) } == contents)
            ops.lru_add_drain()
            #expect(pages(on: LRU_INACTIVE_FILE) + pages(on: LRU_ACTIVE_FILE) == 4)
            #expect(statistic(NR_ISOLATED_FILE) == 0)
            checkInvariantsAtRest()
            #expect(kernel.violations == 0)
        }

        @Test func aPageWithAnExtraReferenceStaysWhereItIs() {
            let file = boot(.disk)
            _ = ops.generic_file_read(file, 0)
            ops.lru_add_drain()
            let page = ops.find_get_page(file, 0)!
            let list = LIST_HEAD()
            defer { leaveFrame(list) }
            #expect(ops.isolate_lru_page(page) == 0)
            list_add(page.lru, list)
            mod_isolated_state(page, 1)
            #expect(ops.migrate_pages(list, 0, MIGRATE_SYNC, MR_SYSCALL) == 1)
            #expect(!list_empty(list))
            ops.putback_movable_pages(list)
            ops.put_page(page)
            ops.lru_add_drain()
            #expect(cachedPage(file, 0) === page && page_count(page) == 1)
            #expect(statistic(NR_ISOLATED_FILE) == 0)
        }
    }
}
