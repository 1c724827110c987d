// SPDX-License-Identifier: GPL-2.0-only
import CKernel
import Simulation
import Testing

@testable import KernelModel

private let base: UInt = 8 * PAGE_SIZE
private let length = 2 * PAGE_SIZE

/// Two pages of anonymous memory with data.
private func mapAndFill() {
    map(base, pages: 2)
    store(1, base)
    store(2, base + PAGE_SIZE)
}

private func mlock() {
    #expect(ops.do_mlock(base, length, VM_LOCKED) == 0)
}

private func munlock() {
    #expect(ops.do_munlock(base, length) == 0)
}

/// The page mapped at `base`.
private func firstPage() -> page {
    pte_page(pte_offset_map(pmd_offset(kernel.mm_slot(0).pointee!, base), base).pointee)
}

extension KernelModelTests {
    /// Each invariant that is checked at rest, by a kernel that breaks it and nothing else.  The same steps on the
    /// kernel as it is break nothing.
    ///
    /// The other invariants: user-data, stale-translation and bug-on in FaultTests and FileRaceTests, bad-page in
    /// PageAllocTests, swap-map in SwapTests, those of locks in SimulationTests.
    @Suite struct InvariantMutantTests {
        private func expectBreaks(
            _ kind: violation_kind, alsoBreaks others: UInt32 = 0, nodes: Int = 1,
            mutant: (kernel_ops) -> Void = { _ in },
            atRest: @escaping () -> Void = {},
            sourceLocation: SourceLocation = #_sourceLocation, _ body: @escaping () -> Void
        ) {
            var shape = MachineShape()
            shape.nodes = nodes
            let healthy = TestMachine.violations(shape, body)
            #expect(healthy == 0, "the kernel as it is", sourceLocation: sourceLocation)
            let broken = TestMachine.violations(shape, mutant: mutant, atRest: atRest, body)
            #expect(broken == 1 << kind.rawValue | others, "the mutant", sourceLocation: sourceLocation)
        }

        @Test func nrMlock() {
            expectBreaks(
                VIOLATION_nr_mlock,
                mutant: {
                    // Counts nothing.
                    $0.mlock_vma_page = { page in
                        if !TestSetPageMlocked(page) && ops.isolate_lru_page(page) == 0 { ops.putback_lru_page(page) }
                    }
                }
            ) {
                mapAndFill()
                mlock()
            }
        }

        @Test func mlockedWithoutVMA() {
            expectBreaks(
                VIOLATION_mlocked_without_vma,
                mutant: {
                    // Leaves the pages as they are.
                    $0.munlock_vma_pages_range = { vma, _, _ in vma.vm_flags &= ~VM_LOCKED }
                }
            ) {
                mapAndFill()
                mlock()
                munlock()
            }
        }

        @Test func lostMlock() {
            expectBreaks(
                VIOLATION_lost_mlock,
                mutant: {
                    // Asks nobody else who maps the page.
                    $0.__munlock_isolated_page = { ops.putback_lru_page($0) }
                }
            ) {
                mapAndFill()
                // Else mlock() gives each process pages of its own.
                #expect(ops.do_mprotect(base, length, PROT_READ) == 0)
                fork(1)
                mlock()
                become(1)
                mlock()
                munlock()
            }
        }

        @Test func unevictableWithoutReason() {
            expectBreaks(
                VIOLATION_unevictable_without_reason,
                mutant: {
                    // Forgets to move the page to an evictable list.
                    $0.munlock_vma_pages_range = { vma, start, end in
                        vma.vm_flags &= ~VM_LOCKED
                        for address in stride(from: start, to: end, by: Int(PAGE_SIZE)) {
                            ClearPageMlocked(pte_page(pte_offset_map(pmd_offset(vma.vm_mm, address), address).pointee))
                            mod_node_page_state(Int32(NR_MLOCK.rawValue), -1)
                        }
                    }
                }
            ) {
                mapAndFill()
                mlock()
                // All are on their lists.
                ops.lru_add_drain_all()
                munlock()
            }
        }

        @Test func refcount() {
            expectBreaks(VIOLATION_refcount, atRest: { get_page(firstPage()) }, mapAndFill)
        }

