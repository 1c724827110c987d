// SPDX-License-Identifier: GPL-2.0-only
// mm/memory.c of Linux v5.13: from a fault to what handles it; anonymous pages; NUMA hints.
//
// Left out: huge puds, accounting by task and perf events.

import CKernel
import Simulation

func install_memory_fault(_ ops: kernel_ops) {
    ops.handle_mm_fault = handle_mm_fault
    ops.handle_pte_fault = handle_pte_fault
}

/// The caller holds mmap_lock for reading; it has been released if VM_FAULT_RETRY is returned.
/// Linux v5.13, mm/memory.c, handle_mm_fault().
private func handle_mm_fault(_ vma: vm_area_struct, _ address: UInt, _ flags: UInt32) -> vm_fault_t {
    count_vm_events(Int32(PGFAULT.rawValue), 1)
    return __handle_mm_fault(vma, address, flags)
}

/// Linux v5.13, mm/memory.c, __handle_mm_fault().
private func __handle_mm_fault(_ vma: vm_area_struct, _ address: UInt, _ flags: UInt32) -> vm_fault_t {
    let mm = vma.vm_mm
    let pmd = pmd_offset(mm, address)
    var vmf = vm_fault(
        vma: vma, flags: flags, address: address & PAGE_MASK, pgoff: linear_page_index(vma, address), pmd: pmd,
        pte: nil, ptl: nil, orig_pte: __pte(0), orig_pmd: __pmd(0), cow_page: nil, page: nil, prealloc_pte: nil)

    yield_point("pmd")
    if pmd_none(pmd.pointee) && __transparent_hugepage_enabled(vma) {
        let ret = create_huge_pmd(&vmf)
        if ret & VM_FAULT_FALLBACK == 0 { return ret }
    } else {
        let orig_pmd = pmd.pointee
        vmf.orig_pmd = orig_pmd
        if is_swap_pmd(orig_pmd) {
            BUG_ON(!is_pmd_migration_entry(orig_pmd), "!is_pmd_migration_entry(orig_pmd)")
            ops.pmd_migration_entry_wait(mm, pmd)
            return 0
        }
        if pmd_trans_huge(orig_pmd) {
            if pmd_protnone(orig_pmd) && vma_is_accessible(vma) { return ops.do_huge_pmd_numa_page(&vmf) }
            if flags & (FAULT_FLAG_WRITE | FAULT_FLAG_UNSHARE) != 0 && !pmd_write(orig_pmd) {
                let ret = wp_huge_pmd(&vmf)
                if ret & VM_FAULT_FALLBACK == 0 { return ret }
            } else {
                ops.huge_pmd_set_accessed(&vmf)
                return 0
            }
        }
    }
    return ops.handle_pte_fault(&vmf)
}

/// Linux v5.13, mm/memory.c, create_huge_pmd(): no file of the model has a huge_fault().
private func create_huge_pmd(_ vmf: UnsafeMutablePointer<vm_fault>) -> vm_fault_t {
    vma_is_anonymous(vmf.pointee.vma) ? ops.do_huge_pmd_anonymous_page(vmf) : VM_FAULT_FALLBACK
}

/// Linux v5.13, mm/memory.c, wp_huge_pmd(): a file's huge page is written to by ptes.
private func wp_huge_pmd(_ vmf: UnsafeMutablePointer<vm_fault>) -> vm_fault_t {
    if vma_is_anonymous(vmf.pointee.vma) {
        let unshare = vmf.pointee.flags & FAULT_FLAG_UNSHARE != 0
        if !unshare && userfaultfd_huge_pmd_wp(vmf.pointee.vma, vmf.pointee.orig_pmd) {
            return ops.handle_userfault(vmf, VM_UFFD_WP)
        }
        return ops.do_huge_pmd_wp_page(vmf)
    }
    ops.__split_huge_pmd(vmf.pointee.vma, vmf.pointee.pmd, vmf.pointee.address, false, nil)
    return VM_FAULT_FALLBACK
}

/// Linux v5.13, mm/memory.c, handle_pte_fault().
private func handle_pte_fault(_ vmf: UnsafeMutablePointer<vm_fault>) -> vm_fault_t {
    let vma = vmf.pointee.vma
    let pmd = vmf.pointee.pmd
    yield_point("pmd")
    if pmd_none(pmd.pointee) {
        // The table comes later: the fault may yet map a huge page.
        vmf.pointee.pte = nil
    } else {
        if !pmd_is_table(pmd.pointee) { return 0 }
        // With mmap_lock held, no huge page takes the place of a table.
        let pte = pte_offset_map(pmd, vmf.pointee.address)
        yield_point("pte")
        vmf.pointee.orig_pte = pte.pointee
        vmf.pointee.pte = pte_none(pte.pointee) ? nil : pte
    }
    guard let pte = vmf.pointee.pte else { return do_pte_missing(vmf) }
    let orig_pte = vmf.pointee.orig_pte
    let ptl = pte_lockptr(vma.vm_mm, pmd)
    vmf.pointee.ptl = ptl
    if !pte_present(orig_pte) { return ops.do_swap_page(vmf) }
    if pte_protnone(orig_pte) && vma_is_accessible(vma) { return do_numa_page(vmf) }

    spin_lock(ptl)
    if pte_same(pte.pointee, orig_pte) {
        let write = vmf.pointee.flags & FAULT_FLAG_WRITE != 0
        if write && !pte_write(orig_pte) { return do_wp_page(vmf) }
        let entry = pte_mkyoung(write ? pte_mkdirty(orig_pte) : orig_pte)
        // flush_tlb_fix_spurious_fault() does nothing on x86.
        _ = ptep_set_access_flags(vma, vmf.pointee.address, pte, entry, dirty: write)
    }
    pte_unmap_unlock(pte, ptl)
    return 0
}

