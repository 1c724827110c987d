// SPDX-License-Identifier: GPL-2.0-only
// mm/rmap.c and mm/vmscan.c of Linux v5.18-rc1: reclaim asks whether a page was referenced.  Where a VM_LOCKED vma
// maps it, its mlock was missed, and is made up for here: that takes no page lock any more.

import CKernel
import Simulation

func install_rmap_referenced_v5_18(_ ops: kernel_ops) {
    ops.page_referenced_one = page_referenced_one
    ops.page_check_references = page_check_references
}

/// Linux v5.18-rc1, mm/rmap.c, folio_referenced_one().  Left out: the idle page flags.
private func page_referenced_one(
    _ page: page, _ vma: vm_area_struct, _ address: UInt, _ arg: UnsafeMutableRawPointer?
) -> Bool {
    let pra = arg!.assumingMemoryBound(to: page_referenced_arg.self)
    var pvmw = page_vma_mapped_walk(
        page: page, vma: vma, address: address, pmd: nil, pte: nil, ptl: nil, flags: 0)
    var referenced: Int32 = 0
    while ops.page_vma_mapped_walk(&pvmw) {
        yield_point("vm_flags")
        // A huge page mapped by ptes is never mlocked.
        if vma.vm_flags & VM_LOCKED != 0 && (!PageTransCompound(page) || pvmw.pte == nil) {
            mlock_vma_page(page, vma, pvmw.pte == nil)
            page_vma_mapped_walk_done(&pvmw)
            pra.pointee.vm_flags |= VM_LOCKED
            return false
        }
        if let pte = pvmw.pte {
            // A young mapping that is read in sequence does not keep its page.
            if ptep_clear_flush_young_notify(vma, pvmw.address, pte), vma.vm_flags & VM_SEQ_READ == 0 {
                referenced += 1
            }
        } else if pmdp_clear_flush_young_notify(vma, pvmw.address, pvmw.pmd!) {
            referenced += 1
        }
        pra.pointee.mapcount -= 1
    }
    if referenced != 0 {
        pra.pointee.referenced += 1
        pra.pointee.vm_flags |= vma.vm_flags & ~VM_LOCKED
    }
    return pra.pointee.mapcount != 0
}

/// Linux v5.18-rc1, mm/vmscan.c, folio_check_references().
private func page_check_references(_ page: page) -> UInt32 {
    var vm_flags: UInt = 0
    let referenced_ptes = ops.page_referenced(page, 1, &vm_flags)
    yield_point("PageReferenced")
    let referenced_page = TestClearPageReferenced(page)
    // It is marked now: to the unevictable list with it.
    if vm_flags & VM_LOCKED != 0 { return PAGEREF_ACTIVATE }
    return page_reference_fate(page, referenced_ptes, referenced_page, vm_flags)
}