        @Test func mapcount() {
            expectBreaks(VIOLATION_mapcount, atRest: { firstPage()._mapcount += 1 }, mapAndFill)
        }

        @Test func freedReachable() {
            expectBreaks(VIOLATION_freed_reachable, atRest: { firstPage()._refcount -= 1 }, mapAndFill)
        }

        @Test func lostEntry() {
            // What the entry names was freed, so nobody can tell any more as what it is to be counted.
            expectBreaks(
                VIOLATION_lost_entry, alsoBreaks: 1 << VIOLATION_rss.rawValue, nodes: 2,
                mutant: { $0.remove_migration_ptes = { _, _, _ in } }
            ) {
                mapAndFill()
                ops.lru_add_drain_all()
                let node = 1 - Int32(firstPage().nid)
                #expect(ops.do_move_pages(base, PAGE_SIZE, node, Int32(MPOL_MF_MOVE)) == 0)
            }
        }

        @Test func rss() {
            expectBreaks(
                VIOLATION_rss,
                atRest: { kernel.mm_slot(0).pointee!.rss(Int(MM_ANONPAGES.rawValue)).pointee += 1 }, mapAndFill)
        }

        @Test func lruFlag() {
            expectBreaks(VIOLATION_lru, atRest: { ClearPageLRU(firstPage()) }, mapAndFill)
        }

        @Test func lruCounter() {
            expectBreaks(
                VIOLATION_lru, atRest: { kernel.stat(Int(LRU_INACTIVE_FILE.rawValue)).pointee += 1 }, mapAndFill)
        }

        @Test func leak() {
            expectBreaks(VIOLATION_leak, atRest: { _ = newPage() }, mapAndFill)
        }

        @Test func leakedPageTable() {
            expectBreaks(VIOLATION_leak, mutant: { $0.pte_free_tlb = { _, _, _ in } }) {
                mapAndFill()
                #expect(ops.__vm_munmap(base, length, true) == 0)
            }
        }

        @Test func leakedVMA() {
            expectBreaks(VIOLATION_leak, atRest: { _ = kmem_cache_zalloc(CACHE_vm_area_struct) }, mapAndFill)
        }

        /// What waits for the end of a grace period is no leak.
        @Test func freedByRCU() {
            let freed = { kfree_rcu(CACHE_page_table, kmem_cache_zalloc(CACHE_page_table)!) }
            #expect(TestMachine.violations(MachineShape(), atRest: freed, mapAndFill) == 0)
        }

        @Test func countOfPageTables() {
            expectBreaks(VIOLATION_rss, atRest: { kernel.mm_slot(0).pointee!.nr_ptes += 1 }, mapAndFill)
        }

        /// The table that a huge pmd keeps, which no pmd leads to.
        @Test func lostDeposit() {
            expectBreaks(
                VIOLATION_leak, alsoBreaks: 1 << VIOLATION_rss.rawValue,
                atRest: { kernel.mm_slot(0).pointee!.pmd_huge_pte = nil }
            ) {
                map(base, pages: 8)
                #expect(ops.do_madvise(base, 8 * PAGE_SIZE, MADV_HUGEPAGE) == 0)
                store(1, base)
                #expect(pmd_trans_huge(pmd_offset(kernel.mm_slot(0).pointee!, base).pointee))
            }
        }

        @Test func heldAtReturn() {
            expectBreaks(
                VIOLATION_held_at_return,
                mutant: {
                    $0.do_munlock = { _, _ in
                        down_write(current.mm!.mmap_lock)
                        return 0
                    }
                }
            ) {
                mapAndFill()
                munlock()
            }
        }

        @Test func sleepingInAtomic() {
            expectBreaks(
                VIOLATION_sleeping_in_atomic,
                mutant: {
                    $0.do_munlock = { _, _ in
                        spin_lock(kernel.node(0).lru_lock)
                        lock_page(firstPage())
                        unlock_page(firstPage())
                        spin_unlock(kernel.node(0).lru_lock)
                        return 0
                    }
                }
            ) {
                mapAndFill()
                munlock()
            }
        }
    }
}
