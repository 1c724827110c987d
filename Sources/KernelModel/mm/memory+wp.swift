// SPDX-License-Identifier: GPL-2.0-only
// mm/memory.c of Linux v5.13: writes to pages that are mapped read-only.

import CKernel
import Simulation

func install_memory_wp(_ ops: kernel_ops) {
    ops.wp_can_reuse_anon_page = wp_can_reuse_anon_page
}

/// The page table lock is held, and released in each case.  Linux v5.13, mm/memory.c, do_wp_page().
func do_wp_page(_ vmf: UnsafeMutablePointer<vm_fault>) -> vm_fault_t {
    let vma = vmf.pointee.vma
    // From v5.19 on: a page is to be made the mm's own without being written to.
    let unshare = vmf.pointee.flags & FAULT_FLAG_UNSHARE != 0
    if !unshare && userfaultfd_pte_wp(vma, vmf.pointee.pte!.pointee) {
        pte_unmap_unlock(vmf.pointee.pte!, vmf.pointee.ptl!)
        return ops.handle_userfault(vmf, VM_UFFD_WP)
    }
    // Write protection may not have been flushed yet, and the page must not change while it is copied.
    if !unshare && userfaultfd_wp(vma) {
        yield_point("tlb_flush_pending")
        if vma.vm_mm.tlb_flush_pending != 0 { ops.flush_tlb_page(vma, vmf.pointee.address) }
    }
    let page = pte_page(vmf.pointee.orig_pte)
    vmf.pointee.page = page
    if PageAnon(page) {
        if ops.wp_can_reuse_anon_page(page, vma) {
            if unshare {
                pte_unmap_unlock(vmf.pointee.pte!, vmf.pointee.ptl!)
                return 0
            }
            wp_page_reuse(vmf)
            return VM_FAULT_WRITE
        }
    } else if vma.vm_flags & (VM_WRITE | VM_SHARED) == VM_WRITE | VM_SHARED {
        return wp_page_shared(vmf)
    }
    yield_point("page_count")
    get_page(page)
    pte_unmap_unlock(vmf.pointee.pte!, vmf.pointee.ptl!)
    return wp_page_copy(vmf)
}

/// Whether the pte at hand holds the only reference to an anonymous page.
/// Linux v5.13, mm/memory.c, the checks of do_wp_page(): a function of this name from v6.7 on.
private func wp_can_reuse_anon_page(_ page: page, _ vma: vm_area_struct) -> Bool {
    yield_point("page_count", "do_wp_page")
    if page_count(page) != 1 || !trylock_page(page, "do_wp_page") { return false }
    yield_point("page_count", "do_wp_page")
    let exclusive = page_mapcount(page) == 1 && page_count(page) == 1
    unlock_page(page, "do_wp_page")
    return exclusive
}

/// Linux v5.13, mm/memory.c, wp_page_reuse().
func wp_page_reuse(_ vmf: UnsafeMutablePointer<vm_fault>) {
    let vma = vmf.pointee.vma
    let pte = vmf.pointee.pte!
    let entry = maybe_mkwrite(pte_mkdirty(pte_mkyoung(vmf.pointee.orig_pte)), vma)
    _ = ptep_set_access_flags(vma, vmf.pointee.address, pte, entry, dirty: true)
    pte_unmap_unlock(pte, vmf.pointee.ptl!)
}

