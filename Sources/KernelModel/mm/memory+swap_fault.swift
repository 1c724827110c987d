// SPDX-License-Identifier: GPL-2.0-only
// mm/memory.c of Linux v5.13: faults on swap entries and their kin.
//
// Left out: swap devices that are read without the swap cache (SWP_SYNCHRONOUS_IO), KSM's copies, device
// private entries, workingset refaults, delay accounting.

import CKernel
import Simulation

func install_memory_swap_fault(_ ops: kernel_ops) {
    ops.do_swap_page = do_swap_page
}

/// Linux v5.13, mm/memory.c, do_swap_page().
private func do_swap_page(_ vmf: UnsafeMutablePointer<vm_fault>) -> vm_fault_t {
    let vma = vmf.pointee.vma
    let address = vmf.pointee.address
    let orig_pte = vmf.pointee.orig_pte
    let entry = pte_to_swp_entry(orig_pte)
    var ret: vm_fault_t = 0
    guard let page = lock_swap_page(vmf, entry, &ret) else { return ret }
    guard lock_swap_pte(vmf, page, &ret) else { return ret }

    vma.vm_mm.rss(Int(MM_ANONPAGES.rawValue)).pointee += 1
    vma.vm_mm.rss(Int(MM_SWAPENTS.rawValue)).pointee -= 1
    var new = mk_pte(page, vm_page_prot(vma))
    var exclusive = false
    // Counts users while the page is a user of its swap entry and not yet mapped for it.
    if vmf.pointee.flags & FAULT_FLAG_WRITE != 0 && ops.reuse_swap_page(page) {
        new = maybe_mkwrite(pte_mkdirty(new), vma)
        vmf.pointee.flags &= ~FAULT_FLAG_WRITE
        ret |= VM_FAULT_WRITE
        exclusive = true
    }
    if pte_swp_uffd_wp(orig_pte) { new = pte_mkuffd_wp(new) }
    set_pte_at(vma.vm_mm, address, vmf.pointee.pte!, new)
    vmf.pointee.orig_pte = new
    ops.do_page_add_anon_rmap(page, vma, address, false, exclusive)

    ops.swap_free(entry)
    yield_point("PageMlocked")
    if vm_swap_full() || vma.vm_flags & VM_LOCKED != 0 || PageMlocked(page) { _ = ops.try_to_free_swap(page) }
    unlock_page(page)
    return finish_swap_fault(vmf, ret)
}

// MARK: - What it has in common with later versions

/// Finds the page of a swap entry, or reads it in, and locks it: nil if the fault ends before that, with `ret`.
func lock_swap_page(
    _ vmf: UnsafeMutablePointer<vm_fault>, _ entry: swp_entry_t, _ ret: UnsafeMutablePointer<vm_fault_t>
) -> page? {
    let mm = vmf.pointee.vma.vm_mm
    // A pte is one word, so it was read whole (pte_unmap_same()).
    ops.pte_unmap(vmf.pointee.pte!)
    vmf.pointee.pte = nil
    // From v6.4 on: what follows may drop mmap_lock.
    if vmf.pointee.flags & FAULT_FLAG_VMA_LOCK != 0 {
        ret.pointee = VM_FAULT_RETRY
        return nil
    }
    if non_swap_entry(entry) {
        if is_pte_marker_entry(entry) {
            ret.pointee = handle_pte_marker(vmf)
        } else if is_migration_entry(entry) {
            ops.migration_entry_wait(mm, vmf.pointee.pmd, vmf.pointee.address)
        } else {
            ret.pointee = VM_FAULT_SIGBUS
        }
        return nil
    }
    var found = ops.lookup_swap_cache(entry)
    if found == nil {
        found = ops.swapin_readahead(entry)
        if found != nil {
            ret.pointee = VM_FAULT_MAJOR
            count_vm_events(Int32(PGMAJFAULT.rawValue), 1)
        }
    }
    guard let page = found else {
        // Somebody else may have brought it in.
        guard let (pte, ptl) = pte_offset_map_lock(mm, vmf.pointee.pmd, vmf.pointee.address, "do_swap_page") else {
            return nil
        }
        let same = pte_same(pte.pointee, vmf.pointee.orig_pte)
        pte_unmap_unlock(pte, ptl, "do_swap_page")
        if same { ret.pointee = VM_FAULT_OOM }
        return nil
    }

    guard lock_page_or_retry(page, mm, vmf.pointee.flags) else {
        ops.put_page(page)
        ret.pointee |= VM_FAULT_RETRY
        return nil
    }
    // Until it was locked, the page could leave the swap cache, and come back for another entry.
    guard PageSwapCache(page) && page.private_ == entry.val else {
        unlock_page(page, "do_swap_page")
        ops.put_page(page)
        return nil
    }
    return page
}

