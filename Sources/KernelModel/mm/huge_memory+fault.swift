// SPDX-License-Identifier: GPL-2.0-only
// mm/huge_memory.c of Linux v5.13: faults that make, write to or touch a huge page; do_set_pmd() of
// mm/memory.c, which maps one of a file.
//
// Left out, besides what huge_memory.swift names: mm_forbids_zeropage(); the check of MMF_UNSTABLE, since
// there is no OOM reaper.

import CKernel
import Simulation

func install_huge_memory_fault(_ ops: kernel_ops) {
    ops.do_huge_pmd_anonymous_page = do_huge_pmd_anonymous_page
    ops.do_huge_pmd_wp_page = do_huge_pmd_wp_page
    ops.huge_pmd_set_accessed = huge_pmd_set_accessed
    ops.do_set_pmd = do_set_pmd
}

/// With defrag=madvise, a vma that asked for huge pages is worth direct reclaim and compaction.
/// Linux v5.13, mm/huge_memory.c, vma_thp_gfp_mask().
func vma_thp_gfp_mask(_ vma: vm_area_struct?) -> gfp_t {
    guard let vma, vma.vm_flags & VM_HUGEPAGE != 0 else { return GFP_TRANSHUGE }
    return GFP_TRANSHUGE | GFP_HIGHUSER_MOVABLE
}

/// Linux v5.13, mm/mempolicy.c, alloc_pages_vma() for a huge page: from this node with compaction alone,
/// and only then, if it may reclaim, from any node.
func alloc_hugepage_vma(_ gfp: gfp_t) -> page? {
    let nid = Int32(this_cpu.nid)
    let order = UInt32(kernel.hpage_pmd_order)
    let page = ops.alloc_pages_node(nid, gfp | __GFP_THISNODE | __GFP_NORETRY, order)
    return page == nil && gfp & GFP_HIGHUSER_MOVABLE != 0 ? ops.alloc_pages_node(nid, gfp, order) : page
}

/// Linux v5.13, mm/memory.c, clear_huge_page(): nobody else can see the page yet.
private func clear_huge_page(_ page: page) {
    might_sleep("clear_huge_page")
    for i in 0..<hpage_pmd_nr { page_add(page, i).contents = 0 }
}

/// Maps a new huge page.  Linux v5.13, mm/huge_memory.c, __do_huge_pmd_anonymous_page().
private func __do_huge_pmd_anonymous_page(_ vmf: UnsafeMutablePointer<vm_fault>, _ page: page) -> vm_fault_t {
    let vma = vmf.pointee.vma
    let mm = vma.vm_mm
    let pmd = vmf.pointee.pmd
    let haddr = vmf.pointee.address & PMD_MASK()
    VM_BUG_ON_PAGE(!PageCompound(page), "!PageCompound(page)")

    guard let pgtable = pte_alloc_one(mm) else {
        ops.put_page(page)
        return VM_FAULT_OOM
    }
    clear_huge_page(page)
    SetPageUptodate(page)

    let ptl = pmd_lock(mm, pmd)
    vmf.pointee.ptl = ptl
    guard pmd_none(pmd.pointee) else {
        spin_unlock(ptl)
        pte_free(mm, pgtable)
        ops.put_page(page)
        return 0
    }
    if userfaultfd_missing(vma) {
        spin_unlock(ptl)
        ops.put_page(page)
        pte_free(mm, pgtable)
        return ops.handle_userfault(vmf, VM_UFFD_MISSING)
    }
    let entry = maybe_pmd_mkwrite(pmd_mkdirty(mk_huge_pmd(page, vm_page_prot(vma))), vma)
    ops.page_add_new_anon_rmap(page, vma, haddr, true)
    ops.lru_cache_add_inactive_or_unevictable(page, vma)
    pgtable_trans_huge_deposit(mm, pmd, pgtable)
    set_pmd_at(mm, haddr, pmd, entry)
    mm.rss(Int(MM_ANONPAGES.rawValue)).pointee += hpage_pmd_nr
    mm_inc_nr_ptes(mm)
    spin_unlock(ptl)
    count_vm_events(Int32(THP_FAULT_ALLOC.rawValue), 1)
    return 0
}

/// Linux v5.13, mm/huge_memory.c, do_huge_pmd_anonymous_page().
private func do_huge_pmd_anonymous_page(_ vmf: UnsafeMutablePointer<vm_fault>) -> vm_fault_t {
    let vma = vmf.pointee.vma
    if !transhuge_vma_suitable(vma, vmf.pointee.address & PMD_MASK()) { return VM_FAULT_FALLBACK }
    if ops.anon_vma_prepare(vma) != 0 { return VM_FAULT_OOM }
    if ops.khugepaged_enter(vma, vma.vm_flags) != 0 { return VM_FAULT_OOM }
    guard let page = alloc_hugepage_vma(vma_thp_gfp_mask(vma)) else {
        count_vm_events(Int32(THP_FAULT_FALLBACK.rawValue), 1)
        return VM_FAULT_FALLBACK
    }
    return __do_huge_pmd_anonymous_page(vmf, page)
}