/// Gives the mm a page of its own.  The caller's reference to the old one goes.
/// Linux v5.13, mm/memory.c, wp_page_copy().
func wp_page_copy(_ vmf: UnsafeMutablePointer<vm_fault>) -> vm_fault_t {
    let vma = vmf.pointee.vma
    let mm = vma.vm_mm
    let address = vmf.pointee.address
    let old_page = vmf.pointee.page!
    let unshare = vmf.pointee.flags & FAULT_FLAG_UNSHARE != 0
    guard ops.anon_vma_prepare(vma) == 0, let new_page = ops.alloc_pages(GFP_HIGHUSER_MOVABLE, 0) else {
        ops.put_page(old_page)
        return VM_FAULT_OOM
    }
    copy_user_highpage(new_page, old_page)
    SetPageUptodate(new_page)

    var range = mmu_notifier_range(
        vma: vma, mm: mm, start: address, end: address + PAGE_SIZE, event: MMU_NOTIFY_CLEAR.rawValue)
    ops.mmu_notifier_invalidate_range_start(&range)

    // From v6.5 on: a table that has gone is like a pte that has changed.
    let mapped = pte_offset_map_lock(mm, vmf.pointee.pmd, address)
    (vmf.pointee.pte, vmf.pointee.ptl) = (mapped?.pte, mapped?.ptl)
    var page_copied = false
    if let (pte, _) = mapped, pte_same(pte.pointee, vmf.pointee.orig_pte) {
        page_copied = true
        if !PageAnon(old_page) {
            mm.rss(Int(mm_counter_file(old_page))).pointee -= 1
            mm.rss(Int(MM_ANONPAGES.rawValue)).pointee += 1
        }
        var entry = mk_pte(new_page, vm_page_prot(vma))
        if !unshare {
            entry = maybe_mkwrite(pte_mkdirty(entry), vma)
        } else if pte_uffd_wp(vmf.pointee.orig_pte) {
            entry = pte_mkuffd_wp(entry)
        }
        // The old page is out of every TLB before the new one can be written to.
        _ = ptep_clear_flush_notify(vma, address, pte)
        ops.page_add_new_anon_rmap(new_page, vma, address, false)
        ops.lru_cache_add_inactive_or_unevictable(new_page, vma)
        set_pte_at_notify(mm, address, pte, entry)
        // Only now may others see one mapping less, and reuse the old page.
        ops.page_remove_rmap(old_page, vma, false)
    }
    ops.put_page(page_copied ? old_page : new_page)
    if let (pte, ptl) = mapped { pte_unmap_unlock(pte, ptl) }
    ops.mmu_notifier_invalidate_range_only_end(&range)

    if page_copied { ops.wp_page_copied(vma, old_page) }
    ops.put_page(old_page)
    return page_copied && !unshare ? VM_FAULT_WRITE : 0
}

/// The end of wp_page_copy(): the vma maps the old page no more, and must not keep it mlocked.
func wp_page_copied(_ vma: vm_area_struct, _ old_page: page) {
    if vma.vm_flags & VM_LOCKED == 0 { return }
    lock_page(old_page, "wp_page_copy")
    yield_point("PageMlocked", "wp_page_copy")
    if PageMlocked(old_page) { _ = ops.munlock_vma_page(old_page) }
    unlock_page(old_page, "wp_page_copy")
}

/// Linux v5.13, mm/memory.c, wp_page_shared().
func wp_page_shared(_ vmf: UnsafeMutablePointer<vm_fault>) -> vm_fault_t {
    let page = vmf.pointee.page!
    yield_point("page_count")
    get_page(page)
    if has_page_mkwrite(vmf.pointee.vma) {
        pte_unmap_unlock(vmf.pointee.pte!, vmf.pointee.ptl!)
        let made = do_page_mkwrite(vmf)
        if made == 0 || made & (VM_FAULT_ERROR | VM_FAULT_NOPAGE) != 0 {
            ops.put_page(page)
            return made
        }
        let finished = finish_mkwrite_fault(vmf)
        if finished & (VM_FAULT_ERROR | VM_FAULT_NOPAGE) != 0 {
            unlock_page(page)
            ops.put_page(page)
            return finished
        }
    } else {
        wp_page_reuse(vmf)
        lock_page(page)
    }
    let ret = VM_FAULT_WRITE | fault_dirty_shared_page(vmf)
    ops.put_page(page)
    return ret
}

/// Linux v5.13, mm/memory.c, finish_mkwrite_fault().
private func finish_mkwrite_fault(_ vmf: UnsafeMutablePointer<vm_fault>) -> vm_fault_t {
    let mm = vmf.pointee.vma.vm_mm
    guard let (pte, ptl) = pte_offset_map_lock(mm, vmf.pointee.pmd, vmf.pointee.address) else {
        return VM_FAULT_NOPAGE
    }
    (vmf.pointee.pte, vmf.pointee.ptl) = (pte, ptl)
    if !pte_same(pte.pointee, vmf.pointee.orig_pte) {
        pte_unmap_unlock(pte, ptl)
        return VM_FAULT_NOPAGE
    }
    wp_page_reuse(vmf)
    return 0
}
