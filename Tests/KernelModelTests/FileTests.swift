// SPDX-License-Identifier: GPL-2.0-only
import CKernel
import Simulation
import Testing

@testable import KernelModel

extension KernelModelTests { @Suite struct FileTests {} }

/// mm/filemap.c, mm/truncate.c, mm/page-writeback.c, fs/ext4: files on a disk.
extension KernelModelTests.FileTests {
    private func boot(size: Int = 4) -> address_space {
        var shape = MachineShape()
        shape.files = [MachineShape.File(kind: .disk, size: size)]
        TestMachine.boot(shape)
        return kernel.file(0)
    }

    @Test func aReadFillsThePageCache() {
        let file = boot()
        let token = Int(file.disk(1).pointee)
        #expect(ops.generic_file_read(file, 1) == token)
        #expect(file.nrpages == 1 && statistic(NR_FILE_PAGES) == 1)
        file.disk(1).pointee = 1
        #expect(ops.generic_file_read(file, 1) == token)
        #expect(ops.generic_file_read(file, 4) == READ_END_OF_FILE)
    }

    @Test func aWriteReachesTheDiskByWriteback() {
        let file = boot()
        #expect(ops.generic_file_write(file, 2, 0x99) == Int(PAGE_SIZE))
        #expect(ops.generic_file_read(file, 2) == 0x99)
        #expect(file.disk(2).pointee != 0x99 && statistic(NR_FILE_DIRTY) == 1)
        #expect(ops.do_writepages(file) == 0)
        #expect(file.disk(2).pointee == 0x99)
        #expect(statistic(NR_FILE_DIRTY) == 0 && statistic(NR_WRITEBACK) == 0)
    }

    @Test func aWriteBeyondTheEndExtendsTheFile() {
        let file = boot()
        _ = ops.generic_file_write(file, 6, 0x99)
        #expect(file.i_size == 7)
        #expect(ops.generic_file_read(file, 5) == 0)
        #expect(ops.generic_file_write(file, UInt(MAX_FILE_PAGES), 1) == -Int(EFBIG))
    }

    @Test func droppingCachesSparesDirtyPages() {
        let file = boot()
        _ = ops.generic_file_read(file, 0)
        _ = ops.generic_file_write(file, 1, 0x99)
        ops.lru_add_drain()
        #expect(ops.invalidate_mapping_pages(file) == 1)
        #expect(file.nrpages == 1)
        #expect(ops.generic_file_read(file, 1) == 0x99)
    }

    @Test func aPageInABatchIsNotDropped() {
        let file = boot()
        _ = ops.generic_file_read(file, 0)
        #expect(ops.invalidate_mapping_pages(file) == 0)
        #expect(file.nrpages == 1)
    }

    @Test func truncationFreesPagesAndDisk() {
        let file = boot()
        for index: UInt in 0..<4 { _ = ops.generic_file_read(file, index) }
        _ = ops.generic_file_write(file, 3, 0x99)
        #expect(ops.do_truncate(file, 1) == 0)
        #expect(file.nrpages == 1 && statistic(NR_FILE_DIRTY) == 0)
        #expect(ops.generic_file_read(file, 3) == READ_END_OF_FILE)
        #expect(ops.do_truncate(file, 4) == 0)
        #expect(ops.generic_file_read(file, 3) == 0)
        #expect(kernel.violations == 0)
    }

    @Test func aHoleReadsAsZeros() {
        let file = boot()
        let last = Int(file.disk(3).pointee)
        for index: UInt in 0..<4 { _ = ops.generic_file_read(file, index) }
        #expect(ops.do_fallocate_punch(file, 1, 3) == 0)
        #expect(file.nrpages == 2 && file.i_size == 4)
        #expect(ops.generic_file_read(file, 1) == 0)
        #expect(ops.generic_file_read(file, 3) == last)
    }

    @Test func aTruncatedFileLeavesNothingBehind() {
        let file = boot(size: Int(MAX_FILE_PAGES))
        for index in 0..<UInt(MAX_FILE_PAGES) { _ = ops.generic_file_read(file, index) }
        #expect(ops.do_truncate(file, 0) == 0)
        ops.lru_add_drain_all()
        #expect(freePages() == 32 && file.nrpages == 0)
    }
}
