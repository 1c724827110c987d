// SPDX-License-Identifier: GPL-2.0-only
// Pins for long (FOLL_LONGTERM) of memory in ZONE_MOVABLE, which is moved to another zone first.

import CKernel
import Simulation
import Testing

@testable import KernelModel

extension KernelModelTests {
    @Suite struct LongtermPinTests {
        static let start: UInt = 0x8000

        /// CPU 0 and its memory belong to a node that is movable; the other node's memory is not.
        var shape: MachineShape {
            var shape = MachineShape()
            shape.nodes = 2
            shape.movableNode = 0
            shape.files = [.init(kind: .shmem, size: 8, huge: true)]
            return shape
        }

        func page(_ address: UInt = start) -> page {
            pte_page(pte_offset_map(pmd_offset(current.mm!, address), address).pointee)
        }

        func pin(_ flags: UInt32 = FOLL_WRITE | FOLL_LONGTERM, _ address: UInt = start) -> page {
            ops.get_user_page_fast(current.mm!, address, flags | FOLL_PIN)!
        }

        @Test func aMovablePageIsMovedFirst() {
            TestMachine.run(shape) {
                map(Self.start, pages: 1)
                store(7, Self.start)
                #expect(page().nid == 0)
                let pinned = pin()
                #expect(pinned === page() && pinned.nid == 1)
                #expect(load(Self.start) == 7 && events(PGMIGRATE_SUCCESS) == 1)
                ops.unpin_user_page(pinned)
            }
        }

        @Test func aShortPinLeavesItWhereItIs() {
            TestMachine.run(shape) {
                map(Self.start, pages: 1)
                store(7, Self.start)
                let pinned = pin(FOLL_WRITE)
                #expect(pinned === page() && pinned.nid == 0)
                ops.unpin_user_page(pinned)
            }
        }

        @Test func whatTheLongPinFaultsInComesFromTheRightZone() {
            TestMachine.run(shape) {
                map(Self.start, pages: 1)
                let pinned = pin()
                #expect(pinned.nid == 1 && events(PGMIGRATE_SUCCESS) == 0)
                ops.unpin_user_page(pinned)
            }
        }

        @Test func aPageThatCannotBeMovedIsNotPinned() {
            TestMachine.run(shape) {
                map(Self.start, pages: 1)
                store(7, Self.start)
                let held = page()
                get_page(held)
                #expect(PTR_ERR(pin()) == -Int(ENOMEM))
                ops.lru_add_drain_all()
                #expect(page() === held && page_count(held) == 2)
                ops.put_page(held)
            }
        }

        @Test func withoutOtherMemoryThePinFails() {
            TestMachine.run(shape) {
                map(Self.start, pages: 1)
                store(7, Self.start)
                while let page = ops.alloc_pages_node(1, __GFP_THISNODE, 0) { page.contents = 1 }
                #expect(PTR_ERR(pin()) == -Int(ENOMEM))
                #expect(load(Self.start) == 7)
                for pfn in 0..<Int(kernel.nr_pages) where pfn_to_page(UInt(pfn)).contents == 1 {
                    ops.put_page(pfn_to_page(UInt(pfn)))
                }
            }
        }

        @Test func aHugePageMovesAsAWhole() {
            TestMachine.run(shape) {
                map(Self.start, pages: 8, file: kernel.file(0), shared: true)
                store(7, Self.start + PAGE_SIZE)
                let huge = pin(FOLL_WRITE, Self.start + PAGE_SIZE)
                #expect(PageTransCompound(huge) && huge.nid == 0)
                ops.unpin_user_page(huge)
                let pinned = pin(FOLL_WRITE | FOLL_LONGTERM, Self.start + PAGE_SIZE)
                #expect(PageTransCompound(pinned) && pinned.nid == 1)
                #expect(load(Self.start + PAGE_SIZE) == 7)
                ops.unpin_user_page(pinned)
            }
        }

        @Test func itRacesWithWhoeverIsolatesThePage() {
            TestMachine.race(
                shape,
                setup: {
                    map(Self.start, pages: 2)
                    store(7, Self.start)
                    fork(1)
                },
                .init(0) {
                    let pinned = pin()
                    if IS_ERR(pinned) { return }
                    #expect(pinned.nid == 1)
                    ops.unpin_user_page(pinned)
                },
                .init(1) {
                    let pinned = pin(FOLL_LONGTERM)
                    if IS_ERR(pinned) { return }
                    #expect(pinned.nid == 1)
                    ops.unpin_user_page(pinned)
                },
                .init(0) {
                    _ = ops.do_mlock(Self.start, PAGE_SIZE, VM_LOCKED)
                    _ = balance_pgdat(0)
                    _ = ops.do_munlock(Self.start, PAGE_SIZE)
                })
        }
    }
}
