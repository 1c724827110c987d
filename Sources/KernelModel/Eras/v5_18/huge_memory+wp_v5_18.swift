// SPDX-License-Identifier: GPL-2.0-only
// mm/huge_memory.c of Linux v5.18-rc1: a huge page is reused for a write if there is no other reference to it
// (3bff7e3f1f16).
//
// Left out: the swap cache, in which no huge page of the model is; the huge zero page.

import CKernel
import Simulation

func install_huge_memory_wp_v5_18(_ ops: kernel_ops) {
    ops.do_huge_pmd_wp_page = do_huge_pmd_wp_page
}

/// Linux v5.18-rc1, mm/huge_memory.c, do_huge_pmd_wp_page().
private func do_huge_pmd_wp_page(_ vmf: UnsafeMutablePointer<vm_fault>) -> vm_fault_t {
    guard let page = lock_huge_pmd_of_fault(vmf), lock_huge_page_of_fault(vmf, page) else { return 0 }
    yield_point("page_count")
    let reuse = page_count(page) == 1
    if reuse { make_huge_pmd_writable(vmf) }
    unlock_page(page)
    spin_unlock(vmf.pointee.ptl!)
    if reuse { return VM_FAULT_WRITE }
    ops.__split_huge_pmd(vmf.pointee.vma, vmf.pointee.pmd, vmf.pointee.address, false, nil)
    return VM_FAULT_FALLBACK
}
