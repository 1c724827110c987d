// SPDX-License-Identifier: GPL-2.0-only
import CKernel
import Simulation
import Testing

@testable import KernelModel

private let base: UInt = 8 * PAGE_SIZE

/// The borders of the current mm's vmas, in pages, as `8-12 16-20`.
private func vmas() -> String {
    var text: [String] = []
    var next = current.mm!.mmap
    while let vma = next {
        text.append("\(vma.vm_start / PAGE_SIZE)-\(vma.vm_end / PAGE_SIZE)")
        next = vma.vm_next
    }
    return text.joined(separator: " ")
}

private func vma(at page: UInt) -> vm_area_struct {
    ops.find_vma(current.mm!, page * PAGE_SIZE)!
}

private func protect(_ page: UInt, _ pages: UInt, _ prot: UInt) -> Int {
    ops.do_mprotect(page * PAGE_SIZE, pages * PAGE_SIZE, prot)
}

private func unmap(_ page: UInt, _ pages: UInt) -> Int {
    ops.__vm_munmap(page * PAGE_SIZE, pages * PAGE_SIZE, true)
}

private func count(_ head: list_head) -> Int {
    var (node, count) = (head.next, 0)
    while node !== head { (node, count) = (node.next, count + 1) }
    return count
}

private func inUse(_ cache: kmem_cache_kind) -> Int {
    Int(kernel.cache(Int(cache.rawValue)).pointee.in_use)
}

private var oneFile: MachineShape {
    var shape = MachineShape()
    shape.files = [MachineShape.File(kind: .shmem, size: 16)]
    return shape
}

extension KernelModelTests {
    /// mm/mmap.c: which vmas there are.
    @Suite struct MergeTests {
        @Test func neighboursMerge() {
            TestMachine.run {
                map(base, pages: 2)
                map(base + 4 * PAGE_SIZE, pages: 2)
                #expect(vmas() == "8-10 12-14")
                // Case 1: the gap is filled.
                map(base + 2 * PAGE_SIZE, pages: 2)
                #expect(vmas() == "8-14")
                #expect(current.mm!.map_count == 1 && current.mm!.total_vm == 6)
            }
        }

        @Test func mprotectSplitsAndMergesAgain() {
            TestMachine.run {
                map(base, pages: 6)
                #expect(protect(10, 2, PROT_READ) == 0)
                #expect(vmas() == "8-10 10-12 12-14")
                // Case 6: the middle goes, and the one behind it.
                #expect(protect(10, 2, PROT_READ | PROT_WRITE) == 0)
                #expect(vmas() == "8-14")
                #expect(inUse(CACHE_vm_area_struct) == 1)
            }
        }

        @Test func mprotectMovesABorder() {
            TestMachine.run {
                map(base, pages: 6)
                #expect(protect(11, 3, PROT_READ) == 0)
                // Case 5, up.
                #expect(protect(11, 1, PROT_READ | PROT_WRITE) == 0)
                #expect(vmas() == "8-12 12-14")
                // Case 4, down.
                #expect(protect(10, 2, PROT_READ) == 0)
                #expect(vmas() == "8-10 10-14")
                #expect(vma(at: 10).vm_pgoff == 10)
                // Case 8: the lower one goes.
                #expect(protect(8, 2, PROT_READ) == 0)
                #expect(vmas() == "8-14")
                // Case 7 after a split at the other end.
                #expect(protect(12, 2, PROT_READ | PROT_WRITE) == 0)
                #expect(protect(12, 2, PROT_READ) == 0)
                #expect(vmas() == "8-14")
            }
        }

        @Test func anUnfaultedVMADoesNotGrowOverAFaultedOne() {
            TestMachine.run {
                map(base, pages: 4)
                #expect(protect(8, 2, PROT_READ) == 0)
                #expect(store(1, base + 2 * PAGE_SIZE))
                #expect(vma(at: 8).anon_vma == nil)
                // Its empty chain is not singular: is_mergeable_anon_vma() of this time says no.
                #expect(protect(10, 1, PROT_READ) == 0)
                #expect(vmas() == "8-10 10-11 11-12")
                // The other way round it is allowed.
                #expect(protect(8, 2, PROT_READ | PROT_WRITE) == 0)
                #expect(protect(10, 1, PROT_READ | PROT_WRITE) == 0)
                #expect(vmas() == "8-10 10-12")
                #expect(load(base + 2 * PAGE_SIZE) == 1)
            }
        }

        @Test func neighboursShareAnAnonVma() {
            TestMachine.run {
                map(base, pages: 2)
                map(base + 2 * PAGE_SIZE, pages: 2, prot: PROT_READ)
                #expect(store(1, base))
                // Access flags may differ: the next fault takes the neighbour's, so that they can merge later.
                #expect(ops.anon_vma_prepare(vma(at: 10)) == 0)
                #expect(vma(at: 10).anon_vma === vma(at: 8).anon_vma)
                #expect(protect(10, 2, PROT_READ | PROT_WRITE) == 0)
                #expect(vmas() == "8-12")
            }
        }

