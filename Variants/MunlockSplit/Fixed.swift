// SPDX-License-Identifier: GPL-2.0-only
// page_mlock.fixed: the merged patch after three repairs of v5.14-rc1: 023e1a8dd502 ("mm/rmap: fix new bug:
// premature return from page_mlock_one()"), d9770fcc1c0c ("mm/rmap: fix old bug: munlocking THP missed other
// mlocks") and efdb6720b44b ("mm/rmap: fix munlocking Anon THP with mlocked ptes").
//
// Modelled: mm/rmap.c, page_mlock_one(), page_mlock(); mm/mlock.c, __munlock_isolated_page().
// Left out: the same refinement in try_to_unmap_one(), of which PMD-mapped file pages are the only new case:
// reclaim has split the pmd before, and nobody maps the page again while reclaim holds its lock.

import CKernel
import KernelModel
import Simulation

/// mm/rmap.c, page_mlock_one(): where VM_LOCKED is gone, the walk goes on; huge pages mapped by a pmd are
/// mlocked as well.
private func page_mlock_one(
    _ page: page, _ vma: vm_area_struct, _ address: UInt, _ unused: UnsafeMutableRawPointer?
) -> Bool {
    var pvmw = page_vma_mapped_walk(
        page: page, vma: vma, address: address, pmd: nil, pte: nil, ptl: nil, flags: 0)

    // A vma that is not locked has no pages to lock: on with the walk.
    yield_point("vm_flags")
    if vma.vm_flags & VM_LOCKED == 0 { return true }

    while ops.page_vma_mapped_walk(&pvmw) {
        yield_point("vm_flags")
        if vma.vm_flags & VM_LOCKED != 0 {
            // Nobody asks for an anonymous huge page, nor for one mapped by pmd and ptes at once.
            ops.mlock_vma_page(page)
            page_vma_mapped_walk_done(&pvmw)
            return false
        }
    }
    return true
}

/// mm/rmap.c, page_mlock(): an anonymous huge page is only mlocked while it is mapped once.
private func page_mlock_unless_anon_thp(_ page: page) {
    VM_BUG_ON_PAGE(!PageLocked(page) || PageLRU(page), "!PageLocked(page) || PageLRU(page)", "page_mlock")
    VM_BUG_ON_PAGE(
        PageCompound(page) && PageDoubleMap(page), "PageCompound(page) && PageDoubleMap(page)", "page_mlock")
    if PageTransCompound(page) && PageAnon(page) { return }
    var rwc = rmap_walk_control(
        arg: nil, rmap_one: ops.page_mlock_one, done: page_not_mapped, anon_lock: ops.page_lock_anon_vma_read,
        invalid_vma: nil)
    ops.rmap_walk(page, &rwc)
}

func installFixed(_ ops: kernel_ops) {
    ops.page_mlock_one = page_mlock_one
    ops.page_mlock = page_mlock_unless_anon_thp
    ops.__munlock_isolated_page = __munlock_isolated_page
}
