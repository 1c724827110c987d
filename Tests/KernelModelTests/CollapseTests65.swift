// SPDX-License-Identifier: GPL-2.0-only
// mm/khugepaged.c of v6.5: huge pages of files made of small ones, and what becomes of page tables meanwhile.

import CKernel
import Simulation
import Testing

@testable import KernelModel

extension KernelModelTests { @Suite struct CollapseTests65 {} }

extension KernelModelTests.CollapseTests65 {
    private func shape(huge: Bool = false) -> MachineShape {
        var shape = MachineShape()
        shape.pages = 64
        shape.files = [.init(kind: .shmem, size: 8, huge: huge), .init(kind: .disk, size: 8)]
        return shape
    }

    private var file: address_space { kernel.file(0) }
    private func at(_ n: Int) -> UInt { PMD_SIZE() + UInt(n) * PAGE_SIZE }
    private var pmd: pmd_t { pmd_offset(current.mm!, PMD_SIZE()).pointee }
    private func collapse(_ address: UInt = PMD_SIZE()) -> Int {
        ops.do_madvise(address, PMD_SIZE(), Int32(MADV_COLLAPSE))
    }

    /// A shared mapping of the file at the first pmd, with these pages written to.
    private func mapFile(writing pages: Range<Int> = 0..<8) {
        map(PMD_SIZE(), pages: 8, file: file, shared: true)
        for n in pages { store(0x100 + n, at(n)) }
    }

    private func run(_ body: @escaping () -> Void) {
        TestMachine.run(shape(), era: .v6_5, body)
    }

    // MARK: One at a time

    @Test func smallPagesBecomeAHugeOne() {
        run {
            self.mapFile()
            #expect(self.collapse() == 0)
            #expect(pmd_trans_huge(self.pmd) && statistic(NR_SHMEM_THPS) == 8 && self.file.nrpages == 8)
            #expect(current.mm!.nr_ptes == 0)
            for n in 0..<8 { #expect(load(self.at(n)) == 0x100 + n) }
            store(7, self.at(3))
            #expect(ops.generic_file_read(self.file, 3) == 7)
        }
    }

    @Test func holesAreFilledWithZeros() {
        run {
            self.mapFile(writing: 2..<4)
            #expect(self.collapse() == 0)
            #expect(self.file.nrpages == 8 && statistic(NR_SHMEM) == 8 && statistic(NR_FILE_PAGES) == 8)
            #expect(load(self.at(0)) == 0 && load(self.at(3)) == 0x103 && load(self.at(7)) == 0)
        }
    }
}
