// SPDX-License-Identifier: GPL-2.0-only
import CKernel
import Simulation
import Testing

@testable import KernelModel

extension KernelModelTests { @Suite struct ShmemTests {} }

/// mm/shmem.c.
extension KernelModelTests.ShmemTests {
    private func boot(size: Int = 4, huge: Bool = false) -> address_space {
        var shape = MachineShape()
        shape.files = [MachineShape.File(kind: .shmem, size: size, huge: huge)]
        TestMachine.boot(shape)
        return kernel.file(0)
    }

    /// Writes the page at `index` to swap, as reclaim does.
    private func swapOut(_ file: address_space, _ index: UInt) {
        ops.lru_add_drain()
        let page = ops.find_lock_page(file, index)!
        #expect(ops.isolate_lru_page(page) == 0)
        #expect(ops.clear_page_dirty_for_io(page))
        #expect(ops.shmem_writepage(page) == 0)
        lock_page(page)
        if PageSwapCache(page) { #expect(ops.remove_mapping(nil, page) == 0) }
        unlock_page(page)
        ops.putback_lru_page(page)
        ops.put_page(page)
    }

    @Test func aHoleReadsAsZerosAndStaysAHole() {
        let file = boot()
        #expect(ops.generic_file_read(file, 1) == 0)
        #expect(file.nrpages == 0)
        #expect(ops.generic_file_read(file, 4) == READ_END_OF_FILE)
    }

    @Test func whatIsWrittenIsRead() {
        let file = boot()
        #expect(ops.generic_file_write(file, 1, 0x55) == Int(PAGE_SIZE))
        #expect(ops.generic_file_read(file, 1) == 0x55)
        #expect(statistic(NR_SHMEM) == 1)
        #expect(ops.do_writepages(file) == 0)
    }

    @Test func aHugeFileTakesHugePages() {
        let file = boot(size: 8, huge: true)
        #expect(ops.generic_file_write(file, 3, 0x55) == Int(PAGE_SIZE))
        #expect(file.nrpages == HPAGE_PMD_NR() && statistic(NR_SHMEM_THPS) == Int(HPAGE_PMD_NR()))
        #expect(ops.generic_file_read(file, 3) == 0x55)
        #expect(ops.generic_file_read(file, 2) == 0)
        #expect(ops.do_truncate(file, 0) == 0)
        ops.lru_add_drain_all()
        #expect(freePages() == 32 && kernel.violations == 0)
    }

    @Test func aHoleInAHugePageSplitsIt() {
        let file = boot(size: 8, huge: true)
        for index: UInt in 0..<8 { _ = ops.generic_file_write(file, index, UInt64(0x50 + index)) }
        ops.lru_add_drain()
        #expect(ops.do_fallocate_punch(file, 2, 4) == 0)
        #expect(file.nrpages == 6)
        #expect(ops.generic_file_read(file, 2) == 0)
        #expect(ops.generic_file_read(file, 1) == 0x51 && ops.generic_file_read(file, 4) == 0x54)
        #expect(kernel.violations == 0)
    }

    @Test func aPageGoesToSwapAndComesBack() {
        let file = boot()
        _ = ops.generic_file_write(file, 1, 0x55)
        swapOut(file, 1)
        #expect(xa_is_value(file.slot(1).pointee) && file.nrpages == 0 && file.nr_swapped == 1)
        #expect(ops.generic_file_read(file, 1) == 0x55)
        #expect(file.nrpages == 1 && file.nr_swapped == 0)
        #expect(kernel.swap_info.users(1).pointee == 0)
        #expect(kernel.violations == 0)
    }

    @Test func truncationFreesSwapEntries() {
        let file = boot()
        _ = ops.generic_file_write(file, 1, 0x55)
        swapOut(file, 1)
        #expect(ops.do_truncate(file, 0) == 0)
        ops.lru_add_drain_all()
        #expect(kernel.swap_info.users(1).pointee == 0)
        #expect(freePages() == 32 && file.nr_swapped == 0)
        #expect(kernel.violations == 0)
    }

    @Test func lockedMemoryIsNotWrittenAndIsUnevictable() {
        let file = boot()
        _ = ops.generic_file_write(file, 1, 0x55)
        ops.shmem_lock(file, true)
        ops.lru_add_drain()
        #expect(pages(on: LRU_UNEVICTABLE) == 1)
        let page = ops.find_lock_page(file, 1)!
        #expect(ops.shmem_writepage(page) == AOP_WRITEPAGE_ACTIVATE)
        unlock_page(page)
        ops.put_page(page)
        ops.shmem_lock(file, false)
        ops.shmem_unlock_mapping(file)
        #expect(pages(on: LRU_UNEVICTABLE) == 0)
    }
}
