// SPDX-License-Identifier: GPL-2.0-only
// NUMA hinting faults on huge pages: do_huge_pmd_numa_page() of mm/huge_memory.c and
// migrate_misplaced_transhuge_page() of mm/migrate.c, Linux v5.13.
//
// Left out: the statistics of NUMA faults, which only steer the scheduler and the scan rate; memory policies
// (the page belongs on the node of this CPU); is_shared_exec_page(), since only anonymous pages get here.

import CKernel
import Simulation

func install_huge_memory_numa(_ ops: kernel_ops) {
    ops.do_huge_pmd_numa_page = do_huge_pmd_numa_page
    ops.migrate_misplaced_transhuge_page = migrate_misplaced_transhuge_page
}

/// Linux v5.13, mm/huge_memory.c, do_huge_pmd_numa_page().
private func do_huge_pmd_numa_page(_ vmf: UnsafeMutablePointer<vm_fault>) -> vm_fault_t {
    let vma = vmf.pointee.vma
    let pmdp = vmf.pointee.pmd
    let pmd = vmf.pointee.orig_pmd
    let haddr = vmf.pointee.address & PMD_MASK()
    let ptl = pmd_lock(vma.vm_mm, pmdp)
    vmf.pointee.ptl = ptl
    if !pmd_same(pmd, pmdp.pointee) {
        spin_unlock(ptl)
        return 0
    }
    let page = pmd_page(pmd)
    // The page lock serialises migrations; one that runs is waited for, and the fault tried again.
    if !trylock_page(page) {
        yield_point("page_count")
        let grabbed = get_page_unless_zero(page)
        spin_unlock(ptl)
        if grabbed { put_and_wait_on_page_locked(page) }
        return 0
    }
    if page.nid == this_cpu.nid {
        clear_pmdnuma(vma, haddr, pmdp, pmd)
        unlock_page(page)
        spin_unlock(ptl)
        return 0
    }

    yield_point("page_count")
    get_page(page)
    spin_unlock(ptl)
    // Keeps the page from being split.
    let anon_vma = ops.page_lock_anon_vma_read(page)
    defer { if let anon_vma { ops.page_unlock_anon_vma_read(anon_vma) } }
    spin_lock(ptl)
    if !pmd_same(pmd, pmdp.pointee) {
        unlock_page(page)
        ops.put_page(page)
        spin_unlock(ptl)
        return 0
    }
    if anon_vma == nil {
        ops.put_page(page)
        clear_pmdnuma(vma, haddr, pmdp, pmd)
        unlock_page(page)
        spin_unlock(ptl)
        return 0
    }
    // All CPUs must agree that the page is not accessible, before it is copied.
    yield_point("tlb_flush_pending")
    if vma.vm_mm.tlb_flush_pending != 0 {
        flush_tlb_range(vma, haddr, haddr + PMD_SIZE())
        ops.mmu_notifier_invalidate_range(vma.vm_mm, haddr, haddr + PMD_SIZE())
    }
    spin_unlock(ptl)
    _ = ops.migrate_misplaced_transhuge_page(
        vma.vm_mm, vma, pmdp, pmd, vmf.pointee.address, page, Int32(this_cpu.nid))
    return 0
}

/// The label clear_pmdnuma of do_huge_pmd_numa_page(): the page stays, and is accessible again.
private func clear_pmdnuma(
    _ vma: vm_area_struct, _ haddr: UInt, _ pmdp: UnsafeMutablePointer<pmd_t>, _ pmd: pmd_t
) {
    var entry = pmd_mkyoung(pmd_modify(pmd, vm_page_prot(vma)))
    if pmd_write(pmd) { entry = pmd_mkwrite(entry) }
    set_pmd_at(vma.vm_mm, haddr, pmdp, entry, "do_huge_pmd_numa_page")
}

/// Linux v5.13, mm/internal.h, mlock_migrate_page().
private func mlock_migrate_page(_ newpage: page, _ page: page) {
    yield_point("PageMlocked")
    if TestClearPageMlocked(page) { SetPageMlocked(newpage) }
}

/// Moves a locked huge page, which the caller refers to, and drops lock and reference; 1 if it was moved.  The
/// pmd changes from the old page to the new one without a migration entry: nobody could access the old page.
/// Linux v5.13, mm/migrate.c, migrate_misplaced_transhuge_page().
private func migrate_misplaced_transhuge_page(
    _ mm: mm_struct, _ vma: vm_area_struct, _ pmdp: UnsafeMutablePointer<pmd_t>, _ pmd: pmd_t, _ address: UInt,
    _ page: page, _ nid: Int32
) -> Int32 {
    let start = address & PMD_MASK()
    guard let new_page = new_page_on_node(page, nid) else {
        count_vm_events(Int32(PGMIGRATE_FAIL.rawValue), hpage_pmd_nr)
        let ptl = pmd_lock(mm, pmdp)
        if pmd_same(pmdp.pointee, pmd) { set_pmd_at(mm, start, pmdp, pmd_modify(pmd, vm_page_prot(vma))) }
        spin_unlock(ptl)
        unlock_page(page)
        ops.put_page(page)
        return 0
    }
    __SetPageLocked(new_page)
    if PageSwapBacked(page) { SetPageSwapBacked(new_page) }
    new_page.mapping = page.mapping
    new_page.index = page.index
    migrate_page_copy(new_page, page)

    let ptl = pmd_lock(mm, pmdp)
    yield_point("page_count")
    if !pmd_same(pmdp.pointee, pmd) || !page_ref_freeze(page, 2) {
        spin_unlock(ptl)
        if TestClearPageActive(new_page) { SetPageActive(page) }
        if TestClearPageUnevictable(new_page) { SetPageUnevictable(page) }
        unlock_page(new_page)
        ops.put_page(new_page)
        // One reference stays the isolation's.
        get_page(page)
        ops.putback_lru_page(page)
        mod_isolated_state(page, -1)
        unlock_page(page)
        ops.put_page(page)
        return 0
    }
    ops.page_add_anon_rmap(new_page, vma, start, true)
    let entry = maybe_pmd_mkwrite(pmd_mkdirty(mk_huge_pmd(new_page, vm_page_prot(vma))), vma)
    set_pmd_at(mm, start, pmdp, entry)
    page_ref_unfreeze(page, 2)
    mlock_migrate_page(new_page, page)
    ops.page_remove_rmap(page, vma, true)
    spin_unlock(ptl)

    // The new page gets a reference for its way to the LRU.
    get_page(new_page)
    ops.putback_lru_page(new_page)
    unlock_page(new_page)
    unlock_page(page)
    // The mapping's, and the isolation's.
    ops.put_page(page)
    ops.put_page(page)
    count_vm_events(Int32(PGMIGRATE_SUCCESS.rawValue), hpage_pmd_nr)
    mod_isolated_state(new_page, -1)
    return 1
}

/// A huge page on the node, and the old one taken off the LRU for it; nil if either fails.
private func new_page_on_node(_ page: page, _ nid: Int32) -> CKernel.page? {
    let order = UInt32(kernel.hpage_pmd_order)
    guard let new_page = ops.alloc_pages_node(nid, GFP_TRANSHUGE | __GFP_THISNODE, order) else { return nil }
    if numamigrate_isolate_page(kernel.node(Int(nid)), page) { return new_page }
    ops.put_page(new_page)
    return nil
}
