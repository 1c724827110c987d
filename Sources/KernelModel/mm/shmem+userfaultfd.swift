// SPDX-License-Identifier: GPL-2.0-only
// mm/shmem.c of Linux v5.18-rc1, continued: userfaultfd fills a hole that a shared mapping has found.

import CKernel
import Simulation

/// Adds a page with the given contents to the file and maps it.
/// Linux v5.18-rc1, mm/shmem.c, shmem_mfill_atomic_pte().
func shmem_mfill_atomic_pte(
    _ dst_pmd: UnsafeMutablePointer<pmd_t>, _ dst_vma: vm_area_struct, _ dst_addr: UInt, _ flags: UInt32,
    _ token: UInt64
) -> Int32 {
    let mapping = dst_vma.vm_file!
    let pgoff = linear_page_index(dst_vma, dst_addr)
    guard let page = ops.alloc_pages(GFP_HIGHUSER_MOVABLE, 0) else { return -ENOMEM }
    page.contents = token
    __SetPageLocked(page)
    SetPageSwapBacked(page)
    SetPageUptodate(page)

    yield_point("i_size")
    var ret = pgoff >= mapping.i_size ? -EFAULT : shmem_add_to_page_cache(page, mapping, pgoff, 0)
    if ret == 0 {
        ret = ops.mfill_atomic_install_pte(dst_pmd, dst_vma, dst_addr, page, true, flags)
        if ret == 0 {
            // Its pte is dirty; until v6.0 PG_dirty was set, too.
            unlock_page(page)
            return 0
        }
        ops.delete_from_page_cache(page)
    }
    unlock_page(page)
    ops.put_page(page)
    return ret
}