/// Linux v5.13, mm/memory.c, a part of handle_pte_fault(); do_pte_missing() from v6.4 on.
func do_pte_missing(_ vmf: UnsafeMutablePointer<vm_fault>) -> vm_fault_t {
    vma_is_anonymous(vmf.pointee.vma) ? do_anonymous_page(vmf) : do_fault(vmf)
}

/// Linux v5.13, mm/memory.c, do_anonymous_page(), without the zero page.
func do_anonymous_page(_ vmf: UnsafeMutablePointer<vm_fault>) -> vm_fault_t {
    let vma = vmf.pointee.vma
    let mm = vma.vm_mm
    let address = vmf.pointee.address
    if vma.vm_flags & VM_SHARED != 0 { return VM_FAULT_SIGBUS }
    if ops.pte_alloc(mm, vmf.pointee.pmd) != 0 { return VM_FAULT_OOM }
    if pmd_trans_unstable(vmf.pointee.pmd) { return 0 }

    if ops.anon_vma_prepare(vma) != 0 { return VM_FAULT_OOM }
    guard let page = alloc_zeroed_user_highpage_movable(vma, address) else { return VM_FAULT_OOM }
    SetPageUptodate(page)
    var entry = mk_pte(page, vm_page_prot(vma))
    if vma.vm_flags & VM_WRITE != 0 { entry = pte_mkwrite(pte_mkdirty(entry)) }

    guard let (pte, ptl) = pte_offset_map_lock(mm, vmf.pointee.pmd, address) else {
        ops.put_page(page)
        return 0
    }
    (vmf.pointee.pte, vmf.pointee.ptl) = (pte, ptl)
    let ret = pte_none(pte.pointee) ? check_stable_address_space(mm) : VM_FAULT_NOPAGE
    if ret != 0 {
        ops.put_page(page)
        pte_unmap_unlock(pte, ptl)
        return ret == VM_FAULT_NOPAGE ? 0 : ret
    }
    if userfaultfd_missing(vma) {
        pte_unmap_unlock(pte, ptl)
        ops.put_page(page)
        return ops.handle_userfault(vmf, VM_UFFD_MISSING)
    }
    mm.rss(Int(MM_ANONPAGES.rawValue)).pointee += 1
    ops.page_add_new_anon_rmap(page, vma, address, false)
    ops.lru_cache_add_inactive_or_unevictable(page, vma)
    set_pte_at(mm, address, pte, entry)
    pte_unmap_unlock(pte, ptl)
    return 0
}

/// Whether the OOM reaper has emptied the mm.  Linux v5.13, include/linux/oom.h, check_stable_address_space().
func check_stable_address_space(_ mm: mm_struct) -> vm_fault_t {
    mm.oom_reaped ? VM_FAULT_SIGBUS : 0
}

/// A NUMA hinting fault: makes the pte accessible again and moves the page to the node that uses it.
/// Linux v5.13, mm/memory.c, do_numa_page().  Left out: what task_numa_fault() learns from it.
func do_numa_page(_ vmf: UnsafeMutablePointer<vm_fault>) -> vm_fault_t {
    let vma = vmf.pointee.vma
    let mm = vma.vm_mm
    let address = vmf.pointee.address
    let orig_pte = vmf.pointee.orig_pte
    let pte = vmf.pointee.pte!
    let ptl = vmf.pointee.ptl!
    spin_lock(ptl)
    guard pte_same(pte.pointee, orig_pte) else {
        pte_unmap_unlock(pte, ptl)
        return 0
    }
    let old_pte = ptep_get_and_clear(mm, address, pte)
    var entry = pte_mkyoung(pte_modify(old_pte, vm_page_prot(vma)))
    if pte_write(orig_pte) { entry = pte_mkwrite(entry) }
    set_pte_at(mm, address, pte, entry)

    let page = pte_page(entry)
    if PageCompound(page) {
        pte_unmap_unlock(pte, ptl)
        return 0
    }
    let target_nid = numa_migrate_prep(page)
    pte_unmap_unlock(pte, ptl)
    guard target_nid >= 0 else {
        ops.put_page(page)
        return 0
    }
    _ = ops.migrate_misplaced_page(page, vma, target_nid)
    return 0
}

/// Takes a reference and says where the page should be: on the node of this CPU; -1 if it is there.
/// Linux v5.13, mm/memory.c, numa_migrate_prep(); mm/mempolicy.c, mpol_misplaced() with MPOL_F_MORON.
func numa_migrate_prep(_ page: page) -> Int32 {
    yield_point("page_count")
    get_page(page)
    return page.nid == this_cpu.nid ? -1 : Int32(this_cpu.nid)
}
