// SPDX-License-Identifier: GPL-2.0-only
// mm/gup.c and mm/memory.c of Linux v5.18-rc1, where they no longer mlock: rmap does it when a page is mapped.

import CKernel
import Simulation

func install_gup_v5_18(_ ops: kernel_ops) {
    ops.populate_vma_page_range = populate_vma_page_range
    ops.wp_page_copied = { _, old_page in free_swap_cache(old_page) }
}

/// Linux v5.18-rc1, mm/gup.c, populate_vma_page_range().
private func populate_vma_page_range(
    _ vma: vm_area_struct, _ start: UInt, _ end: UInt, _ locked: UnsafeMutablePointer<Int32>?
) -> Int {
    VM_BUG_ON_PAGE(start < vma.vm_start || end > vma.vm_end, "start < vma->vm_start || end > vma->vm_end")
    let nr_pages = (end - start) >> UInt(PAGE_SHIFT)
    // What is there was mlocked by mlock_fixup().
    if vma.vm_flags & VM_LOCKONFAULT != 0 { return Int(nr_pages) }
    var gup_flags = FOLL_TOUCH
    // Break COW now, but do not dirty shared pages for nothing.
    if vma.vm_flags & (VM_WRITE | VM_SHARED) == VM_WRITE { gup_flags |= FOLL_WRITE }
    // Everything but PROT_NONE is populated.
    if vma_is_accessible(vma) { gup_flags |= FOLL_FORCE }
    let ret = __get_user_pages(vma.vm_mm, start, nr_pages, gup_flags, nil, locked)
    ops.lru_add_drain()
    return ret
}