/// Linux v5.13, mm/huge_memory.c, huge_pmd_set_accessed().
private func huge_pmd_set_accessed(_ vmf: UnsafeMutablePointer<vm_fault>) {
    let vma = vmf.pointee.vma
    let pmd = vmf.pointee.pmd
    let write = vmf.pointee.flags & FAULT_FLAG_WRITE != 0
    let ptl = pmd_lock(vma.vm_mm, pmd)
    vmf.pointee.ptl = ptl
    if pmd_same(pmd.pointee, vmf.pointee.orig_pmd) {
        var entry = pmd_mkyoung(vmf.pointee.orig_pmd)
        if write { entry = pmd_mkdirty(entry) }
        _ = pmdp_set_access_flags(vma, vmf.pointee.address & PMD_MASK(), pmd, entry, dirty: write)
    }
    spin_unlock(ptl)
}

/// A write to a write-protected anonymous huge page: it becomes writable if nobody else uses any of it,
/// or else is mapped by ptes, one of which the fault is then about.
/// Linux v5.13, mm/huge_memory.c, do_huge_pmd_wp_page().
private func do_huge_pmd_wp_page(_ vmf: UnsafeMutablePointer<vm_fault>) -> vm_fault_t {
    guard let page = lock_huge_pmd_of_fault(vmf), lock_huge_page_of_fault(vmf, page) else { return 0 }
    if ops.reuse_swap_page(page) {
        make_huge_pmd_writable(vmf)
        unlock_page(page)
        spin_unlock(vmf.pointee.ptl!)
        return VM_FAULT_WRITE
    }
    unlock_page(page)
    spin_unlock(vmf.pointee.ptl!)
    ops.__split_huge_pmd(vmf.pointee.vma, vmf.pointee.pmd, vmf.pointee.address, false, nil)
    return VM_FAULT_FALLBACK
}

/// Locks the page table.  Nil: the pmd has changed.  Part of do_huge_pmd_wp_page().
func lock_huge_pmd_of_fault(_ vmf: UnsafeMutablePointer<vm_fault>) -> page? {
    let vma = vmf.pointee.vma
    let pmd = vmf.pointee.pmd
    let ptl = pmd_lockptr(vma.vm_mm, pmd)
    vmf.pointee.ptl = ptl
    BUG_ON(vma.anon_vma == nil, "!vma->anon_vma", "do_huge_pmd_wp_page")
    spin_lock(ptl, "do_huge_pmd_wp_page")
    if !pmd_same(pmd.pointee, vmf.pointee.orig_pmd) {
        spin_unlock(ptl, "do_huge_pmd_wp_page")
        return nil
    }
    let page = pmd_page(vmf.pointee.orig_pmd)
    VM_BUG_ON_PAGE(!PageHead(page), "!PageHead(page)", "do_huge_pmd_wp_page")
    return page
}

/// Locks the page as well: whether it can be reused is known only then.  False: the pmd has changed meanwhile.
func lock_huge_page_of_fault(_ vmf: UnsafeMutablePointer<vm_fault>, _ page: page) -> Bool {
    let ptl = vmf.pointee.ptl!
    if trylock_page(page, "do_huge_pmd_wp_page") { return true }
    yield_point("page_count", "do_huge_pmd_wp_page")
    get_page(page)
    spin_unlock(ptl, "do_huge_pmd_wp_page")
    lock_page(page, "do_huge_pmd_wp_page")
    spin_lock(ptl, "do_huge_pmd_wp_page")
    let same = pmd_same(vmf.pointee.pmd.pointee, vmf.pointee.orig_pmd)
    if !same {
        spin_unlock(ptl, "do_huge_pmd_wp_page")
        unlock_page(page, "do_huge_pmd_wp_page")
    }
    ops.put_page(page)
    return same
}

func make_huge_pmd_writable(_ vmf: UnsafeMutablePointer<vm_fault>) {
    let vma = vmf.pointee.vma
    let entry = maybe_pmd_mkwrite(pmd_mkdirty(pmd_mkyoung(vmf.pointee.orig_pmd)), vma)
    let haddr = vmf.pointee.address & PMD_MASK()
    _ = pmdp_set_access_flags(vma, haddr, vmf.pointee.pmd, entry, dirty: true, "do_huge_pmd_wp_page")
}

/// Maps a huge page of a file by its pmd, if the vma and the pmd allow it.
/// Linux v5.13, mm/memory.c, do_set_pmd().
private func do_set_pmd(_ vmf: UnsafeMutablePointer<vm_fault>, _ page: page) -> vm_fault_t {
    let vma = vmf.pointee.vma
    let mm = vma.vm_mm
    let pmd = vmf.pointee.pmd
    let haddr = vmf.pointee.address & PMD_MASK()
    if !transhuge_vma_suitable(vma, haddr) { return VM_FAULT_FALLBACK }
    let page = compound_head(page)
    if !PageHead(page) { return VM_FAULT_FALLBACK }

    let ptl = pmd_lock(mm, pmd)
    vmf.pointee.ptl = ptl
    guard pmd_none(pmd.pointee) else {
        spin_unlock(ptl)
        return VM_FAULT_FALLBACK
    }
    var entry = mk_huge_pmd(page, vm_page_prot(vma))
    if vmf.pointee.flags & FAULT_FLAG_WRITE != 0 { entry = maybe_pmd_mkwrite(pmd_mkdirty(entry), vma) }
    mm.rss(Int(mm_counter_file(page))).pointee += hpage_pmd_nr
    ops.page_add_file_rmap(page, vma, true)
    set_pmd_at(mm, haddr, pmd, entry)
    count_vm_events(Int32(THP_FILE_MAPPED.rawValue), 1)
    spin_unlock(ptl)
    return 0
}
