// SPDX-License-Identifier: GPL-2.0-only
// khugepaged with one step broken: an invariant must notice.  And defects that v5.18-rc1 itself had.

import CKernel
import Simulation
import Testing

@testable import KernelModel

private let base: UInt = 8 * PAGE_SIZE
private let nr = 8
private func address(_ n: Int) -> UInt { base + UInt(n) * PAGE_SIZE }

/// The functions that mutants call in the end.
nonisolated(unsafe) private let era = makeOperationsTable(Era.v5_18_rc1.install)

private func mapAndFill() {
    map(base, pages: nr, file: kernel.file(0), shared: true)
    for n in 0..<nr { store(100 + n, address(n)) }
    for _ in 0..<2 { _ = ops.do_madvise(base, PMD_SIZE(), Int32(MADV_HUGEPAGE)) }
    fork(1)
    become(1)
    for n in 0..<nr { _ = load(address(n)) }
    become(0)
    ops.lru_add_drain_all()
}

private func collapse() {
    var cc = collapse_control()
    cc.is_khugepaged = true
    _ = ops.khugepaged_scan_file(current.mm!, base, kernel.file(0), 0, &cc)
    if let unused = cc.hpage { ops.put_page(unused) }
}

extension KernelModelTests {
    @Suite struct KhugepagedMutantTests {
        private var shape: MachineShape {
            var shape = MachineShape()
            shape.pages = 64
            shape.files = [.init(kind: .shmem, size: 8, huge: true, onAdvice: true)]
            return shape
        }

        private func expectNoticed(
            _ kind: violation_kind, sourceLocation: SourceLocation = #_sourceLocation,
            _ change: (kernel_ops) -> Void, _ first: TestMachine.Racer, _ second: TestMachine.Racer
        ) {
            TestMachine.raceOfMutant(
                change, breaks: kind, shape, era: .v5_18_rc1, sourceLocation: sourceLocation, setup: mapAndFill,
                .init(0, collapse), first, second)
        }

        /// As if whatever else refers to the page did not matter.
        @Test func referencesNotCompared() {
            expectNoticed(
                VIOLATION_freed_reachable,
                {
                    $0.try_to_unmap = { page, flags in
                        let unmapped = era.try_to_unmap(page, flags)
                        page._refcount = 3
                        return unmapped
                    }
                },
                .init(0) {
                    let page = ops.get_user_page_fast(current.mm!, address(2), FOLL_WRITE | FOLL_PIN)
                    kernel.pin(0).pointee.page = page.flatMap { IS_ERR($0) ? nil : $0 }
                },
                .init(1) { _ = load(address(3)) })
        }

        /// A page of a collapse that gave up does not come back to its list.
        @Test func onePageNotRolledBack() {
            func giveUp() {
                mapAndFill()
                let pinned = ops.get_user_page_fast(current.mm!, address(6), FOLL_GET)!
                // khugepaged_scan_file() would give up at once.
                var cc = collapse_control()
                #expect(ops.collapse_file(current.mm!, base, kernel.file(0), 0, &cc) == SCAN_PAGE_COUNT)
                ops.put_page(cc.hpage!)
                ops.put_page(pinned)
            }
            #expect(TestMachine.violations(shape, era: .v5_18_rc1, giveUp) == 0)
            let broken = TestMachine.violations(
                shape, era: .v5_18_rc1,
                mutant: { $0.putback_lru_page = { if $0.index != 4 { era.putback_lru_page($0) } } }, giveUp)
            #expect(broken & 1 << VIOLATION_refcount.rawValue != 0)
        }

        /// A CPU may still write to a page that was copied, through its TLB.
        @Test func pagesCopiedBeforeTheFlush() {
            expectNoticed(
                VIOLATION_stale_translation,
                { $0.try_to_unmap_flush = {} },
                .init(0) { for n in 0..<nr { _ = load(address(n)) } },
                .init(1) { for n in 0..<nr { _ = load(address(n)) } })
        }

        // MARK: Defects of v5.18-rc1

        /// collapse_pte_mapped_thp() does not hold the i_mmap lock: truncation may be at work in the table that it frees.
        @Test func truncationInAFreedTable() {
            TestMachine.raceOfMutant(
                { _ in }, breaks: VIOLATION_freed_reachable, shape, era: .v5_18_rc1,
                setup: {
                    mapAndFill()
                    become(1)
                    down_read(current.mm!.mmap_lock)
                    become(0)
                    collapse()
                    become(1)
                    up_read(current.mm!.mmap_lock)
                    // Its table is still there.
                    for n in 0..<nr { _ = load(address(n)) }
                },
                .init(1) {
                    let mm = current.mm!
                    down_write(mm.mmap_lock)
                    _ = ops.collapse_pte_mapped_thp(mm, base, false)
                    up_write(mm.mmap_lock)
                },
                .init(0) { _ = ops.do_truncate(kernel.file(0), 0) })
        }
    }
}
