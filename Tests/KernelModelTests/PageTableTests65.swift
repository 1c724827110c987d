// SPDX-License-Identifier: GPL-2.0-only
// Page tables that vanish under their walkers, and locks of single vmas: v6.5.

import CKernel
import Simulation
import Testing

@testable import KernelModel

private func at(_ n: Int) -> UInt { PMD_SIZE() + UInt(n) * PAGE_SIZE }

private var file: address_space { kernel.file(0) }

private func shape(_ kind: MachineShape.File.Kind = .shmem) -> MachineShape {
    var shape = MachineShape()
    shape.files = [.init(kind: kind, size: 8)]
    shape.pages = 48
    return shape
}

/// Maps the file in process 0, and in a copy of it, and reads some of it.
private func mapFile() {
    map(at(0), pages: 8, file: file, shared: true)
    for n in 0..<4 { store(100 + n, at(n)) }
    fork(1)
    become(1)
    _ = load(at(0))
    become(0)
}

/// Takes the page table at `address` away from each vma that maps the file, if there is nothing in it: what
/// retract_page_tables() of v6.6 does, which holds neither mmap_lock nor the vma's lock.
private func retract(_ address: UInt) {
    down_read(file.i_mmap_rwsem)
    var node = file.i_mmap.next
    while node !== file.i_mmap {
        retract(vma_of_shared(node), address)
        node = node.next
    }
    up_read(file.i_mmap_rwsem)
}

private func retract(_ vma: vm_area_struct, _ address: UInt) {
    let mm = vma.vm_mm
    let pmd = pmd_offset(mm, address)
    yield_point("pmd")
    guard mm.mm_users != 0, pmd_is_table(pmd.pointee) else { return }
    let pml = pmd_lock(mm, pmd)
    guard pmd_is_table(pmd.pointee) else {
        spin_unlock(pml)
        return
    }
    let table = pmd_page_table(pmd.pointee)
    spin_lock(table.ptl)
    // Where there is an anon_vma, walks for anonymous pages and fork() rely on the table.
    let empty = vma.anon_vma == nil && (0..<Int(kernel.ptrs_per_pte)).allSatisfy { pte_none(table.entry($0).pointee) }
    if empty { _ = pmdp_collapse_flush(vma, address & PMD_MASK(), pmd) }
    spin_unlock(table.ptl)
    spin_unlock(pml)
    guard empty else { return }
    mm_dec_nr_ptes(mm)
    ops.pte_free_defer(mm, table)
}

/// Empties the page tables of the file's mappings, and takes them away.
private func collapse() {
    for _ in 0..<2 {
        ops.unmap_mapping_pages(file, 0, 0, false)
        retract(at(0))
    }
}

/// Faults bring in one page each: with those around it, v6.5 cannot bear a table that vanishes.
private func withoutFaultAround(_ ops: kernel_ops) {
    ops.filemap_map_pages = { _, _, _ in 0 }
}

extension KernelModelTests {
    /// Walkers of all kinds against a task that takes their page tables away.
    @Suite struct PageTableTests65 {
        private func race(_ kind: MachineShape.File.Kind = .shmem, _ walker: @escaping () -> Void) {
            TestMachine.race(
                shape(kind), era: .v6_5, with: withoutFaultAround, setup: mapFile, .init(0) { collapse() },
                .init(1, walker),
                .init(0) {
                    store(7, at(1))
                    #expect(load(at(2)) == 102)
                })
        }

        @Test func aTableIsFreedWhenItsWalkersHaveGone() {
            TestMachine.run(shape(), era: .v6_5) {
                mapFile()
                let mm = current.mm!
                ops.unmap_mapping_pages(file, 0, 0, false)
                let (pte, _) = pte_offset_map_nolock(mm, pmd_offset(mm, at(0)), at(0))!
                retract(ops.find_vma(mm, at(0))!, at(0))
                #expect(pmd_none(pmd_offset(mm, at(0)).pointee))
                #expect(isLive(CACHE_page_table, pte) && pte_none(pte.pointee))
                ops.pte_unmap(pte)
                #expect(!isLive(CACHE_page_table, pte))
                #expect(pte_offset_map_lock(mm, pmd_offset(mm, at(0)), at(0)) == nil)
                #expect(load(at(1)) == 101)
            }
        }

