// SPDX-License-Identifier: GPL-2.0-only
// The TLBs of the CPUs and their flushes.  Source: Linux v5.13, arch/x86/mm/tlb.c, arch/x86/mm/pgtable.c,
// mm/pgtable-generic.c.
//
// Modelled: a few entries a CPU, tagged by mm, that hold what the page table said when they were filled, until a
// flush drops them; the interrupt that a flush waits for on each other CPU.
// Left out: lazy TLB mode and generations (a CPU that runs another mm drops its entries at once instead of before
// their next use, which nobody can tell); the ceiling above which a range flush becomes a full one (ranges of
// the model are shorter); the cache of upper levels (a walk is one step, so a table cannot be freed within one).

import CKernel
import Simulation

/// A flush of everything (arch/x86/include/asm/tlbflush.h).
let TLB_FLUSH_ALL = UInt.max

func install_tlb(_ ops: kernel_ops) {
    ops.flush_tlb_mm_range = flush_tlb_mm_range
    ops.flush_tlb_page = flush_tlb_page
    ops.arch_tlbbatch_flush = arch_tlbbatch_flush
    ops.ptep_clear_flush = ptep_clear_flush
    ops.ptep_clear_flush_young = ptep_clear_flush_young
    ops.pmdp_huge_clear_flush = pmdp_huge_clear_flush
}

// MARK: - Flushes

/// Linux v5.13, arch/x86/mm/tlb.c, flush_tlb_mm_range().
private func flush_tlb_mm_range(_ mm: mm_struct, _ start: UInt, _ end: UInt) {
    let pages = end == TLB_FLUSH_ALL ? 0 : (end - start) >> UInt(PAGE_SHIFT)
    noteEvent(EVENT_tlb_flush, UInt(mm.number) << 32 | start >> UInt(PAGE_SHIFT), pages)
    preempt_disable()
    interruptOtherCPUs(UInt(mm.cpu_bitmap))
    for cpu in 0..<Int(kernel.nr_cpus) where mm.cpu_bitmap & 1 << UInt8(cpu) != 0 {
        dropTranslations(kernel.cpu(cpu), mm, start, end)
    }
    preempt_enable()
}

/// Linux v5.13, arch/x86/include/asm/tlbflush.h, flush_tlb_page().
private func flush_tlb_page(_ vma: vm_area_struct, _ address: UInt) {
    ops.flush_tlb_mm_range(vma.vm_mm, address, address + PAGE_SIZE)
}

/// Linux v5.13, arch/x86/mm/tlb.c, arch_tlbbatch_flush().
private func arch_tlbbatch_flush(_ batch: UnsafeMutablePointer<tlbflush_unmap_batch>) {
    noteEvent(EVENT_tlb_flush, UInt(batch.pointee.mms), 0)
    preempt_disable()
    interruptOtherCPUs(UInt(batch.pointee.cpumask))
    for cpu in 0..<Int(kernel.nr_cpus) where batch.pointee.cpumask & 1 << UInt8(cpu) != 0 {
        dropTranslations(kernel.cpu(cpu), nil, 0, TLB_FLUSH_ALL)
    }
    preempt_enable()
    batch.pointee.cpumask = 0
}

private func interruptOtherCPUs(_ cpus: UInt, _ function: StaticString = #function) {
    let others = cpus & ~(1 << UInt(smp_processor_id()))
    if others != 0 { interruptCPUs(others, function) }
}

/// Linux v5.13, mm/pgtable-generic.c, ptep_clear_flush().
private func ptep_clear_flush(
    _ vma: vm_area_struct, _ address: UInt, _ ptep: UnsafeMutablePointer<pte_t>
) -> pte_t {
    let pte = ptep_get_and_clear(vma.vm_mm, address, ptep)
    if pte_accessible(vma.vm_mm, pte) { ops.flush_tlb_page(vma, address) }
    return pte
}

