// SPDX-License-Identifier: GPL-2.0-only
import CKernel
import Simulation
import Testing

@testable import KernelModel

extension KernelModelTests { @Suite struct PageAllocTests {} }

/// mm/page_alloc.c: free lists, blocks, checks.
extension KernelModelTests.PageAllocTests {
    private var hugeOrder: UInt32 { UInt32(kernel.hpage_pmd_order) }

    private func boot(pages: Int = 32, nodes: Int = 1) {
        var shape = MachineShape()
        shape.pages = pages
        shape.nodes = nodes
        TestMachine.boot(shape)
    }

    private func free(_ page: page) {
        page._refcount = 0
        if PageHead(page) { ops.free_compound_page(page) } else { ops.free_unref_page(page) }
    }

    @Test func allPagesAreFreeAtBoot() {
        boot()
        #expect(freePages() == 32)
    }

    @Test func thePageFreedLastIsUsedFirst() {
        boot()
        let first = ops.alloc_pages(GFP_KERNEL, 0)!
        let second = ops.alloc_pages(GFP_KERNEL, 0)!
        free(second)
        free(first)
        #expect(ops.alloc_pages(GFP_KERNEL, 0) === first)
        #expect(ops.alloc_pages(GFP_KERNEL, 0) === second)
        #expect(freePages() == 30)
    }

    @Test func aNewPageIsEmptyAndHasOneReference() {
        boot()
        let page = ops.alloc_pages(GFP_KERNEL, 0)!
        #expect(page._refcount == 1 && page._mapcount == -1 && page.flags == 0 && page.contents == 0)
    }

    @Test func aHugePageHasAHeadAndTails() {
        boot()
        let head = ops.alloc_pages(GFP_TRANSHUGE, hugeOrder)!
        #expect(PageHead(head) && head._refcount == 1 && head.compound_mapcount == -1)
        for n in 1..<Int(HPAGE_PMD_NR()) {
            #expect(compound_head(page_add(head, n)) === head && page_add(head, n)._refcount == 0)
        }
        free(head)
        #expect(freePages() == 32)
        #expect(!PageCompound(page_add(head, 1)))
        #expect(kernel.violations == 0)
    }

    @Test func freedPagesMergeToHugePagesAgain() {
        boot(pages: 16)
        var pages: [page] = []
        while let page = ops.alloc_pages(0, 0) { pages.append(page) }
        #expect(pages.count == 16)
        #expect(ops.alloc_pages(GFP_TRANSHUGE, hugeOrder) == nil)
        pages.forEach(free)
        drain_all_pages()
        #expect(ops.alloc_pages(GFP_TRANSHUGE, hugeOrder) != nil)
        #expect(ops.alloc_pages(GFP_TRANSHUGE, hugeOrder) != nil)
        #expect(kernel.violations == 0)
    }

    @Test func aDoomedAllocationReclaimsAndFails() {
        boot(pages: 8)
        while ops.alloc_pages(0, 0) != nil {}
        #expect(ops.alloc_pages(GFP_KERNEL, 0) == nil)
    }

    @Test func nodesServeTheirOwnAndFallBack() {
        boot(pages: 16, nodes: 2)
        let near = ops.alloc_pages_node(1, GFP_KERNEL, 0)!
        #expect(near.nid == 1)
        for _ in 1..<8 { #expect(ops.alloc_pages_node(1, 0, 0)!.nid == 1) }
        #expect(ops.alloc_pages_node(1, __GFP_THISNODE, 0) == nil)
        #expect(ops.alloc_pages_node(1, 0, 0)!.nid == 0)
    }

    @Test(arguments: [PG_locked, PG_lru, PG_mlocked, PG_writeback, PG_active, PG_unevictable])
    func aPageWithAForbiddenFlagIsBad(_ flag: pageflags) {
        boot()
        let page = ops.alloc_pages(GFP_KERNEL, 0)!
        page.flags |= 1 << UInt(flag.rawValue)
        free(page)
        #expect(kernel.violations == 1 << VIOLATION_bad_page.rawValue)
        #expect(freePages() == 31)
    }

    @Test func aMappedPageIsBad() {
        boot()
        let page = ops.alloc_pages(GFP_KERNEL, 0)!
        page._mapcount = 0
        free(page)
        #expect(kernel.violations == 1 << VIOLATION_bad_page.rawValue)
    }

    @Test func aWriteToAFreePageShowsAtItsNextUse() {
        boot()
        let page = ops.alloc_pages(GFP_KERNEL, 0)!
        free(page)
        page.contents = 0x1234
        #expect(ops.alloc_pages(GFP_KERNEL, 0) === page)
        #expect(kernel.violations == 1 << VIOLATION_bad_page.rawValue)
    }

    @Test func aPermutationChangesOnlyTheOrder() {
        boot()
        page_alloc_init(permutation: 7)
        #expect(freePages() == 32)
        var seen: UInt64 = 0
        while let page = ops.alloc_pages(0, 0) { seen |= 1 << UInt64(page_to_pfn(page)) }
        #expect(seen == 0xffff_ffff)
    }
}
