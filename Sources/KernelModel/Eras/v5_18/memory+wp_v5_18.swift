// SPDX-License-Identifier: GPL-2.0-only
// mm/memory.c of Linux v5.18-rc1: a page is reused for a write if there is no other reference to it
// (53a05ad9f21d, d4c470970d45, c145e0b47c77).  The page of a swap entry, too: users of the entry do not count any more,
// since the page leaves the swap cache first, if it can (reuse_swap_page() is gone).
//
// Left out: as in mm/memory+wp.swift and mm/memory+swap_fault.swift.

import CKernel
import Simulation

func install_memory_wp_v5_18(_ ops: kernel_ops) {
    ops.wp_can_reuse_anon_page = { reuse_unreferenced_page($0, $1, marksExclusive: false) }
    ops.do_swap_page = do_swap_page
}

/// Whether the pte at hand holds the only reference to an anonymous page, once this CPU's batches and the swap cache
/// have given up theirs.  Leaves the page as it was, or out of the swap cache.
/// Linux v5.18-rc1, mm/memory.c, the checks of do_wp_page().
///
/// - Parameter marksExclusive: then it is the mm's own, as from v5.19 on.
func reuse_unreferenced_page(_ page: page, _ vma: vm_area_struct, marksExclusive: Bool) -> Bool {
    yield_point("page_count", "do_wp_page")
    // Not worth the trouble: the pte, the swap cache and one batch make three.
    if page_count(page) > 3 { return false }
    yield_point("PageLRU", "do_wp_page")
    if !PageLRU(page) { ops.lru_add_drain() }
    yield_point("page_count", "do_wp_page")
    if page_count(page) > 1 + (PageSwapCache(page) ? 1 : 0) { return false }
    if !trylock_page(page, "do_wp_page") { return false }
    if PageSwapCache(page) { _ = ops.try_to_free_swap(page) }
    yield_point("page_count", "do_wp_page")
    let alone = page_count(page) == 1
    if alone && marksExclusive { ops.page_move_anon_rmap(page, vma) }
    unlock_page(page, "do_wp_page")
    return alone
}

/// Linux v5.18-rc1, mm/memory.c, should_try_to_free_swap().
func should_try_to_free_swap(_ page: page, _ vma: vm_area_struct, _ flags: UInt32) -> Bool {
    if !PageSwapCache(page) { return false }
    yield_point("PageMlocked")
    if vm_swap_full() || vma.vm_flags & VM_LOCKED != 0 || PageMlocked(page) { return true }
    yield_point("page_count")
    return flags & FAULT_FLAG_WRITE != 0 && page_count(page) == 2
}

/// Linux v5.18-rc1, mm/memory.c, do_swap_page().
private func do_swap_page(_ vmf: UnsafeMutablePointer<vm_fault>) -> vm_fault_t {
    let vma = vmf.pointee.vma
    let address = vmf.pointee.address
    let entry = pte_to_swp_entry(vmf.pointee.orig_pte)
    var ret: vm_fault_t = 0
    guard let page = lock_swap_page(vmf, entry, &ret) else { return ret }
    yield_point("PageLRU")
    if vmf.pointee.flags & FAULT_FLAG_WRITE != 0 && !PageLRU(page) { ops.lru_add_drain() }
    guard lock_swap_pte(vmf, page, &ret) else { return ret }

    ops.swap_free(entry)
    if should_try_to_free_swap(page, vma, vmf.pointee.flags) { _ = ops.try_to_free_swap(page) }
    vma.vm_mm.rss(Int(MM_ANONPAGES.rawValue)).pointee += 1
    vma.vm_mm.rss(Int(MM_SWAPENTS.rawValue)).pointee -= 1
    var new = mk_pte(page, vm_page_prot(vma))
    var exclusive = false
    // The reference is the fault's own: it becomes that of the pte.
    yield_point("page_count")
    if vmf.pointee.flags & FAULT_FLAG_WRITE != 0 && page_count(page) == 1 {
        new = maybe_mkwrite(pte_mkdirty(new), vma)
        vmf.pointee.flags &= ~FAULT_FLAG_WRITE
        ret |= VM_FAULT_WRITE
        exclusive = true
    }
    if pte_swp_uffd_wp(vmf.pointee.orig_pte) { new = pte_mkuffd_wp(new) }
    set_pte_at(vma.vm_mm, address, vmf.pointee.pte!, new)
    vmf.pointee.orig_pte = new
    ops.do_page_add_anon_rmap(page, vma, address, false, exclusive)
    unlock_page(page)
    return finish_swap_fault(vmf, ret)
}
