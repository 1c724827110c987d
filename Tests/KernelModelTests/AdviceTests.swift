// SPDX-License-Identifier: GPL-2.0-only
import CKernel
import Simulation
import Testing

@testable import KernelModel

private let base: UInt = 8 * PAGE_SIZE

private func advise(_ advice: Int32, _ page: UInt = 0, _ pages: UInt = 1) -> Int {
    ops.do_madvise(base + page * PAGE_SIZE, pages * PAGE_SIZE, advice)
}

private func pte(_ page: UInt) -> pte_t {
    let address = base + page * PAGE_SIZE
    return pte_offset_map(pmd_offset(current.mm!, address), address).pointee
}

private var oneFile: MachineShape {
    var shape = MachineShape()
    shape.files = [.init(kind: .shmem, size: 8)]
    return shape
}

extension KernelModelTests {
    /// mm/madvise.c, mm/mprotect.c.
    @Suite struct AdviceTests {
        @Test func dontNeedReadsAsZerosAfterwards() {
            TestMachine.run {
                map(base, pages: 3)
                for page in 0..<3 { store(page + 1, base + UInt(page) * PAGE_SIZE) }
                #expect(advise(MADV_DONTNEED, 1) == 0)
                #expect(load(base) == 1 && load(base + PAGE_SIZE) == 0 && load(base + 2 * PAGE_SIZE) == 3)
            }
        }

        @Test func holesAreReportedInTheEnd() {
            TestMachine.run {
                map(base, pages: 1)
                map(base + 2 * PAGE_SIZE, pages: 1)
                store(1, base + 2 * PAGE_SIZE)
                #expect(advise(MADV_DONTNEED, 0, 3) == -Int(ENOMEM))
                #expect(load(base + 2 * PAGE_SIZE) == 0)
                #expect(advise(MADV_DONTNEED, 1, 1) == -Int(ENOMEM))
            }
        }

        @Test func lockedPagesAreLeftAlone() {
            TestMachine.run {
                map(base, pages: 1)
                #expect(ops.do_mlock(base, PAGE_SIZE, VM_LOCKED) == 0)
                for advice in [MADV_DONTNEED, MADV_FREE, MADV_COLD, MADV_PAGEOUT] {
                    #expect(advise(advice) == -Int(EINVAL))
                }
            }
        }

        @Test func freeClearsTheDirtyBitAndAStoreSetsItAgain() {
            TestMachine.run {
                map(base, pages: 1)
                store(1, base)
                #expect(pte_dirty(pte(0)))
                let page = pte_page(pte(0))
                #expect(advise(MADV_FREE) == 0)
                ops.lru_add_drain()
                #expect(!pte_dirty(pte(0)) && !pte_young(pte(0)) && !PageSwapBacked(page))
                store(2, base)
                #expect(pte_dirty(pte(0)) && load(base) == 2)
            }
        }

        @Test func pageoutWritesToSwapAndWillneedReadsItIn() {
            TestMachine.run {
                map(base, pages: 2)
                store(1, base)
                store(2, base + PAGE_SIZE)
                ops.lru_add_drain()
                #expect(advise(MADV_PAGEOUT, 0, 2) == 0)
                #expect(is_swap_pte(pte(0)) && is_swap_pte(pte(1)))
                let entry = pte_to_swp_entry(pte(0))
                #expect(advise(MADV_WILLNEED, 0, 2) == 0)
                let cached = ops.lookup_swap_cache(entry)
                #expect(cached != nil)
                if let cached { ops.put_page(cached) }
                #expect(load(base) == 1 && load(base + PAGE_SIZE) == 2)
            }
        }

        @Test func coldPagesAreDeactivated() {
            TestMachine.run {
                map(base, pages: 1)
                store(1, base)
                ops.lru_add_drain()
                let page = pte_page(pte(0))
                ops.activate_page(page)
                ops.lru_add_drain()
                #expect(PageActive(page))
                #expect(advise(MADV_COLD) == 0)
                ops.lru_add_drain()
                #expect(!PageActive(page) && !pte_young(pte(0)))
            }
        }