        @Test(arguments: [MachineShape.File.Kind.disk, .shmem]) func faults(_ kind: MachineShape.File.Kind) {
            race(kind) {
                #expect(load(at(3)) == 103)
                store(8, at(0))
                #expect(load(at(0)) == 8)
            }
        }

        /// 9aa1345d66b8 repaired it.
        @Test func aFaultAroundNeedsTheTableItSaw() {
            TestMachine.raceOfMutant(
                { _ in }, breaks: VIOLATION_bug_on, shape(), era: .v6_5, setup: mapFile, .init(0) { collapse() },
                .init(1) { _ = load(at(3)) },
                .init(0) {
                    store(7, at(1))
                    _ = load(at(2))
                })
        }

        @Test func unmapping() {
            race {
                _ = ops.do_madvise(at(0), 2 * PAGE_SIZE, MADV_DONTNEED)
                _ = ops.__vm_munmap(at(2), 2 * PAGE_SIZE, true)
            }
        }

        @Test func protecting() {
            race {
                _ = ops.do_mprotect(at(0), 2 * PAGE_SIZE, PROT_READ)
                #expect(!store(1, at(1)))
                #expect(load(at(3)) == 103)
                _ = ops.do_mprotect(at(0), 8 * PAGE_SIZE, PROT_READ | PROT_WRITE)
                #expect(store(1, at(0)))
            }
        }

        @Test func advice() {
            race {
                for advice in [MADV_COLD, MADV_WILLNEED, MADV_PAGEOUT] {
                    _ = ops.do_madvise(at(0), 4 * PAGE_SIZE, advice)
                }
            }
        }

