// SPDX-License-Identifier: GPL-2.0-only
// mm/khugepaged.c of v6.5: huge pages of files made of small ones, and what becomes of page tables meanwhile.

import CKernel
import Simulation
import Testing

@testable import KernelModel

extension KernelModelTests { @Suite struct CollapseTests65 {} }

private var file: address_space { kernel.file(0) }
private func at(_ n: Int) -> UInt { PMD_SIZE() + UInt(n) * PAGE_SIZE }
private func tables() -> Int { Int(current.mm!.nr_ptes) }
private var isMappedHuge: Bool { pmd_trans_huge(pmd_offset(current.mm!, PMD_SIZE()).pointee) }

@discardableResult
private func advise(_ advice: Int32, _ pages: Int = 8) -> Int {
    ops.do_madvise(PMD_SIZE(), UInt(pages) * PAGE_SIZE, advice)
}

private func collapse() -> Int { advise(MADV_COLLAPSE) }
private func khugepaged() { _ = ops.khugepaged_do_scan() }

/// A shared mapping of the file at the first pmd, with these pages written to.
private func mapFile(writing pages: Range<Int> = 0..<8) {
    map(PMD_SIZE(), pages: 8, file: file, shared: true)
    for n in pages { store(0x100 + n, at(n)) }
}

extension KernelModelTests.CollapseTests65 {
    private var shape: MachineShape {
        var shape = MachineShape()
        shape.pages = 64
        // With huge=advise, what is there before the advice is small.
        shape.files = [.init(kind: .shmem, size: 8, huge: true, onAdvice: true)]
        return shape
    }

    private func run(_ shape: MachineShape? = nil, _ body: @escaping () -> Void) {
        TestMachine.run(shape ?? self.shape, era: .v6_5, body)
    }