        @Test func filesMergeByOffset() {
            TestMachine.run(oneFile) {
                let file = kernel.file(0)
                let len = 2 * PAGE_SIZE
                let shared = MAP_SHARED | MAP_FIXED
                _ = ops.vm_mmap_pgoff(file, base, len, PROT_READ, shared, 0)
                _ = ops.vm_mmap_pgoff(file, base + len, len, PROT_READ, shared, 3)
                #expect(vmas() == "8-10 10-12")
                #expect(count(file.i_mmap) == 2 && file.i_mmap_writable == 2)
                _ = ops.vm_mmap_pgoff(file, base + len, len, PROT_READ, shared, 2)
                #expect(vmas() == "8-12")
                #expect(count(file.i_mmap) == 1 && file.i_mmap_writable == 1)
            }
        }

        @Test func mappingsOfAFileAreWalkedByOffset() {
            TestMachine.run(oneFile) {
                let file = kernel.file(0)
                for (page, offset) in [(8, 4), (12, 0), (16, 4), (20, 2)] as [(UInt, UInt)] {
                    _ = ops.vm_mmap_pgoff(
                        file, page * PAGE_SIZE, 2 * PAGE_SIZE, PROT_READ, MAP_SHARED | MAP_FIXED, offset)
                }
                var found: [UInt] = []
                var next = vma_interval_tree_first(file, 1, 4)
                while let vma = next {
                    found.append(vma.vm_start / PAGE_SIZE)
                    next = vma_interval_tree_next(file, vma, 1, 4)
                }
                #expect(found == [12, 20, 8, 16])
            }
        }

        @Test func roomIsFoundFromTheTop() {
            TestMachine.run {
                let flags = MAP_PRIVATE
                let end = TASK_SIZE()
                #expect(ops.vm_mmap_pgoff(nil, 0, PAGE_SIZE, PROT_READ, flags, 0) == Int(end - PAGE_SIZE))
                #expect(ops.vm_mmap_pgoff(nil, 0, PAGE_SIZE, PROT_NONE, flags, 0) == Int(end - 2 * PAGE_SIZE))
                // A hint is taken where there is room.
                #expect(ops.vm_mmap_pgoff(nil, base, PAGE_SIZE, PROT_READ, flags, 0) == Int(base))
                #expect(ops.vm_mmap_pgoff(nil, base, PAGE_SIZE, PROT_READ, flags, 0) == Int(end - 3 * PAGE_SIZE))
                let noreplace = flags | MAP_FIXED_NOREPLACE
                #expect(ops.vm_mmap_pgoff(nil, base, PAGE_SIZE, PROT_READ, noreplace, 0) == -Int(EEXIST))
                #expect(ops.vm_mmap_pgoff(nil, 0, 2 * end, PROT_READ, flags, 0) == -Int(ENOMEM))
            }
        }
    }

    /// munmap(2) and mremap(2) with pages in place.
    @Suite struct UnmapTests {
        @Test func munmapSplitsOnBothSides() {
            TestMachine.run {
                map(base, pages: 6)
                for page in 0..<6 { store(page + 1, base + UInt(page) * PAGE_SIZE) }
                let free = freePages()
                #expect(unmap(10, 2) == 0)
                #expect(vmas() == "8-10 12-14")
                #expect(load(base + 2 * PAGE_SIZE) == -Int(EFAULT))
                #expect(load(base + PAGE_SIZE) == 2 && load(base + 4 * PAGE_SIZE) == 5)
                #expect(freePages() == free + 2)
                #expect(current.mm!.total_vm == 4)
            }
        }

        @Test func munmapUnlocks() {
            TestMachine.run {
                map(base, pages: 4)
                #expect(ops.do_mlock(base, 4 * PAGE_SIZE, VM_LOCKED) == 0)
                #expect(current.mm!.locked_vm == 4 && statistic(NR_MLOCK) == 4)
                #expect(unmap(9, 2) == 0)
                #expect(current.mm!.locked_vm == 2 && statistic(NR_MLOCK) == 2)
            }
        }

        @Test func mapFixedReplaces() {
            TestMachine.run {
                map(base, pages: 3)
                store(7, base + PAGE_SIZE)
                map(base + PAGE_SIZE, pages: 1)
                #expect(load(base + PAGE_SIZE) == 0)
                // No anon_vma at the new one, so it merges with its neighbours.
                #expect(vmas() == "8-11")
            }
        }

        @Test func mlockallOfTheFutureCoversNewMappings() {
            TestMachine.run {
                #expect(ops.do_mlockall(UInt(MCL_FUTURE)) == 0)
                map(base, pages: 2)
                #expect(current.mm!.locked_vm == 2 && statistic(NR_MLOCK) == 2)
                #expect(current.mm!.rss(Int(MM_ANONPAGES.rawValue)).pointee == 2)
            }
        }
    }

