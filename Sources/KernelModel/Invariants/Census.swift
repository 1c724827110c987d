// SPDX-License-Identifier: GPL-2.0-only
// A census of a machine at rest: who refers to each page, counted from the page tables, caches and pins.
// The invariants hold the kernel's own counts against it.

import CKernel
import Simulation

/// What refers to one page.
struct PageCensus {
    /// Present ptes that map it.
    var ptes: Int32 = 0
    /// Huge pmds that map it; counted at the head.
    var pmds: Int32 = 0
    /// References by page cache, swap cache and pins.
    var references: Int32 = 0
    /// Whether a VM_LOCKED vma maps it.
    var locked = false
    /// How many VM_LOCKED vmas map it so that they can mlock it: a huge page by a pmd.
    var mlocks: Int32 = 0
    /// Migration entries that name it.
    var migrationEntries: Int32 = 0
}

/// What refers to one swap slot.
struct SwapCensus {
    var entries: Int32 = 0
    /// Whether one of them says that it is the only one.
    var exclusive = false
}

/// The census, over buffers of the caller.
struct Census {
    let pages: UnsafeMutablePointer<PageCensus>
    let slots: UnsafeMutablePointer<SwapCensus>

    /// Counts everything, and hands the result to `body`.
    static func take(_ body: (Census) -> Void) {
        let pageCount = Int(kernel.nr_pages)
        let slotCount = Int(MAX_SWAP_SLOTS)
        withUnsafeTemporaryAllocation(of: PageCensus.self, capacity: pageCount) { pages in
            pages.initialize(repeating: PageCensus())
            withUnsafeTemporaryAllocation(of: SwapCensus.self, capacity: slotCount) { slots in
                slots.initialize(repeating: SwapCensus())
                let census = Census(pages: pages.baseAddress!, slots: slots.baseAddress!)
                census.count()
                body(census)
            }
        }
    }

    private func count() {
        for number in 0..<Int(MAX_MMS) {
            if let mm = kernel.mm_slot(number).pointee { countProcess(mm) }
        }
        for number in 0..<Int(kernel.nr_files) { countFile(kernel.file(number)) }
        for slot in 0..<Int(kernel.swap_info.max) {
            let cached = kernel.swap_info.slot(slot).pointee
            if cached != 0 { of(compound_head(unsafeBitCast(cached, to: page.self))).pointee.references += 1 }
        }
        countPins()
        countBatches()
    }

    func of(_ page: page) -> UnsafeMutablePointer<PageCensus> {
        pages + Int(page_to_pfn(page))
    }

    /// Walks the vmas and their page tables, and holds the mm's own counts against what is there.
    private func countProcess(_ mm: mm_struct) {
        var rss: (Int, Int, Int, Int) = (0, 0, 0, 0)
        withUnsafeMutableBytes(of: &rss) { bytes in
            let rss = bytes.assumingMemoryBound(to: Int.self).baseAddress!
            var next = mm.mmap
            while let vma = next {
                countVMA(vma, rss)
                next = vma.vm_next
            }
            for counter in 0..<Int(NR_MM_COUNTERS.rawValue) where rss[counter] != mm.rss(counter).pointee {
                reportViolation(VIOLATION_rss, UInt(counter), UInt(bitPattern: mm.rss(counter).pointee - rss[counter]))
            }
        }
    }

