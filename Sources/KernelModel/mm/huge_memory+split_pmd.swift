// SPDX-License-Identifier: GPL-2.0-only
// mm/huge_memory.c of Linux v5.13: splitting a huge pmd.  An anonymous huge page is mapped by ptes from
// then on, in place; a file's is unmapped, since its faults find it again.

import CKernel
import Simulation

func install_huge_memory_split_pmd(_ ops: kernel_ops) {
    ops.__split_huge_pmd = __split_huge_pmd
    ops.__split_huge_pmd_locked = __split_huge_pmd_locked
    ops.split_huge_pmd = split_huge_pmd
    ops.split_huge_pmd_address = split_huge_pmd_address
    ops.vma_adjust_trans_huge = vma_adjust_trans_huge
}

/// The file part of __split_huge_pmd_locked(): the mapping goes.
func unmap_file_pmd(_ vma: vm_area_struct, _ pmd: UnsafeMutablePointer<pmd_t>, _ haddr: UInt) {
    let mm = vma.vm_mm
    // pmdp_huge_clear_flush_notify()
    let old_pmd = ops.pmdp_huge_clear_flush(vma, haddr, pmd)
    ops.mmu_notifier_invalidate_range(mm, haddr, haddr + PMD_SIZE())
    let page: page
    if is_pmd_migration_entry(old_pmd) {
        page = migration_entry_to_page(pmd_to_swp_entry(old_pmd))
    } else {
        page = pmd_page(old_pmd)
        yield_point("PageDirty", "__split_huge_pmd_locked")
        if !PageDirty(page) && pmd_dirty(old_pmd) { ops.set_page_dirty(page) }
        yield_point("PageReferenced", "__split_huge_pmd_locked")
        if !PageReferenced(page) && pmd_young(old_pmd) { SetPageReferenced(page) }
        ops.page_remove_rmap(page, vma, true)
        ops.put_page(page)
    }
    mm.rss(Int(mm_counter_file(page))).pointee -= hpage_pmd_nr
}

/// Replaces a huge pmd by ptes, or by none; with `freeze`, by migration entries, for the split of the page.
/// Linux v5.13, mm/huge_memory.c, __split_huge_pmd_locked().
private func __split_huge_pmd_locked(
    _ vma: vm_area_struct, _ pmd: UnsafeMutablePointer<pmd_t>, _ haddr: UInt, _ freeze: Bool
) {
    let mm = vma.vm_mm
    BUG_ON(haddr & ~PMD_MASK() != 0, "haddr & ~HPAGE_PMD_MASK")
    BUG_ON(vma.vm_start > haddr, "vma->vm_start > haddr")
    BUG_ON(vma.vm_end < haddr + PMD_SIZE(), "vma->vm_end < haddr + HPAGE_PMD_SIZE")
    BUG_ON(!is_pmd_migration_entry(pmd.pointee) && !pmd_trans_huge(pmd.pointee), "!pmd_trans_huge(*pmd)")
    count_vm_events(Int32(THP_SPLIT_PMD.rawValue), 1)

    if !vma_is_anonymous(vma) {
        unmap_file_pmd(vma, pmd, haddr)
        return
    }

    // No CPU may have the huge and a small translation of an address at once: first none, then small.
    let old_pmd = pmdp_invalidate(vma, haddr, pmd)
    let pmd_migration = is_pmd_migration_entry(old_pmd)
    let page: page
    let write: Bool
    let young: Bool
    var uffd_wp = false
    if pmd_migration {
        let entry = pmd_to_swp_entry(old_pmd)
        page = migration_entry_to_page(entry)
        write = is_write_migration_entry(entry)
        young = false
        uffd_wp = pmd_swp_uffd_wp(old_pmd)
    } else {
        page = pmd_page(old_pmd)
        if pmd_dirty(old_pmd) { SetPageDirty(page) }
        write = pmd_write(old_pmd)
        young = pmd_young(old_pmd)
        uffd_wp = pmd_uffd_wp(old_pmd)
    }
    yield_point("page_count")
    VM_BUG_ON_PAGE(page_count(page) == 0, "!page_count(page)")
    page_ref_add(page, Int32(hpage_pmd_nr - 1))

    let pgtable = pgtable_trans_huge_withdraw(mm, pmd)
    // Nobody reaches the table yet; that the pages are counted as mapped by ptes is one step for others.
    yield_point("mapcount")
    for i in 0..<hpage_pmd_nr {
        let subpage = page_add(page, i)
        var entry: pte_t
        if freeze || pmd_migration {
            entry = swp_entry_to_pte(make_migration_entry(subpage, write))
            if uffd_wp { entry = pte_swp_mkuffd_wp(entry) }
        } else {
            entry = maybe_mkwrite(mk_pte(subpage, vm_page_prot(vma)), vma)
            if !write { entry = pte_wrprotect(entry) }
            if !young { entry = pte_mkold(entry) }
            if uffd_wp { entry = pte_mkuffd_wp(entry) }
        }
        let pte = page_table_pte(pgtable, haddr + UInt(i) * PAGE_SIZE)
        BUG_ON(!pte_none(pte.pointee), "!pte_none(*pte)")
        pte.pointee = entry
        if !pmd_migration { subpage._mapcount += 1 }
    }
    if !pmd_migration { count_mapping_by_ptes(page) }

    pmd_populate(mm, pmd, pgtable)

    if freeze {
        for i in 0..<hpage_pmd_nr {
            ops.page_remove_rmap(page_add(page, i), vma, false)
            ops.put_page(page_add(page, i))
        }
    }
}

