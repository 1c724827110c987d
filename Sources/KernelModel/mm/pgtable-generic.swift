// SPDX-License-Identifier: GPL-2.0-only
// mm/pgtable-generic.c of Linux v5.13: from a pmd to its ptes, and the page tables that huge pmds keep for their
// split, so that it needs no memory.  The pmds of an mm lie in one page, so they share one ring of tables.

import CKernel
import Simulation

func install_pgtable_generic(_ ops: kernel_ops) {
    ops.__pte_offset_map = __pte_offset_map
    ops.__pte_offset_map_lock = __pte_offset_map_lock
    ops.pte_unmap = { _ in }
    ops.pmd_trans_unstable = pmd_trans_unstable
    ops.pmd_none_or_trans_huge_or_clear_bad = pmd_trans_unstable
    ops.tlb_remove_table_free = { pte_free($0, $1) }
}

// MARK: - From a pmd to its ptes

/// Never fails: the caller has seen a table there, and holds what keeps it.
/// Linux v5.13, include/linux/pgtable.h, pte_offset_map().
private func __pte_offset_map(
    _ pmd: UnsafeMutablePointer<pmd_t>, _ address: UInt, _ pmdvalp: UnsafeMutablePointer<pmd_t>?,
    _ function: UnsafePointer<CChar>
) -> UnsafeMutablePointer<pte_t>? {
    pmdvalp?.pointee = pmd.pointee
    return pte_offset_map(pmd, address)
}

/// Linux v5.13, include/linux/mm.h, pte_offset_map_lock().
private func __pte_offset_map_lock(
    _ mm: mm_struct, _ pmd: UnsafeMutablePointer<pmd_t>, _ address: UInt, _ ptlp: UnsafeMutablePointer<spinlock_t?>,
    _ function: UnsafePointer<CChar>
) -> UnsafeMutablePointer<pte_t>? {
    // The kernel would take whatever the pmd holds for a table.
    BUG_ON(!pmd_is_table(pmd.pointee), "pte_offset_map_lock() of a pmd without a table")
    let ptl = pte_lockptr(mm, pmd)
    let pte = pte_offset_map(pmd, address)
    spinLock(ptl, 0, function)
    ptlp.pointee = ptl
    return pte
}

/// There are no bad pmds.
/// Linux v5.13, include/linux/pgtable.h, pmd_trans_unstable(), pmd_none_or_trans_huge_or_clear_bad().
private func pmd_trans_unstable(_ pmd: UnsafeMutablePointer<pmd_t>, _ function: UnsafePointer<CChar>) -> Bool {
    yieldPoint(function, ("pmd" as StaticString).cString)
    return !pmd_is_table(pmd.pointee)
}

// MARK: - Deposited tables

/// Linux v5.13, mm/pgtable-generic.c, pgtable_trans_huge_deposit().
func pgtable_trans_huge_deposit(_ mm: mm_struct, _ pmdp: UnsafeMutablePointer<pmd_t>, _ table: pgtable_t) {
    if let last = mm.pmd_huge_pte {
        table.next_free = last.next_free
        last.next_free = table
    } else {
        table.next_free = table
    }
    mm.pmd_huge_pte = table
}

/// Takes a page table away from the hardware: what is flushed are ptes.
/// Linux v5.13, mm/pgtable-generic.c, pmdp_collapse_flush().
public func pmdp_collapse_flush(
    _ vma: vm_area_struct, _ address: UInt, _ pmdp: UnsafeMutablePointer<pmd_t>, _ function: StaticString = #function
) -> pmd_t {
    BUG_ON(address & ~PMD_MASK() != 0, "address & ~HPAGE_PMD_MASK")
    BUG_ON(pmd_trans_huge(pmdp.pointee), "pmd_trans_huge(*pmdp)")
    let pmd = pmdp_huge_get_and_clear(vma.vm_mm, address, pmdp, function)
    flush_tlb_range(vma, address, address + PMD_SIZE())
    return pmd
}

/// Linux v5.13, mm/pgtable-generic.c, pgtable_trans_huge_withdraw().
func pgtable_trans_huge_withdraw(_ mm: mm_struct, _ pmdp: UnsafeMutablePointer<pmd_t>) -> pgtable_t {
    BUG_ON(mm.pmd_huge_pte == nil, "!pmd_huge_pte")
    let table = mm.pmd_huge_pte!
    var before = table
    while before.next_free !== table { before = before.next_free! }
    before.next_free = table.next_free
    mm.pmd_huge_pte = before === table ? nil : table.next_free
    table.next_free = nil
    return table
}
