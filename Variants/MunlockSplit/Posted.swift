// SPDX-License-Identifier: GPL-2.0-only
// page_mlock.posted: the patch as posted on 24 May 2021 and queued in -mm
// (Link: https://lkml.kernel.org/r/20210524132725.12697-4-apopple@nvidia.com), on v5.13-rc.
//
// Modelled: mm/rmap.c, page_mlock_one(), page_mlock(); mm/mlock.c, __munlock_isolated_page().
// Left out: nothing of the patch that runs (see PageMlock.swift for try_to_unmap_one()).

import CKernel
import KernelModel
import Simulation

/// mm/rmap.c, page_mlock_one(): VM_LOCKED is read before the page table lock is taken, and not again.
private func page_mlock_one(
    _ page: page, _ vma: vm_area_struct, _ address: UInt, _ unused: UnsafeMutableRawPointer?
) -> Bool {
    var pvmw = page_vma_mapped_walk(
        page: page, vma: vma, address: address, pmd: nil, pte: nil, ptl: nil, flags: 0)

    // A vma that is not locked has no pages to lock: on with the walk.
    yield_point("vm_flags")
    if vma.vm_flags & VM_LOCKED == 0 { return true }

    while ops.page_vma_mapped_walk(&pvmw) {
        // A huge page mapped by ptes is never mlocked.
        if !PageTransCompound(page) { ops.mlock_vma_page(page) }
        page_vma_mapped_walk_done(&pvmw)

        // The page is mlocked: nothing more to find.
        return false
    }
    return true
}

func installPosted(_ ops: kernel_ops) {
    ops.page_mlock_one = page_mlock_one
    ops.page_mlock = page_mlock
    ops.__munlock_isolated_page = __munlock_isolated_page
}
