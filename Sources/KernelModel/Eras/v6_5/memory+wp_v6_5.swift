// SPDX-License-Identifier: GPL-2.0-only
// mm/memory.c and mm/huge_memory.c of Linux v6.5: an exclusive page is reused for a write without further checks, and a
// page that is found to have no other reference becomes exclusive.
//
// Left out: as in mm/memory+wp.swift and mm/memory+swap_fault.swift; SWP_STABLE_WRITES, which no swap device of the
// model asks for.

import CKernel
import Simulation

func install_memory_wp_v6_5(_ ops: kernel_ops) {
    ops.wp_can_reuse_anon_page = { page, vma in
        PageAnonExclusive(page) || reuse_unreferenced_page(page, vma, marksExclusive: true)
    }
    ops.do_swap_page = do_swap_page
    ops.do_huge_pmd_wp_page = do_huge_pmd_wp_page
}

/// Linux v6.5, mm/memory.c, do_swap_page().
private func do_swap_page(_ vmf: UnsafeMutablePointer<vm_fault>) -> vm_fault_t {
    let vma = vmf.pointee.vma
    let address = vmf.pointee.address
    let orig_pte = vmf.pointee.orig_pte
    let entry = pte_to_swp_entry(orig_pte)
    var ret: vm_fault_t = 0
    guard let page = lock_swap_page(vmf, entry, &ret) else { return ret }
    yield_point("PageLRU")
    if vmf.pointee.flags & FAULT_FLAG_WRITE != 0 && !PageLRU(page) { ops.lru_add_drain() }
    guard lock_swap_pte(vmf, page, &ret) else { return ret }
    BUG_ON(PageAnon(page) && PageAnonExclusive(page), "folio_test_anon(folio) && PageAnonExclusive(page)")

    ops.swap_free(entry)
    if should_try_to_free_swap(page, vma, vmf.pointee.flags) { _ = ops.try_to_free_swap(page) }
    vma.vm_mm.rss(Int(MM_ANONPAGES.rawValue)).pointee += 1
    vma.vm_mm.rss(Int(MM_SWAPENTS.rawValue)).pointee -= 1
    var new = mk_pte(page, vm_page_prot(vma))
    // The reference is the fault's own: it becomes that of the pte.
    yield_point("page_count")
    let exclusive = pte_swp_exclusive(orig_pte) || page_count(page) == 1
    if exclusive && vmf.pointee.flags & FAULT_FLAG_WRITE != 0 {
        new = maybe_mkwrite(pte_mkdirty(new), vma)
        vmf.pointee.flags &= ~FAULT_FLAG_WRITE
    }
    if pte_swp_uffd_wp(orig_pte) { new = pte_mkuffd_wp(new) }
    vmf.pointee.orig_pte = new
    ops.do_page_add_anon_rmap(page, vma, address, false, exclusive)
    VM_BUG_ON_PAGE(pte_write(new) && !PageAnonExclusive(page), "pte_write(pte) && !PageAnonExclusive(page)")
    set_pte_at(vma.vm_mm, address, vmf.pointee.pte!, new)
    unlock_page(page)
    return finish_swap_fault(vmf, ret)
}

/// Linux v6.5, mm/huge_memory.c, do_huge_pmd_wp_page().
private func do_huge_pmd_wp_page(_ vmf: UnsafeMutablePointer<vm_fault>) -> vm_fault_t {
    guard let page = lock_huge_pmd_of_fault(vmf) else { return 0 }
    var reuse = PageAnonExclusive(page)
    if !reuse {
        guard lock_huge_page_of_fault(vmf, page) else { return 0 }
        // The page table lock may have been dropped.
        reuse = PageAnonExclusive(page)
        yield_point("page_count")
        if !reuse && page_count(page) == 1 {
            ops.page_move_anon_rmap(page, vmf.pointee.vma)
            reuse = true
        }
        unlock_page(page)
    }
    let unshare = vmf.pointee.flags & FAULT_FLAG_UNSHARE != 0
    if reuse && !unshare { make_huge_pmd_writable(vmf) }
    spin_unlock(vmf.pointee.ptl!)
    if reuse { return 0 }
    ops.__split_huge_pmd(vmf.pointee.vma, vmf.pointee.pmd, vmf.pointee.address, false, nil)
    return VM_FAULT_FALLBACK
}