/// Linux v5.13, arch/x86/mm/pgtable.c, ptep_clear_flush_young(): x86 does not flush here.
private func ptep_clear_flush_young(
    _ vma: vm_area_struct, _ address: UInt, _ ptep: UnsafeMutablePointer<pte_t>
) -> Bool {
    ptep_test_and_clear_young(vma, address, ptep)
}

/// Linux v5.13, mm/pgtable-generic.c, pmdp_huge_clear_flush().
private func pmdp_huge_clear_flush(
    _ vma: vm_area_struct, _ address: UInt, _ pmdp: UnsafeMutablePointer<pmd_t>
) -> pmd_t {
    let pmd = pmdp_huge_get_and_clear(vma.vm_mm, address, pmdp)
    flush_pmd_tlb_range(vma, address, address + PMD_SIZE())
    return pmd
}

// MARK: - Entries

/// Drops what a CPU knows of [start, end), of one mm or of all.
private func dropTranslations(_ cpu: per_cpu, _ mm: mm_struct?, _ start: UInt, _ end: UInt) {
    for index in 0..<Int(TLB_ENTRIES) {
        let entry = cpu.entry(index)
        guard entry.pointee.mm != 0, mm == nil || entry.pointee.mm == mm!.number + 1 else { continue }
        let size = entry.pointee.huge != 0 ? PMD_SIZE() : PAGE_SIZE
        if entry.pointee.address < end && entry.pointee.address + size > start { entry.pointee = tlb_entry() }
    }
}

/// The CPU's entry for an address, nil if it has none.
func translation(_ cpu: per_cpu, _ mm: mm_struct, _ address: UInt) -> UnsafeMutablePointer<tlb_entry>? {
    for index in 0..<Int(TLB_ENTRIES) {
        let entry = cpu.entry(index)
        guard entry.pointee.mm == mm.number + 1 else { continue }
        let mask = entry.pointee.huge != 0 ? PMD_MASK() : PAGE_MASK
        if entry.pointee.address == address & mask { return entry }
    }
    return nil
}

/// Keeps what a walk has found, in the place of the oldest entry if there is no free one.
func fillTranslation(_ cpu: per_cpu, _ mm: mm_struct, _ address: UInt, _ pte: pte_t, huge: Bool) {
    let slot = freeSlot(cpu)
    slot.pointee = tlb_entry(
        address: address & (huge ? PMD_MASK() : PAGE_MASK), pte: pte, mm: mm.number + 1, huge: huge ? 1 : 0)
}

private func freeSlot(_ cpu: per_cpu) -> UnsafeMutablePointer<tlb_entry> {
    for index in 0..<Int(TLB_ENTRIES) where cpu.entry(index).pointee.mm == 0 { return cpu.entry(index) }
    let slot = cpu.entry(Int(cpu.tlb_next))
    cpu.tlb_next = (cpu.tlb_next + 1) % UInt8(TLB_ENTRIES)
    return slot
}

/// The page that an entry leads to for an address within it.
func translatedPage(_ entry: UnsafeMutablePointer<tlb_entry>, _ address: UInt) -> page {
    let first = pte_page(entry.pointee.pte)
    return page_add(first, Int((address - entry.pointee.address) >> UInt(PAGE_SHIFT)))
}

// MARK: - Invariant

/// A page that goes back to the allocator must be in no TLB: whoever frees it has flushed before.  So this is
/// checked when a page is freed.  Between zap and flush the mmu_gather, and between unmap and batched flush the
/// page cache or the reclaimer, still hold the page.
func checkNoTranslation(_ page: page, _ nr_pages: Int) {
    let first = page_to_pfn(page)
    for cpu in 0..<Int(kernel.nr_cpus) {
        for index in 0..<Int(TLB_ENTRIES) {
            let entry = kernel.cpu(cpu).entry(index).pointee
            guard entry.mm != 0 else { continue }
            let pfn = pte_pfn(entry.pte)
            let size = entry.huge != 0 ? HPAGE_PMD_NR() : 1
            if pfn < first + UInt(nr_pages) && first < pfn + size {
                reportViolation(VIOLATION_stale_translation, entry.address, UInt(entry.mm - 1))
            }
        }
    }
}
