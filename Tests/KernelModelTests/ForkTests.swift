// SPDX-License-Identifier: GPL-2.0-only
import CKernel
import Simulation
import Testing

@testable import KernelModel

private let base: UInt = 8 * PAGE_SIZE

private func inUse(_ cache: kmem_cache_kind) -> Int {
    Int(kernel.cache(Int(cache.rawValue)).pointee.in_use)
}

private func anonVma(_ process: Int) -> anon_vma {
    kernel.mm_slot(process).pointee!.mmap!.anon_vma!
}

extension KernelModelTests {
    /// fork(), exit() and the anon_vmas that tie what was forked together.
    @Suite struct ForkTests {
        @Test func theChildHasACopy() {
            TestMachine.run {
                map(base, pages: 2)
                store(1, base)
                fork(1)
                store(2, base)
                become(1)
                #expect(load(base) == 1)
                store(3, base)
                become(0)
                #expect(load(base) == 2)
            }
        }

        @Test func locksAreNotInherited() {
            TestMachine.run {
                map(base, pages: 2)
                #expect(ops.do_mlock(base, 2 * PAGE_SIZE, VM_LOCKED) == 0)
                #expect(ops.do_mlockall(UInt(MCL_FUTURE)) == 0)
                fork(1)
                become(1)
                let mm = current.mm!
                #expect(mm.mmap!.vm_flags & VM_LOCKED == 0 && mm.locked_vm == 0 && mm.def_flags == 0)
            }
        }

        @Test func adviceDecidesWhatIsCopied() {
            TestMachine.run {
                map(base, pages: 6)
                for page in 0..<6 { store(page + 1, base + UInt(page) * PAGE_SIZE) }
                #expect(ops.do_madvise(base + PAGE_SIZE, PAGE_SIZE, MADV_DONTFORK) == 0)
                #expect(ops.do_madvise(base + 3 * PAGE_SIZE, PAGE_SIZE, MADV_WIPEONFORK) == 0)
                fork(1)
                become(1)
                #expect(load(base) == 1 && load(base + 2 * PAGE_SIZE) == 3)
                #expect(load(base + PAGE_SIZE) == -Int(EFAULT) && load(base + 3 * PAGE_SIZE) == 0)
                #expect(current.mm!.total_vm == 5)
            }
        }

        @Test func anonVmasFormATree() {
            TestMachine.run {
                map(base, pages: 1)
                store(1, base)
                fork(1)
                let (root, child) = (anonVma(0), anonVma(1))
                #expect(child !== root && child.root === root && child.parent === root)
                // Itself as its parent, its vma, its child.
                #expect(root.degree == 3 && root.refcount == 2)
                become(1)
                fork(2)
                let grandchild = anonVma(2)
                #expect(grandchild.parent === child && grandchild.root === root && root.refcount == 3)
            }
        }

        @Test func anAnonVmaWithoutVmaIsReused() {
            TestMachine.run {
                map(base, pages: 1)
                store(1, base)
                fork(1)
                become(1)
                fork(2)
                let middle = anonVma(1)
                exit(1)
                become(2)
                fork(3)
                // It had no vma left and one child: the next fork takes it.
                #expect(anonVma(3) === middle)
                exit(2)
                become(0)
                exit(3)
                #expect(inUse(CACHE_anon_vma) == 1 && inUse(CACHE_anon_vma_chain) == 1)
            }
        }

        @Test func exitGivesEverythingBack() {
            var shape = MachineShape()
            shape.files = [MachineShape.File(kind: .shmem, size: 8)]
            TestMachine.run(shape) {
                let free = freePages()
                map(base, pages: 6)
                map(base + 8 * PAGE_SIZE, pages: 4, file: kernel.file(0), shared: true)
                for page in 0..<6 { store(page + 1, base + UInt(page) * PAGE_SIZE) }
                for page in 8..<12 { store(page + 1, base + UInt(page) * PAGE_SIZE) }
                #expect(ops.do_mlock(base, 2 * PAGE_SIZE, VM_LOCKED) == 0)
                fork(1)
                exit(0)
                #expect(statistic(NR_MLOCK) == 0)
                become(1)
                exit(1)
                ops.lru_add_drain_all()
                // The file keeps its pages.
                #expect(freePages() == free - 4)
                for cache in 0..<Int(NR_KMEM_CACHES.rawValue) { #expect(kernel.cache(cache).pointee.in_use == 0) }
            }
        }

        @Test func aThreadInTheKernelKeepsTheMmUntilItReturns() {
            TestMachine.boot()
            map(base, pages: 1)
            let mm = current.mm!
            enterKernel(mm)
            do_group_exit()
            #expect(!mm.live && kernel.mm_slot(0).pointee === mm)
            returnToUser()
            #expect(current.mm == nil && kernel.mm_slot(0).pointee == nil)
            #expect(inUse(CACHE_mm_struct) == 0)
        }
    }
}