    /// After a failure everything is as before: small pages with their data, nothing charged.
    private func expectSmall(_ pages: Int = 8) {
        #expect(statistic(NR_SHMEM_THPS) == 0 && file.nrpages == UInt(pages) && statistic(NR_SHMEM) == pages)
        for n in 0..<pages { #expect(load(at(n)) == 0x100 + n) }
    }

    // MARK: Success

    @Test func smallPagesBecomeAHugeOne() {
        run {
            mapFile()
            #expect(collapse() == 0)
            #expect(isMappedHuge && tables() == 0)
            #expect(statistic(NR_SHMEM_THPS) == 8 && file.nrpages == 8)
            for n in 0..<8 { #expect(load(at(n)) == 0x100 + n) }
            store(7, at(3))
            #expect(ops.generic_file_read(file, 3) == 7)
            // Again: there is nothing to do.
            #expect(collapse() == 0)
        }
    }

    @Test func holesAreFilledWithZeros() {
        run {
            mapFile(writing: 2..<4)
            #expect(collapse() == 0)
            #expect(file.nrpages == 8 && statistic(NR_SHMEM) == 8 && statistic(NR_FILE_PAGES) == 8)
            #expect(load(at(0)) == 0 && load(at(3)) == 0x103 && load(at(7)) == 0)
        }
    }

    @Test func whatIsInSwapComesBack() {
        run {
            mapFile()
            advise(MADV_PAGEOUT, 2)
            #expect(file.nr_swapped == 2)
            #expect(collapse() == 0 && file.nr_swapped == 0 && file.nrpages == 8)
            for n in 0..<8 { #expect(load(at(n)) == 0x100 + n) }
        }
    }

    @Test func khugepagedFindsWhatWasAdvised() {
        run {
            mapFile()
            khugepaged()
            self.expectSmall()
            advise(MADV_HUGEPAGE)
            khugepaged()
            // The fault maps the huge page.
            #expect(statistic(NR_SHMEM_THPS) == 8 && tables() == 0 && !isMappedHuge)
            #expect(load(at(5)) == 0x105 && isMappedHuge)
        }
    }

    @Test func anonymousMemoryIsCollapsedWithoutAdvice() {
        run {
            map(PMD_SIZE(), pages: 8)
            store(0x101, at(1))
            #expect(collapse() == 0)
            #expect(isMappedHuge && load(at(1)) == 0x101 && load(at(2)) == 0)
        }
    }

    // MARK: Failure, and back

    @Test func aLockedPage() {
        run {
            mapFile()
            let page = ops.find_lock_page(file, 5)!
            #expect(collapse() == -Int(EAGAIN))
            unlock_page(page)
            ops.put_page(page)
            self.expectSmall()
        }
    }

    @Test func aReferenceOfSomebodyElse() {
        run {
            mapFile()
            let page = ops.find_get_page(file, 5)!
            #expect(collapse() == -Int(EAGAIN))
            ops.put_page(page)
            self.expectSmall()
        }
    }

    @Test func aPageOffTheLRU() {
        run {
            mapFile()
            ops.lru_add_drain()
            let page = ops.find_get_page(file, 5)!
            #expect(ops.isolate_lru_page(page) == 0)
            #expect(collapse() == -Int(EAGAIN))
            ops.putback_lru_page(page)
            ops.put_page(page)
            self.expectSmall()
        }
    }

    @Test func noMemory() {
        var shape = shape
        shape.pages = 12
        run(shape) {
            mapFile()
            #expect(collapse() == -Int(ENOMEM))
            self.expectSmall()
        }
    }

    @Test func nothingButHoles() {
        run {
            mapFile(writing: 0..<0)
            #expect(collapse() == -Int(EINVAL))
            self.expectSmall(0)
        }
    }

    @Test func aHoleThatUserfaultfdWaitsFor() {
        run {
            mapFile(writing: 0..<4)
            #expect(ops.userfaultfd_register(PMD_SIZE(), PMD_SIZE(), UFFDIO_REGISTER_MODE_MISSING, 0) == 0)
            #expect(collapse() == -Int(EBUSY))
            self.expectSmall(4)
            #expect(file.slot(6).pointee == 0)
        }
    }

    @Test func aRangeThatIsNoRange() {
        run {
            mapFile()
            #expect(advise(MADV_COLLAPSE, 4) == -Int(EINVAL))
            advise(MADV_NOHUGEPAGE)
            #expect(collapse() == -Int(EINVAL))
        }
    }

    // MARK: Page tables

    /// A private mapping with a page of its own keeps its table; the page cache has its huge page all the same.
    @Test func aPrivateCopyKeepsTheTable() {
        run {
            map(PMD_SIZE(), pages: 8, file: file)
            for n in 0..<8 { _ = load(at(n)) }
            store(0x77, at(2))
            #expect(collapse() == -Int(EINVAL))
            #expect(statistic(NR_SHMEM_THPS) == 8 && tables() == 1)
            #expect(load(at(2)) == 0x77 && load(at(3)) == 0)
        }
    }

    @Test func markersKeepTheTable() {
        run {
            mapFile()
            #expect(ops.userfaultfd_register(PMD_SIZE(), PMD_SIZE(), UFFDIO_REGISTER_MODE_WP, 0) == 0)
            #expect(ops.userfaultfd_writeprotect(at(4), PAGE_SIZE, UFFDIO_WRITEPROTECT_MODE_WP) == 0)
            #expect(collapse() == -Int(EINVAL))
            #expect(statistic(NR_SHMEM_THPS) == 8 && tables() == 1)
            let table = pmd_page_table(pmd_offset(current.mm!, PMD_SIZE()).pointee)
            #expect(pte_marker_uffd_wp(table.entry(4).pointee))
        }
    }

    /// Before the patch: MADV_COLLAPSE leaves other mappings to khugepaged.
    @Test func othersAreLeftToKhugepaged() {
        run {
            mapFile()
            advise(MADV_HUGEPAGE)
            fork(1)
            become(1)
            #expect(load(at(0)) == 0x100 && tables() == 1)
            become(0)
            #expect(collapse() == 0)
            let mm = kernel.mm_slot(1).pointee!
            #expect(mm.nr_ptes == 1 && get_mm_slot(mm)!.nr_pte_mapped_thp == 1)
            for _ in 0..<4 { khugepaged() }
            #expect(mm.nr_ptes == 0 && get_mm_slot(mm)!.nr_pte_mapped_thp == 0)
            become(1)
            #expect(load(at(6)) == 0x106 && isMappedHuge)
        }
    }

    /// Before the patch: khugepaged comes again for a mapping whose mmap_lock is busy.
    @Test func aBusyMappingIsLeftForLater() {
        run {
            mapFile()
            advise(MADV_HUGEPAGE)
            fork(1)
            let mm = kernel.mm_slot(1).pointee!
            become(1)
            #expect(load(at(0)) == 0x100)
            // The first registered mm is process 0's.
            down_read(mm.mmap_lock)
            khugepaged()
            up_read(mm.mmap_lock)
            #expect(statistic(NR_SHMEM_THPS) == 8)
            #expect(mm.nr_ptes == 1 && get_mm_slot(mm)!.nr_pte_mapped_thp == 1)
        }
    }

    @Test func ptesOfAHugePageAreCollapsed() {
        run {
            mapFile()
            #expect(collapse() == 0)
            // mprotect() of a part splits the pmd; the page stays.
            #expect(ops.do_mprotect(at(2), PAGE_SIZE, PROT_READ) == 0)
            #expect(ops.do_mprotect(at(2), PAGE_SIZE, PROT_READ | PROT_WRITE) == 0)
            for n in 0..<8 { #expect(load(at(n)) == 0x100 + n) }
            #expect(tables() == 1 && !isMappedHuge)
            #expect(collapse() == 0)
            #expect(tables() == 0 && isMappedHuge)
        }
    }

    // MARK: Races

    private func setUpRace() {
        mapFile()
        advise(MADV_HUGEPAGE)
        fork(1)
        become(1)
        _ = load(at(0))
        become(0)
    }

    @Test func againstAccesses() {
        TestMachine.race(
            shape, era: .v6_5, setup: setUpRace,
            .init(0) { _ = collapse() },
            .init(0) { store(1, at(2)) },
            .init(1) { #expect(load(at(3)) == 0x103) })
    }

    @Test func againstTruncation() {
        TestMachine.race(
            shape, era: .v6_5, setup: setUpRace,
            .init(0) { _ = collapse() },
            .init(1) { _ = ops.do_truncate(file, 3) })
    }

    @Test func againstHoles() {
        TestMachine.race(
            shape, era: .v6_5, setup: setUpRace,
            .init(0) { khugepaged() },
            .init(1) { _ = ops.do_fallocate_punch(file, 2, 6) },
            .init(0) { store(1, at(4)) })
    }

    @Test func againstItself() {
        TestMachine.race(
            shape, era: .v6_5, setup: setUpRace,
            .init(0) { _ = collapse() },
            .init(1) { _ = collapse() },
            .init(0) {
                khugepaged()
                khugepaged()
            })
    }

    @Test func againstUnmapAndExit() {
        TestMachine.race(
            shape, era: .v6_5, setup: setUpRace,
            .init(0) { _ = collapse() },
            .init(0) { _ = ops.do_mprotect(at(4), PAGE_SIZE, PROT_READ) },
            .init(1) { _ = ops.__vm_munmap(at(0), PMD_SIZE(), false) })
    }

    @Test func againstReclaimAndMigration() {
        TestMachine.race(
            shape, era: .v6_5, setup: setUpRace,
            .init(0) { _ = collapse() },
            .init(1) { advise(MADV_PAGEOUT) },
            .init(0) { _ = ops.compact_zone(0, -1) })
    }

    @Test func againstUserfaultfd() {
        TestMachine.race(
            shape, era: .v6_5, setup: setUpRace,
            .init(0) { _ = collapse() },
            .init(1) {
                _ = ops.userfaultfd_register(PMD_SIZE(), PMD_SIZE(), UFFDIO_REGISTER_MODE_WP, 0)
                _ = ops.userfaultfd_writeprotect(at(4), PAGE_SIZE, UFFDIO_WRITEPROTECT_MODE_WP)
            })
    }

    // MARK: Mutants

    @Test func pagesThatStayMappedAreNoticed() {
        TestMachine.raceOfMutant(
            { $0.try_to_unmap = { _, _ in true } }, breaks: VIOLATION_bug_on, shape, era: .v6_5,
            setup: setUpRace,
            .init(0) { _ = collapse() })
    }

    @Test func aMissingFlushIsNoticed() {
        TestMachine.raceOfMutant(
            { $0.try_to_unmap_flush = {} }, breaks: VIOLATION_stale_translation, shape, era: .v6_5, setup: setUpRace,
            .init(0) { _ = collapse() },
            .init(0) { store(1, at(2)) })
    }

    @Test func aTableThatIsNotEmptyIsNoticed() {
        TestMachine.raceOfMutant(
            {
                $0.retract_page_tables = { mapping, pgoff, mm, address, _, _ in
                    // In another process, and before it is empty.
                    let pmd = pmd_offset(mm, address)
                    guard pmd_is_table(pmd.pointee) else { return SCAN_SUCCEED }
                    let table = pmd_page_table(pmd.pointee)
                    table.entry(0).pointee = __pte(1 << 12)
                    pmd.pointee = __pmd(0)
                    mm_dec_nr_ptes(mm)
                    ops.pte_free_defer(mm, table)
                    return SCAN_SUCCEED
                }
            }, breaks: VIOLATION_table_in_use, shape, era: .v6_5, setup: setUpRace, .init(0) { _ = collapse() })
    }
}