        /// On one CPU: a munlock can pass an mlock that waits in another CPU's batch.
        @Test func mlock() {
            var shape = shape()
            shape.cpus = 1
            TestMachine.race(
                shape, era: .v6_5, with: withoutFaultAround, setup: mapFile, .init(0) { collapse() },
                .init(1) { #expect(ops.do_mlock(at(0), 4 * PAGE_SIZE, VM_LOCKED) == 0) })
        }

        @Test func movingByPtes() {
            race {
                let moved = ops.do_mremap(
                    at(0), 2 * PAGE_SIZE, 2 * PAGE_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, at(17))
                #expect(moved == Int(at(17)))
                #expect(load(at(17)) == 100)
            }
        }

        @Test func reverseMaps() {
            race { _ = balance_pgdat(0) }
        }

        @Test func pins() {
            race {
                for flags in [FOLL_PIN, FOLL_PIN | FOLL_WRITE] {
                    guard let page = ops.get_user_page_fast(current.mm!, at(2), flags), !IS_ERR(page) else {
                        Issue.record("no page")
                        return
                    }
                    #expect(page.contents == 102)
                    ops.unpin_user_page(page)
                }
            }
        }

        @Test func forks() {
            race {
                fork(2)
                become(2)
                #expect(load(at(3)) == 103)
                exit(2)
                become(1)
            }
        }

        @Test func privateCopies() {
            TestMachine.race(
                shape(), era: .v6_5, with: withoutFaultAround,
                setup: {
                    mapFile()
                    become(1)
                    map(at(0), pages: 8, file: file)
                    become(0)
                },
                .init(0) { collapse() },
                .init(1) {
                    store(9, at(0))
                    #expect(load(at(0)) == 9)
                    fork(2)
                    store(10, at(0))
                    become(2)
                    #expect(load(at(0)) == 9)
                    exit(2)
                    become(1)
                },
                .init(1) { #expect(load(at(3)) == 103) })
        }

        /// mremap() decides to move a whole table before it has a lock that keeps it (CVE-2024-50066).
        @Test func movingATableThatHasGone() {
            TestMachine.raceOfMutant(
                { _ in }, breaks: VIOLATION_freed_reachable, shape(), era: .v6_5, setup: mapFile,
                .init(0) { collapse() },
                .init(1) {
                    _ = ops.do_mremap(at(0), PMD_SIZE(), PMD_SIZE(), MREMAP_MAYMOVE | MREMAP_FIXED, at(16))
                })
        }

        // MARK: - Mutants

        /// The page table of process 1 is there, and empty.
        private func mapFileAndLeaveEmptyTables() {
            mapFile()
            ops.unmap_mapping_pages(file, 0, 0, false)
        }

        @Test func aTableMustBeLookedAtAgainUnderItsLock() {
            TestMachine.raceOfMutant(
                {
                    $0.__pte_offset_map_lock = { mm, pmd, address, ptlp, function in
                        var pmdval = __pmd(0)
                        guard let pte = ops.__pte_offset_map(pmd, address, &pmdval, function) else { return nil }
                        ptlp.pointee = pte_lockptr(mm, &pmdval)
                        spinLock(ptlp.pointee!, 0, function)
                        return pte
                    }
                }, breaks: VIOLATION_rss, shape(), era: .v6_5, setup: mapFileAndLeaveEmptyTables,
                .init(0) { retract(at(0)) }, .init(1) { _ = load(at(0)) })
        }

        @Test func aTableMustOutliveItsWalkers() {
            TestMachine.raceOfMutant(
                { $0.pte_free_defer = { kmem_cache_free(CACHE_page_table, KernelModel.address($1)) } },
                breaks: VIOLATION_freed_reachable, shape(), era: .v6_5, setup: mapFileAndLeaveEmptyTables,
                .init(0) { retract(at(0)) }, .init(1) { _ = load(at(0)) })
        }
    }

    /// Faults with the lock of their vma alone, against all who change vmas.
    @Suite struct VMALockTests65 {
        /// Private memory that has been written to, so that faults need no mmap_lock.
        private static func fill() {
            map(at(0), pages: 4)
            for n in 0..<4 { store(100 + n, at(n)) }
        }

        private func race(_ writer: @escaping () -> Void) {
            TestMachine.race(
                era: .v6_5, setup: Self.fill, .init(0, writer),
                .init(0) { for n in 0..<4 { store(200 + n, at(n)) } },
                .init(0) { for n in 0..<4 { _ = load(at(n)) } })
        }

        @Test func aFaultNeedsNoMmapLock() {
            TestMachine.run(era: .v6_5) {
                Self.fill()
                _ = ops.do_madvise(at(0), PAGE_SIZE, MADV_DONTNEED)
                let mm = current.mm!
                // Another vma is being changed.
                down_write(mm.mmap_lock)
                #expect(store(1, at(0)))
                mmap_write_unlock(mm)
            }
        }

        @Test func aVmaThatChangesKeepsFaultsOff() {
            TestMachine.run(era: .v6_5) {
                Self.fill()
                let mm = current.mm!
                down_write(mm.mmap_lock)
                vma_start_write(ops.find_vma(mm, at(0))!)
                #expect(ops.lock_vma_under_rcu(mm, at(0)) == nil)
                mmap_write_unlock(mm)
                let vma = ops.lock_vma_under_rcu(mm, at(0))
                #expect(vma != nil)
                if let vma { ops.vma_end_read(vma) }
            }
        }

        @Test func filesAndNewMappingsNeedMmapLock() {
            TestMachine.run(shape(), era: .v6_5) {
                map(at(0), pages: 2, file: file, shared: true)
                map(at(16), pages: 2)
                #expect(ops.lock_vma_under_rcu(current.mm!, at(0)) == nil)
                #expect(ops.lock_vma_under_rcu(current.mm!, at(16)) == nil)
                #expect(ops.lock_vma_under_rcu(current.mm!, at(30)) == nil)
            }
        }

        @Test func unmapping() {
            race {
                _ = ops.__vm_munmap(at(1), 2 * PAGE_SIZE, true)
                #expect(load(at(1)) == -Int(EFAULT) && load(at(2)) == -Int(EFAULT))
            }
        }

        @Test func munmapOfAllAndAnotherMapping() {
            race {
                _ = ops.__vm_munmap(at(0), 4 * PAGE_SIZE, true)
                map(at(0), pages: 4)
            }
        }

        @Test func protecting() {
            race {
                _ = ops.do_mprotect(at(0), 3 * PAGE_SIZE, PROT_READ)
                #expect(!store(1, at(1)))
                _ = ops.do_mprotect(at(0), 3 * PAGE_SIZE, PROT_READ | PROT_WRITE)
                _ = ops.do_mprotect(at(2), 2 * PAGE_SIZE, PROT_NONE)
                #expect(load(at(2)) == -Int(EFAULT))
            }
        }

        @Test func moving() {
            race {
                let target = Int(at(16))
                #expect(
                    ops.do_mremap(at(0), 3 * PAGE_SIZE, 3 * PAGE_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, at(16))
                        == target)
                #expect(load(at(0)) == -Int(EFAULT))
                let token = load(at(17))
                #expect(token == 101 || token == 201)
                #expect(ops.do_mremap(at(16), 3 * PAGE_SIZE, PAGE_SIZE, 0, 0) == target)
            }
        }

        @Test func mremapThatLeavesTheOldVma() {
            race {
                let len = 4 * PAGE_SIZE
                #expect(ops.do_mremap(at(0), len, len, MREMAP_MAYMOVE | MREMAP_DONTUNMAP | MREMAP_FIXED, at(16)) > 0)
                let token = load(at(17))
                #expect(token == 101 || token == 201)
            }
        }

        @Test func forking() {
            race {
                fork(1)
                become(1)
                let seen = (0..<4).map { load(at($0)) }
                #expect(seen == (0..<4).map { load(at($0)) })
                exit(1)
                become(0)
            }
        }

        @Test func adviceAndMlock() {
            race {
                _ = ops.do_madvise(at(0), 2 * PAGE_SIZE, MADV_DONTFORK)
                _ = ops.do_mlock(at(1), 2 * PAGE_SIZE, VM_LOCKED)
                _ = ops.do_madvise(at(0), 4 * PAGE_SIZE, MADV_DOFORK)
                _ = ops.do_munlock(at(0), 4 * PAGE_SIZE)
            }
        }

        @Test func exits() {
            TestMachine.race(
                era: .v6_5, setup: Self.fill, .init(0) { do_group_exit() },
                .init(0) { for n in 0..<4 { store(200 + n, at(n)) } })
        }

        // MARK: - Mutants

        @Test func munmapMustLockTheVmas() {
            TestMachine.raceOfMutant(
                { $0.vma_start_write = { _ in } }, breaks: VIOLATION_bug_on, era: .v6_5,
                setup: Self.fill,
                .init(0) { _ = ops.__vm_munmap(at(0), 4 * PAGE_SIZE, true) })
        }

        @Test func mprotectMustLockTheVma() {
            TestMachine.raceOfMutant(
                { $0.vma_start_write = { _ in } }, breaks: VIOLATION_stale_translation, era: .v6_5,
                setup: Self.fill,
                .init(0) { _ = ops.do_mprotect(at(0), 4 * PAGE_SIZE, PROT_READ) },
                .init(0) {
                    _ = ops.do_madvise(at(0), 4 * PAGE_SIZE, MADV_DONTNEED)
                    for n in 0..<4 { store(n, at(n)) }
                })
        }

        @Test func vmasMustOutliveWhoFindsThem() {
            TestMachine.raceOfMutant(
                { $0.vm_area_free = __vm_area_free }, breaks: VIOLATION_freed_reachable, era: .v6_5,
                setup: {
                    map(at(0), pages: 2)
                    map(at(2), pages: 2, prot: PROT_READ)
                },
                // The second vma is merged into the first.
                .init(0) { _ = ops.do_mprotect(at(2), 2 * PAGE_SIZE, PROT_READ | PROT_WRITE) },
                .init(0) { _ = load(at(2)) })
        }
    }
}
