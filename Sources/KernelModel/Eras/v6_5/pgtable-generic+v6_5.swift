// SPDX-License-Identifier: GPL-2.0-only
// mm/pgtable-generic.c of Linux v6.5: page tables that vanish.  A walker looks at the pmd once, keeps the table by
// RCU, takes its lock, and then looks whether the pmd still leads there; so a table can be taken away under the locks
// of pmd and table alone, if it is freed after a grace period.
//
// Modelled as of the parent of 1d65b771bc08, with the RCU sections of 146b42e07494.
// Left out: pmds that are read in two halves (pmdp_get_lockless_start(), pmdp_get_lockless_sync(): x86 with PAE), bad
// pmds (there are none), highmem.

import CKernel
import Simulation

func install_pgtable_generic_v6_5(_ ops: kernel_ops) {
    ops.__pte_offset_map = __pte_offset_map
    ops.__pte_offset_map_lock = __pte_offset_map_lock
    ops.pte_unmap = pte_unmap
    ops.pmd_trans_unstable = { _, _ in false }
    ops.pmd_none_or_trans_huge_or_clear_bad = pmd_none_or_trans_huge_or_clear_bad
    ops.pte_free_defer = pte_free_defer
    ops.tlb_remove_table_free = pte_free_defer
    ops.tlb_delay_rmap = { _ in true }
}

// MARK: - From a pmd to its ptes

/// The pte, and with it an RCU read section until pte_unmap().
/// Linux v6.5, mm/pgtable-generic.c, __pte_offset_map().
private func __pte_offset_map(
    _ pmd: UnsafeMutablePointer<pmd_t>, _ address: UInt, _ pmdvalp: UnsafeMutablePointer<pmd_t>?,
    _ function: UnsafePointer<CChar>
) -> UnsafeMutablePointer<pte_t>? {
    rcu_read_lock()
    yieldPoint(function, ("pmd" as StaticString).cString)
    let pmdval = pmd.pointee
    pmdvalp?.pointee = pmdval
    guard pmd_is_table(pmdval) else {
        rcu_read_unlock()
        return nil
    }
    return page_table_pte(pmd_page_table(pmdval), address)
}

/// Linux v6.5, mm/pgtable-generic.c, __pte_offset_map_lock().
private func __pte_offset_map_lock(
    _ mm: mm_struct, _ pmd: UnsafeMutablePointer<pmd_t>, _ address: UInt, _ ptlp: UnsafeMutablePointer<spinlock_t?>,
    _ function: UnsafePointer<CChar>
) -> UnsafeMutablePointer<pte_t>? {
    while true {
        var pmdval = __pmd(0)
        guard let pte = ops.__pte_offset_map(pmd, address, &pmdval, function) else { return nil }
        let ptl = pte_lockptr(mm, &pmdval)
        spinLock(ptl, 0, function)
        // No yield point: whoever changes the pmd without this lock could have done so just before it was taken.
        if pmd_same(pmdval, pmd.pointee) {
            ptlp.pointee = ptl
            return pte
        }
        spinUnlock(ptl, function)
        ops.pte_unmap(pte)
    }
}

/// Ends the read section of __pte_offset_map(), which must have kept the table.
/// Linux v6.5, include/linux/pgtable.h, pte_unmap().
private func pte_unmap(_ pte: UnsafeMutablePointer<pte_t>) {
    if !isLive(CACHE_page_table, pte) {
        reportViolation(VIOLATION_freed_reachable, UInt(CACHE_page_table.rawValue), 0)
    }
    rcu_read_unlock()
}

/// v6.5 has it no more.  Where it stood before a walk of ptes that may be over already, a look for an empty pmd is left.
private func pmd_none_or_trans_huge_or_clear_bad(
    _ pmd: UnsafeMutablePointer<pmd_t>, _ function: UnsafePointer<CChar>
) -> Bool {
    yieldPoint(function, ("pmd" as StaticString).cString)
    return pmd_none(pmd.pointee)
}

// MARK: - Taking a table away

/// Frees a page table that no pmd leads to any more, when its last walker has gone.
/// Linux v6.5, mm/pgtable-generic.c, pte_free_defer(), and mm/mmu_gather.c, tlb_remove_table_free().
private func pte_free_defer(_ mm: mm_struct, _ table: page_table) {
    checkTableIsEmpty(mm, table)
    // A grace period is nothing to a device.
    checkNoIOMMUWalks(table)
    kfree_rcu(CACHE_page_table, address(table))
}

/// What is still there goes unseen: pages that nobody unmaps, markers that nobody finds.
private func checkTableIsEmpty(_ mm: mm_struct, _ table: page_table) {
    for index in 0..<Int(kernel.ptrs_per_pte) where !pte_none(table.entry(index).pointee) {
        if !is_pte_marker(table.entry(index).pointee) {
            reportViolation(VIOLATION_table_in_use, UInt(index), 0)
        } else if isWriteProtectable(mm, UInt(index)) {
            reportViolation(VIOLATION_lost_entry, UInt(index), 0)
        }
    }
}

/// Whether a page that has this place in its page table is registered for write protection.  Registering it anew in another
/// mode leaves markers behind that mean nothing.
private func isWriteProtectable(_ mm: mm_struct, _ index: UInt) -> Bool {
    var next = mm.mmap
    while let vma = next {
        let first = vma.vm_start + (index &- pte_index(vma.vm_start)) % UInt(kernel.ptrs_per_pte) * PAGE_SIZE
        if userfaultfd_wp(vma) && first < vma.vm_end { return true }
        next = vma.vm_next
    }
    return false
}