/// Locks the pte of the fault.  False: it has changed, or the page was not read; the page is given up.
func lock_swap_pte(
    _ vmf: UnsafeMutablePointer<vm_fault>, _ page: page, _ ret: UnsafeMutablePointer<vm_fault_t>
) -> Bool {
    let mapped = pte_offset_map_lock(vmf.pointee.vma.vm_mm, vmf.pointee.pmd, vmf.pointee.address, "do_swap_page")
    if let (pte, ptl) = mapped {
        (vmf.pointee.pte, vmf.pointee.ptl) = (pte, ptl)
        let same = pte_same(pte.pointee, vmf.pointee.orig_pte)
        if same && PageUptodate(page) { return true }
        if same { ret.pointee = VM_FAULT_SIGBUS }
        pte_unmap_unlock(pte, ptl, "do_swap_page")
    }
    unlock_page(page, "do_swap_page")
    ops.put_page(page)
    return false
}

/// A write that could not have the page to itself goes on as a write to a page that is mapped read-only.
func finish_swap_fault(_ vmf: UnsafeMutablePointer<vm_fault>, _ result: vm_fault_t) -> vm_fault_t {
    if vmf.pointee.flags & FAULT_FLAG_WRITE != 0 {
        let ret = result | do_wp_page(vmf)
        return ret & VM_FAULT_ERROR != 0 ? ret & VM_FAULT_ERROR : ret
    }
    pte_unmap_unlock(vmf.pointee.pte!, vmf.pointee.ptl!, "do_swap_page")
    return result
}

/// Locks the page.  False: it was locked, the first try of a fault may give up mmap_lock, and has; it has waited.
/// Linux v5.13, mm/filemap.c, __lock_page_or_retry().  Left out: fatal signals while waiting.
func lock_page_or_retry(_ page: page, _ mm: mm_struct, _ flags: UInt32) -> Bool {
    if trylock_page(page) { return true }
    if flags & (FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_TRIED) == FAULT_FLAG_ALLOW_RETRY {
        up_read(mm.mmap_lock)
        wait_on_page_locked(page)
        return false
    }
    lock_page(page)
    return true
}

// MARK: - Markers

/// Linux v6.5, mm/memory.c, handle_pte_marker(), pte_marker_handle_uffd_wp().  Left out: PTE_MARKER_SWAPIN_ERROR.
private func handle_pte_marker(_ vmf: UnsafeMutablePointer<vm_fault>) -> vm_fault_t {
    // A vma that was unregistered, or moved, may have kept some.
    userfaultfd_wp(vmf.pointee.vma) ? do_pte_missing(vmf) : pte_marker_clear(vmf)
}

/// Linux v6.5, mm/memory.c, pte_marker_clear().
private func pte_marker_clear(_ vmf: UnsafeMutablePointer<vm_fault>) -> vm_fault_t {
    let mm = vmf.pointee.vma.vm_mm
    guard let (pte, ptl) = pte_offset_map_lock(mm, vmf.pointee.pmd, vmf.pointee.address) else { return 0 }
    if pte_same(vmf.pointee.orig_pte, pte.pointee) { pte_clear(mm, vmf.pointee.address, pte) }
    pte_unmap_unlock(pte, ptl)
    return 0
}