    private func countVMA(_ vma: vm_area_struct, _ rss: UnsafeMutablePointer<Int>) {
        let mm = vma.vm_mm
        var address = vma.vm_start
        while address < vma.vm_end {
            let pmd = pmd_offset(mm, address).pointee
            if pmd_is_table(pmd) {
                countPte(vma, address, pte_offset_map(pmd_offset(mm, address), address).pointee, rss)
                address += PAGE_SIZE
                continue
            }
            if pmd_trans_huge(pmd) {
                let head = pmd_page(pmd)
                checkPermission(vma, address, writable: pmd_write(pmd), accessible: pmd.pmd & UInt(_PAGE_PRESENT) != 0)
                of(head).pointee.pmds += 1
                checkWritable(vma, head, pmd_write(pmd))
                if vma.vm_flags & VM_LOCKED != 0 {
                    of(head).pointee.locked = true
                    of(head).pointee.mlocks += 1
                }
                rss[Int(mm_counter(head))] += Int(HPAGE_PMD_NR())
            } else if is_pmd_migration_entry(pmd) {
                let head = migration_entry_to_page(pmd_to_swp_entry(pmd))
                of(head).pointee.migrationEntries += 1
            }
            address = (address + PMD_SIZE()) & PMD_MASK()
        }
    }

    /// Page tables allow no more than the vma.
    private func checkPermission(_ vma: vm_area_struct, _ address: UInt, writable: Bool, accessible: Bool) {
        if writable && vma.vm_flags & VM_WRITE == 0 || accessible && !vma_is_accessible(vma) {
            reportViolation(VIOLATION_stale_translation, address, UInt(vma.vm_mm.number))
        }
    }

    private func countPte(_ vma: vm_area_struct, _ address: UInt, _ pte: pte_t, _ rss: UnsafeMutablePointer<Int>) {
        if pte_none(pte) { return }
        if pte_present(pte) {
            let page = pte_page(pte)
            checkPermission(vma, address, writable: pte_write(pte), accessible: pte_accessible(pte))
            of(page).pointee.ptes += 1
            checkWritable(vma, page, pte_write(pte))
            rss[Int(mm_counter(page))] += 1
            if vma.vm_flags & VM_LOCKED != 0 {
                of(compound_head(page)).pointee.locked = true
                if !PageCompound(page) { of(page).pointee.mlocks += 1 }
            }
            return
        }
        let entry = pte_to_swp_entry(pte)
        if is_migration_entry(entry) {
            let page = migration_entry_to_page(entry)
            of(page).pointee.migrationEntries += 1
            rss[Int(mm_counter(page))] += 1
        } else if !non_swap_entry(entry) {
            slots[Int(swp_offset(entry))].entries += 1
            if pte_swp_exclusive(pte) { slots[Int(swp_offset(entry))].exclusive = true }
            rss[Int(MM_SWAPENTS.rawValue)] += 1
        }
    }

    private func countFile(_ mapping: address_space) {
        for index in 0..<Int(MAX_FILE_PAGES) {
            let slot = mapping.slot(index).pointee
            if slot == 0 { continue }
            if slot & 1 != 0 {
                slots[Int(swp_offset(swp_entry_t(val: slot & ~1)))].entries += 1
            } else {
                let page = unsafeBitCast(slot, to: page.self)
                of(compound_head(page)).pointee.references += 1
            }
        }
    }

    private func countPins() {
        for number in 0..<Int(MAX_PINS) {
            guard let page = kernel.pin(number).pointee.page else { continue }
            let head = compound_head(page)
            of(head).pointee.references += PageCompound(head) ? 1 : GUP_PIN_COUNTING_BIAS
        }
        for number in 0..<Int(MAX_MMS) {
            guard let device = kernel.secondary_mmu_slot(number).pointee else { continue }
            for index in 0..<Int(SECONDARY_MMU_ENTRIES) {
                let entry = device.entry(index).pointee
                if entry.address != 0 && entry.pinned != 0 {
                    of(compound_head(pfn_to_page(entry.pfn))).pointee.references += 1
                }
            }
        }
    }

    /// Pages that wait for mm/mlock.c: none after a drain, unless a drain passed its batch over.
    private func countBatches() {
        for number in 0..<Int(kernel.nr_cpus) {
            let pvec = kernel.cpu(number).mlock_pvec
            for index in 0..<Int(pagevec_count(pvec)) {
                of(mlock_entry_to_page(pvec.page(index).pointee!)).pointee.references += 1
            }
        }
    }
}