        @Test func removePunchesAHole() {
            TestMachine.run(oneFile) {
                map(base, pages: 3, file: kernel.file(0), shared: true)
                for page in 0..<3 { store(page + 1, base + UInt(page) * PAGE_SIZE) }
                #expect(advise(MADV_REMOVE, 1) == 0)
                #expect(kernel.file(0).nrpages == 2)
                #expect(load(base + PAGE_SIZE) == 0 && load(base) == 1)
                map(base + 4 * PAGE_SIZE, pages: 1)
                #expect(advise(MADV_REMOVE, 4) == -Int(EINVAL))
            }
        }

        @Test func adviceThatIsAFlagSplitsAndMerges() {
            TestMachine.run {
                map(base, pages: 4)
                #expect(advise(MADV_DONTFORK, 1, 2) == 0)
                #expect(current.mm!.map_count == 3)
                #expect(advise(MADV_DOFORK, 0, 4) == 0)
                #expect(current.mm!.map_count == 1)
                #expect(advise(MADV_HUGEPAGE, 0, 4) == 0)
                #expect(current.mm!.mmap!.vm_flags & VM_HUGEPAGE != 0)
                #expect(advise(MADV_NOHUGEPAGE, 0, 4) == 0)
                #expect(current.mm!.mmap!.vm_flags & (VM_HUGEPAGE | VM_NOHUGEPAGE) == VM_NOHUGEPAGE)
                #expect(advise(7) == -Int(EINVAL))
            }
        }

        @Test func mprotectTakesEffectAtOnce() {
            TestMachine.run {
                map(base, pages: 2)
                store(1, base)
                #expect(ops.do_mprotect(base, PAGE_SIZE, PROT_READ) == 0)
                #expect(!store(2, base) && load(base) == 1)
                #expect(ops.do_mprotect(base, 2 * PAGE_SIZE, PROT_NONE) == 0)
                #expect(load(base) == -Int(EFAULT))
                #expect(ops.do_mprotect(base, 2 * PAGE_SIZE, PROT_READ | PROT_WRITE) == 0)
                #expect(load(base) == 1 && store(3, base))
                #expect(ops.do_mprotect(base, 3 * PAGE_SIZE, PROT_READ) == -Int(ENOMEM))
            }
        }

        @Test func aLockedMappingThatBecomesWritableIsCopiedAtOnce() {
            TestMachine.run {
                map(base, pages: 1)
                store(1, base)
                fork(1)
                #expect(ops.do_mprotect(base, PAGE_SIZE, PROT_READ) == 0)
                #expect(ops.do_mlock(base, PAGE_SIZE, VM_LOCKED) == 0)
                let shared = pte_page(pte(0))
                #expect(ops.do_mprotect(base, PAGE_SIZE, PROT_READ | PROT_WRITE) == 0)
                #expect(pte_page(pte(0)) !== shared && pte_write(pte(0)))
            }
        }

        @Test func msyncRefusesLockedAndUnmappedMemory() {
            TestMachine.run(oneFile) {
                map(base, pages: 2, file: kernel.file(0), shared: true)
                #expect(ops.do_msync(base, 2 * PAGE_SIZE, MS_SYNC) == 0)
                #expect(ops.do_msync(base, 3 * PAGE_SIZE, MS_SYNC) == -Int(ENOMEM))
                #expect(ops.do_msync(base, PAGE_SIZE, MS_SYNC | MS_ASYNC) == -Int(EINVAL))
                #expect(ops.do_mlock(base, PAGE_SIZE, VM_LOCKED) == 0)
                #expect(ops.do_msync(base, PAGE_SIZE, MS_INVALIDATE) == -Int(EBUSY))
            }
        }
    }
}
