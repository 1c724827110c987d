// SPDX-License-Identifier: GPL-2.0-only
// mm/memory.c of Linux v6.5: faults on page tables that may vanish.  The pte is looked up with its lock, which is the
// lock of that table whatever the pmd says later.

import CKernel
import Simulation

func install_memory_fault_v6_5(_ ops: kernel_ops) {
    ops.handle_pte_fault = handle_pte_fault
}

/// Linux v6.5, mm/memory.c, handle_pte_fault().
private func handle_pte_fault(_ vmf: UnsafeMutablePointer<vm_fault>) -> vm_fault_t {
    let vma = vmf.pointee.vma
    yield_point("pmd")
    if pmd_none(vmf.pointee.pmd.pointee) {
        // The table comes later: the fault may yet map a huge page.
        vmf.pointee.pte = nil
    } else {
        // The table of a file may make way for a huge page: such a fault is tried again.
        guard let (pte, ptl) = pte_offset_map_nolock(vma.vm_mm, vmf.pointee.pmd, vmf.pointee.address) else { return 0 }
        yield_point("pte")
        vmf.pointee.orig_pte = pte.pointee
        (vmf.pointee.pte, vmf.pointee.ptl) = (pte, ptl)
        if pte_none(vmf.pointee.orig_pte) {
            ops.pte_unmap(pte)
            vmf.pointee.pte = nil
        }
    }
    guard let pte = vmf.pointee.pte else { return do_pte_missing(vmf) }
    let orig_pte = vmf.pointee.orig_pte
    if !pte_present(orig_pte) { return ops.do_swap_page(vmf) }
    if pte_protnone(orig_pte) && vma_is_accessible(vma) { return do_numa_page(vmf) }

    let ptl = vmf.pointee.ptl!
    spin_lock(ptl)
    if pte_same(pte.pointee, orig_pte) {
        let write = vmf.pointee.flags & FAULT_FLAG_WRITE != 0
        let unshare = vmf.pointee.flags & FAULT_FLAG_UNSHARE != 0
        if (write || unshare) && !pte_write(orig_pte) { return do_wp_page(vmf) }
        let entry = pte_mkyoung(write ? pte_mkdirty(orig_pte) : orig_pte)
        // flush_tlb_fix_spurious_fault() does nothing on x86.
        _ = ptep_set_access_flags(vma, vmf.pointee.address, pte, entry, dirty: write)
    }
    pte_unmap_unlock(pte, ptl)
    return 0
}