/// The mapping by pmd has become one by ptes.  A page that stays mapped by other pmds too is marked
/// PG_double_map, and then each of its pages counts these as one mapping.  The mark comes before the
/// count of pmds falls, or the page might look unmapped.  Part of __split_huge_pmd_locked().
func count_mapping_by_ptes(_ page: page) {
    yield_point("PageDoubleMap", "__split_huge_pmd_locked")
    if compound_mapcount(page) > 1 && !TestSetPageDoubleMap(page) {
        for i in 0..<hpage_pmd_nr { page_add(page, i)._mapcount += 1 }
    }
    yield_point("mapcount", "__split_huge_pmd_locked")
    page.compound_mapcount -= 1
    if page.compound_mapcount < 0 {
        mod_node_page_state(Int32(NR_ANON_THPS.rawValue), -hpage_pmd_nr)
        if TestClearPageDoubleMap(page) {
            for i in 0..<hpage_pmd_nr { page_add(page, i)._mapcount -= 1 }
        }
    }
}

/// Locks an anonymous page under the pmd lock, which may have to be dropped for it; false if the pmd has
/// changed then.  Part of __split_huge_pmd().
private func lock_mapped_page(_ page: page, _ pmd: UnsafeMutablePointer<pmd_t>, _ ptl: spinlock_t) -> Bool {
    if trylock_page(page, "__split_huge_pmd") { return true }
    yield_point("page_count", "__split_huge_pmd")
    get_page(page)
    let old_pmd = pmd.pointee
    spin_unlock(ptl, "__split_huge_pmd")
    lock_page(page, "__split_huge_pmd")
    spin_lock(ptl, "__split_huge_pmd")
    let same = pmd_same(pmd.pointee, old_pmd)
    if !same { unlock_page(page, "__split_huge_pmd") }
    ops.put_page(page)
    return same
}

/// Splits the huge pmd at `address`, if there is one and, where `page` is given, it maps that page.
/// Linux v5.13, mm/huge_memory.c, __split_huge_pmd().
private func __split_huge_pmd(
    _ vma: vm_area_struct, _ pmd: UnsafeMutablePointer<pmd_t>, _ address: UInt, _ freeze: Bool, _ only: page?
) {
    let haddr = address & PMD_MASK()
    var range = mmu_notifier_range(
        vma: vma, mm: vma.vm_mm, start: haddr, end: haddr + PMD_SIZE(), event: MMU_NOTIFY_CLEAR.rawValue)
    var locked: page?
    ops.mmu_notifier_invalidate_range_start(&range)
    let ptl = pmd_lock(vma.vm_mm, pmd)

    BUG_ON(freeze && only == nil, "freeze && !page")
    var split = only == nil || pmd_trans_huge(pmd.pointee) && pmd_page(pmd.pointee) === only
    while split {
        guard pmd_trans_huge(pmd.pointee) else {
            split = is_pmd_migration_entry(pmd.pointee)
            break
        }
        let page = pmd_page(pmd.pointee)
        // reuse_swap_page() must see a stable mapcount.  A file's page must not be locked here: munmap comes
        // by with the i_mmap lock held.
        if only == nil && PageAnon(page) {
            if !lock_mapped_page(page, pmd, ptl) { continue }
            locked = page
        }
        yield_point("PageMlocked")
        if PageMlocked(page) { ops.clear_page_mlock(page) }
        break
    }
    if split { ops.__split_huge_pmd_locked(vma, pmd, haddr, freeze) }
    spin_unlock(ptl)
    if let locked { unlock_page(locked) }
    // The secondary MMUs were told, or map the same pages as before.
    ops.mmu_notifier_invalidate_range_only_end(&range)
}

/// Linux v5.13, include/linux/huge_mm.h, split_huge_pmd().
private func split_huge_pmd(_ vma: vm_area_struct, _ pmd: UnsafeMutablePointer<pmd_t>, _ address: UInt) {
    yield_point("pmd")
    if is_swap_pmd(pmd.pointee) || pmd_trans_huge(pmd.pointee) { ops.__split_huge_pmd(vma, pmd, address, false, nil) }
}

/// Linux v5.13, mm/huge_memory.c, split_huge_pmd_address().
private func split_huge_pmd_address(_ vma: vm_area_struct, _ address: UInt, _ freeze: Bool, _ page: page?) {
    ops.__split_huge_pmd(vma, pmd_offset(vma.vm_mm, address), address, freeze, page)
}

/// Linux v5.13, mm/huge_memory.c, split_huge_pmd_if_needed().
private func split_huge_pmd_if_needed(_ vma: vm_area_struct, _ address: UInt) {
    let haddr = address & PMD_MASK()
    if address != haddr && vma.vm_start <= haddr && haddr + PMD_SIZE() <= vma.vm_end {
        ops.split_huge_pmd_address(vma, address, false, nil)
    }
}

/// Splits the huge pmds that new bounds of the vma cut through.  Linux v5.13, mm/huge_memory.c, vma_adjust_trans_huge().
private func vma_adjust_trans_huge(_ vma: vm_area_struct, _ start: UInt, _ end: UInt, _ adjust_next: Int) {
    split_huge_pmd_if_needed(vma, start)
    split_huge_pmd_if_needed(vma, end)
    if adjust_next > 0, let next = vma.vm_next {
        split_huge_pmd_if_needed(next, next.vm_start + UInt(adjust_next))
    }
}
