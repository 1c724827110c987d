// SPDX-License-Identifier: GPL-2.0-only
import CKernel
import Simulation
import Testing

@testable import KernelModel

private let base: UInt = 8 * PAGE_SIZE

/// The page that process `number` has mapped at `address`.
private func mapped(_ address: UInt, _ number: Int = 0) -> page {
    pte_page(pte_offset_map(pmd_offset(kernel.mm_slot(number).pointee!, address), address).pointee)
}

private func mlock(_ pages: UInt = 1) { #expect(ops.do_mlock(base, pages * PAGE_SIZE, VM_LOCKED) == 0) }
private func munlock(_ pages: UInt = 1) { #expect(ops.do_munlock(base, pages * PAGE_SIZE) == 0) }

/// What waits in the batch of this CPU.
private var waiting: UInt32 { pagevec_count(this_cpu.mlock_pvec) }

private func mapShared(_ file: Int, pages: Int = 1) {
    map(base, pages: pages, file: kernel.file(file), shared: true)
}

private let oneFile: MachineShape = {
    var shape = MachineShape()
    shape.files = [MachineShape.File(kind: .shmem, size: 4)]
    return shape
}()

extension KernelModelTests {
    /// mlock by counts and batches, from v5.18-rc1 on.
    @Suite struct MlockBatchTests {
        @Test func newPageOfALockedVMAGoesByTheBatch() {
            TestMachine.run(era: .v5_18_rc1) {
                #expect(ops.do_mlockall(UInt(MCL_FUTURE)) == 0)
                #expect(ops.vm_mmap_pgoff(nil, base, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE, 0) == Int(base))
                // MCL_FUTURE populates.
                let page = mapped(base)
                #expect(PageMlocked(page) && PageUnevictable(page) && PageLRU(page))
                #expect(page.mlock_count == 1 && waiting == 0 && statistic(NR_MLOCK) == 1)
            }
        }
    }
}
