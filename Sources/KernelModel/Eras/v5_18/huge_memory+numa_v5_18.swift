// SPDX-License-Identifier: GPL-2.0-only
// mm/huge_memory.c of Linux v5.18-rc1: a hinting fault on a huge pmd, which migrates like one on a pte.
//
// Left out: what task_numa_fault() learns from it.

import CKernel
import Simulation

func install_huge_memory_numa_v5_18(_ ops: kernel_ops) {
    ops.do_huge_pmd_numa_page = do_huge_pmd_numa_page
}

/// Linux v5.18-rc1, mm/huge_memory.c, do_huge_pmd_numa_page().
private func do_huge_pmd_numa_page(_ vmf: UnsafeMutablePointer<vm_fault>) -> vm_fault_t {
    let vma = vmf.pointee.vma
    let pmdp = vmf.pointee.pmd
    let oldpmd = vmf.pointee.orig_pmd
    let ptl = pmd_lock(vma.vm_mm, pmdp)
    vmf.pointee.ptl = ptl
    if !pmd_same(oldpmd, pmdp.pointee) {
        spin_unlock(ptl)
        return 0
    }
    let page = pmd_page(oldpmd)
    let target_nid = numa_migrate_prep(page)
    if target_nid >= 0 {
        spin_unlock(ptl)
        if ops.migrate_misplaced_page(page, vma, target_nid) != 0 { return 0 }
        spin_lock(ptl)
        if !pmd_same(oldpmd, pmdp.pointee) {
            spin_unlock(ptl)
            return 0
        }
    } else {
        ops.put_page(page)
    }
    // It stays, and is accessible again.
    var pmd = pmd_mkyoung(pmd_modify(oldpmd, vm_page_prot(vma)))
    if pmd_write(oldpmd) { pmd = pmd_mkwrite(pmd) }
    set_pmd_at(vma.vm_mm, vmf.pointee.address & PMD_MASK(), pmdp, pmd)
    spin_unlock(ptl)
    return 0
}