    @Suite struct RemapTests {
        private func remap(_ page: UInt, _ old: UInt, _ new: UInt, _ flags: UInt, to target: UInt = 0) -> Int {
            ops.do_mremap(page * PAGE_SIZE, old * PAGE_SIZE, new * PAGE_SIZE, flags, target * PAGE_SIZE)
        }

        @Test func growsInPlaceOrMoves() {
            TestMachine.run {
                map(base, pages: 2)
                store(1, base)
                store(2, base + PAGE_SIZE)
                #expect(remap(8, 2, 4, 0) == Int(base))
                #expect(vmas() == "8-12")
                map(base + 4 * PAGE_SIZE, pages: 1, prot: PROT_READ)
                #expect(remap(8, 4, 6, 0) == -Int(ENOMEM))
                let moved = UInt(remap(8, 4, 6, MREMAP_MAYMOVE))
                #expect(moved == TASK_SIZE() - 6 * PAGE_SIZE)
                #expect(load(moved) == 1 && load(moved + PAGE_SIZE) == 2 && load(moved + 5 * PAGE_SIZE) == 0)
                #expect(load(base) == -Int(EFAULT))
            }
        }

        @Test func shrinks() {
            TestMachine.run {
                map(base, pages: 4)
                for page in 0..<4 { store(page + 1, base + UInt(page) * PAGE_SIZE) }
                #expect(remap(8, 4, 1, 0) == Int(base))
                #expect(vmas() == "8-9")
                #expect(load(base) == 1)
            }
        }

        @Test func aWholePageTableMovesAsOne() {
            TestMachine.run {
                map(base, pages: 8)
                for page in 0..<8 { store(page + 1, base + UInt(page) * PAGE_SIZE) }
                let table = current.mm!.pmd(1).pointee.pmd
                #expect(remap(8, 8, 8, MREMAP_MAYMOVE | MREMAP_FIXED, to: 24) == Int(24 * PAGE_SIZE))
                #expect(current.mm!.pmd(3).pointee.pmd == table && pmd_none(current.mm!.pmd(1).pointee))
                for page in 0..<8 { #expect(load((24 + UInt(page)) * PAGE_SIZE) == page + 1) }
            }
        }

        @Test func ptesMoveAcrossTables() {
            TestMachine.run {
                map(base, pages: 8)
                for page in 0..<8 { store(page + 1, base + UInt(page) * PAGE_SIZE) }
                #expect(remap(10, 4, 4, MREMAP_MAYMOVE | MREMAP_FIXED, to: 21) == Int(21 * PAGE_SIZE))
                #expect(vmas() == "8-10 14-16 21-25")
                for page in 0..<4 { #expect(load((21 + UInt(page)) * PAGE_SIZE) == page + 3) }
                #expect(load(base) == 1 && load(base + 7 * PAGE_SIZE) == 8)
            }
        }

        @Test func dontUnmapLeavesAnEmptyMapping() {
            TestMachine.run {
                map(base, pages: 2)
                #expect(ops.do_mlock(base, 2 * PAGE_SIZE, VM_LOCKED) == 0)
                store(5, base)
                let flags = MREMAP_MAYMOVE | MREMAP_DONTUNMAP
                let moved = UInt(remap(8, 2, 2, flags))
                #expect(load(moved) == 5 && load(base) == 0)
                #expect(vma(at: 8).vm_flags & VM_LOCKED == 0)
                #expect(vma(at: moved / PAGE_SIZE).vm_flags & VM_LOCKED != 0)
                #expect(current.mm!.locked_vm == 2)
            }
        }

        @Test func aLockedMappingGrowsPopulated() {
            TestMachine.run {
                map(base, pages: 1)
                #expect(ops.do_mlock(base, PAGE_SIZE, VM_LOCKED) == 0)
                #expect(remap(8, 1, 3, 0) == Int(base))
                #expect(current.mm!.locked_vm == 3 && statistic(NR_MLOCK) == 3)
            }
        }

        @Test func overlapAndBadArgumentsAreRefused() {
            TestMachine.run {
                map(base, pages: 4)
                #expect(remap(8, 4, 4, MREMAP_MAYMOVE | MREMAP_FIXED, to: 10) == -Int(EINVAL))
                #expect(remap(8, 4, 4, MREMAP_FIXED, to: 20) == -Int(EINVAL))
                #expect(remap(8, 4, 0, 0) == -Int(EINVAL))
                #expect(remap(8, 0, 1, MREMAP_MAYMOVE) == -Int(EINVAL))
                #expect(remap(8, 5, 6, MREMAP_MAYMOVE) == -Int(EFAULT))
                #expect(remap(20, 1, 2, MREMAP_MAYMOVE) == -Int(EFAULT))
            }
        }
    }
}
