// SPDX-License-Identifier: GPL-2.0-only
// mm/huge_memory.c of Linux v5.18-rc1: splitting a huge pmd, which takes one mlock from the page where the vma is
// VM_LOCKED, since a page mapped by ptes is never mlocked.  No page lock is taken any more.

import CKernel
import Simulation

func install_huge_memory_split_v5_18(_ ops: kernel_ops) {
    ops.__split_huge_pmd = __split_huge_pmd
    ops.__split_huge_pmd_locked = __split_huge_pmd_locked
}

/// Replaces a huge pmd by ptes, or by none; with `freeze`, by migration entries, for the split of the page.
/// Linux v5.18-rc1, mm/huge_memory.c, __split_huge_pmd_locked().
private func __split_huge_pmd_locked(
    _ vma: vm_area_struct, _ pmd: UnsafeMutablePointer<pmd_t>, _ haddr: UInt, _ wanted: Bool
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

    let pmd_migration = is_pmd_migration_entry(pmd.pointee)
    let page: page
    let write: Bool
    var freeze = wanted
    // From v5.19 on: each page of an exclusive one is.
    var exclusive = false
    var young = false
    var uffd_wp = false
    if pmd_migration {
        let entry = pmd_to_swp_entry(pmd.pointee)
        page = migration_entry_to_page(entry)
        write = is_write_migration_entry(entry)
        exclusive = is_readable_exclusive_migration_entry(entry)
        uffd_wp = pmd_swp_uffd_wp(pmd.pointee)
    } else {
        // No CPU may have the huge and a small translation of an address at once: first none, then small.
        let old_pmd = pmdp_invalidate(vma, haddr, pmd)
        page = pmd_page(old_pmd)
        if pmd_dirty(old_pmd) { SetPageDirty(page) }
        write = pmd_write(old_pmd)
        young = pmd_young(old_pmd)
        uffd_wp = pmd_uffd_wp(old_pmd)
        yield_point("page_count")
        VM_BUG_ON_PAGE(page_count(page) == 0, "!page_count(page)")
        page_ref_add(page, Int32(hpage_pmd_nr - 1))
        exclusive = PageAnonExclusive(page)
        if freeze && exclusive {
            yield_point("page_maybe_dma_pinned")
            // It is mapped by ptes then, and try_to_migrate_one() fails.
            if page_try_share_anon_rmap(page) != 0 { freeze = false }
        }
    }

    let pgtable = pgtable_trans_huge_withdraw(mm, pmd)
    // Nobody reaches the table yet; that the pages are counted as mapped by ptes is one step for others.
    yield_point("mapcount")
    for i in 0..<hpage_pmd_nr {
        let subpage = page_add(page, i)
        var entry: pte_t
        if freeze || pmd_migration {
            entry = swp_entry_to_pte(make_migration_entry_for(subpage, write, exclusive))
            if uffd_wp { entry = pte_swp_mkuffd_wp(entry) }
        } else {
            entry = maybe_mkwrite(mk_pte(subpage, vm_page_prot(vma)), vma)
            if exclusive { SetPageAnonExclusive(subpage) }
            if !write { entry = pte_wrprotect(entry) }
            if !young { entry = pte_mkold(entry) }
            if uffd_wp { entry = pte_mkuffd_wp(entry) }
        }
        let pte = page_table_pte(pgtable, haddr + UInt(i) * PAGE_SIZE)
        BUG_ON(!pte_none(pte.pointee), "!pte_none(*pte)")
        pte.pointee = entry
        if !pmd_migration { subpage._mapcount += 1 }
    }
    if !pmd_migration {
        count_mapping_by_ptes(page)
        // All this amounts to page_remove_rmap(page, vma, true).
        munlock_vma_page(page, vma, true)
    }

    pmd_populate(mm, pmd, pgtable)

    if freeze {
        for i in 0..<hpage_pmd_nr {
            ops.page_remove_rmap(page_add(page, i), vma, false)
            ops.put_page(page_add(page, i))
        }
    }
}

/// Splits the huge pmd at `address`, if there is one and, where `page` is given, it maps that page.
/// Linux v5.18-rc1, mm/huge_memory.c, __split_huge_pmd().
private func __split_huge_pmd(
    _ vma: vm_area_struct, _ pmd: UnsafeMutablePointer<pmd_t>, _ address: UInt, _ freeze: Bool, _ page: page?
) {
    let haddr = address & PMD_MASK()
    var range = mmu_notifier_range(
        vma: vma, mm: vma.vm_mm, start: haddr, end: haddr + PMD_SIZE(), event: MMU_NOTIFY_CLEAR.rawValue)
    ops.mmu_notifier_invalidate_range_start(&range)
    let ptl = pmd_lock(vma.vm_mm, pmd)
    BUG_ON(freeze && page == nil, "freeze && !page")
    // A migration entry names a page that is locked for it: not the one that the caller has locked.
    let huge = pmd_trans_huge(pmd.pointee)
    let found = page == nil ? huge || is_pmd_migration_entry(pmd.pointee) : huge && pmd_page(pmd.pointee) === page
    if found { ops.__split_huge_pmd_locked(vma, pmd, haddr, freeze) }
    spin_unlock(ptl)
    // The secondary MMUs were told, or map the same pages as before.
    ops.mmu_notifier_invalidate_range_only_end(&range)
}
