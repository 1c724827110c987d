// SPDX-License-Identifier: GPL-2.0-only
// mm/huge_memory.c of Linux v5.13: what munmap, mprotect, mremap, madvise, mlock and migration do to a
// huge pmd.

import CKernel
import Simulation

func install_huge_memory_change(_ ops: kernel_ops) {
    ops.zap_huge_pmd = zap_huge_pmd
    ops.change_huge_pmd = { change_huge_pmd($0, $1, $2, $3, $4, protectsEntries: false) }
    ops.move_huge_pmd = move_huge_pmd
    ops.madvise_free_huge_pmd = madvise_free_huge_pmd
    ops.follow_trans_huge_pmd = follow_trans_huge_pmd
    ops.set_pmd_migration_entry = { set_pmd_migration_entry($0, $1, protectsEntries: false) }
    ops.remove_migration_pmd = remove_migration_pmd
}

/// Linux v5.13, mm/huge_memory.c, zap_deposited_table().
private func zap_deposited_table(_ mm: mm_struct, _ pmd: UnsafeMutablePointer<pmd_t>) {
    pte_free(mm, pgtable_trans_huge_withdraw(mm, pmd))
    mm_dec_nr_ptes(mm)
}

/// Unmaps a huge page: 1 if there was one.  Linux v5.13, mm/huge_memory.c, zap_huge_pmd().
private func zap_huge_pmd(
    _ tlb: UnsafeMutablePointer<mmu_gather>, _ vma: vm_area_struct, _ pmd: UnsafeMutablePointer<pmd_t>,
    _ address: UInt
) -> Int32 {
    guard let ptl = __pmd_trans_huge_lock(pmd, vma) else { return 0 }
    let mm = tlb.pointee.mm
    let orig_pmd = pmdp_huge_get_and_clear(mm, address, pmd)
    tlb_remove_pmd_tlb_entry(tlb, address)
    let present = pmd_present(orig_pmd)
    let page: page
    if present {
        page = pmd_page(orig_pmd)
        ops.page_remove_rmap(page, vma, true)
        VM_BUG_ON_PAGE(page_mapcount(page) < 0, "page_mapcount(page) < 0")
        VM_BUG_ON_PAGE(!PageHead(page), "!PageHead(page)")
    } else {
        BUG_ON(!is_pmd_migration_entry(orig_pmd), "!is_pmd_migration_entry(orig_pmd)")
        page = migration_entry_to_page(pmd_to_swp_entry(orig_pmd))
    }
    if PageAnon(page) {
        zap_deposited_table(mm, pmd)
        mm.rss(Int(MM_ANONPAGES.rawValue)).pointee -= hpage_pmd_nr
    } else {
        mm.rss(Int(mm_counter_file(page))).pointee -= hpage_pmd_nr
    }
    spin_unlock(ptl)
    if present { ops.tlb_remove_page(tlb, page) }
    return 1
}

/// Gives a huge pmd new access rights: 0 if there is none, 1 if nothing has to be flushed, HPAGE_PMD_NR
/// otherwise.
/// Linux v5.13, mm/huge_memory.c, change_huge_pmd().
///
/// - Parameter protectsEntries: write protection by userfaultfd reaches a huge page that migrates, as from v6.3 on.
func change_huge_pmd(
    _ vma: vm_area_struct, _ pmd: UnsafeMutablePointer<pmd_t>, _ address: UInt, _ prot: UInt, _ cp_flags: UInt,
    protectsEntries: Bool
) -> Int32 {
    let prot_numa = cp_flags & MM_CP_PROT_NUMA != 0
    guard let ptl = __pmd_trans_huge_lock(pmd, vma) else { return 0 }
    let preserve_write = prot_numa && pmd_write(pmd.pointee)
    if is_swap_pmd(pmd.pointee) {
        let entry = pmd_to_swp_entry(pmd.pointee)
        BUG_ON(!is_pmd_migration_entry(pmd.pointee), "!is_pmd_migration_entry(*pmd)")
        var newpmd = pmd.pointee
        // Whether the vma may write is for the fault after the migration to find out.
        if is_write_migration_entry(entry) {
            newpmd = swp_entry_to_pmd(ops.write_protected_migration_entry(entry))
            if pmd_swp_uffd_wp(pmd.pointee) { newpmd = pmd_swp_mkuffd_wp(newpmd) }
        }
        if protectsEntries && cp_flags & MM_CP_UFFD_WP != 0 {
            newpmd = pmd_swp_mkuffd_wp(newpmd)
        } else if protectsEntries && cp_flags & MM_CP_UFFD_WP_RESOLVE != 0 {
            newpmd = pmd_swp_clear_uffd_wp(newpmd)
        }
        if !pmd_same(pmd.pointee, newpmd) { set_pmd_at(vma.vm_mm, address, pmd, newpmd) }
        spin_unlock(ptl)
        return 1
    }
    if prot_numa && pmd_protnone(pmd.pointee) {
        spin_unlock(ptl)
        return 1
    }
    // Never none in between: MADV_DONTNEED would pass over the huge page.
    var entry = pmd_modify(pmdp_invalidate(vma, address, pmd), prot)
    if preserve_write { entry = pmd_mkwrite(entry) }
    if cp_flags & MM_CP_UFFD_WP != 0 {
        entry = pmd_mkuffd_wp(entry)
    } else if cp_flags & MM_CP_UFFD_WP_RESOLVE != 0 {
        // Whether the page may be written, with copy-on-write in mind, is for a fault to find out.
        entry = pmd_clear_uffd_wp(entry)
    }
    // From v6.2 on (can_change_pmd_writable()).
    let upgrade =
        cp_flags & MM_CP_DIRTY_ACCT != 0 && vma_is_anonymous(vma) && pmd_dirty(entry)
        && PageAnonExclusive(pmd_page(entry)) && !userfaultfd_huge_pmd_wp(vma, entry)
    if upgrade { entry = pmd_mkwrite(entry) }
    set_pmd_at(vma.vm_mm, address, pmd, entry)
    BUG_ON(
        vma_is_anonymous(vma) && !preserve_write && !upgrade && pmd_write(entry),
        "vma_is_anonymous(vma) && !preserve_write && pmd_write(entry)")
    spin_unlock(ptl)
    return Int32(hpage_pmd_nr)
}

/// Moves a huge pmd to another address of the mm, both of whose vmas the caller holds for writing; false
/// if there is none.
/// Linux v5.13, mm/huge_memory.c, move_huge_pmd().  Old and new pmd lie in one table and share its lock
/// and its deposited tables, so the cases of two locks are left out.
private func move_huge_pmd(
    _ vma: vm_area_struct, _ old_address: UInt, _ new_address: UInt, _ old_pmd: UnsafeMutablePointer<pmd_t>,
    _ new_pmd: UnsafeMutablePointer<pmd_t>
) -> Bool {
    if !pmd_none(new_pmd.pointee) {
        WARN_ON("!pmd_none(*new_pmd)")
        return false
    }
    guard let ptl = __pmd_trans_huge_lock(old_pmd, vma) else { return false }
    let pmd = pmdp_huge_get_and_clear(vma.vm_mm, old_address, old_pmd)
    BUG_ON(!pmd_none(new_pmd.pointee), "!pmd_none(*new_pmd)")
    set_pmd_at(vma.vm_mm, new_address, new_pmd, pmd)
    if pmd_present(pmd) { flush_tlb_range(vma, old_address, old_address + PMD_SIZE()) }
    spin_unlock(ptl)
    return true
}

/// MADV_FREE of a whole huge page: true if done, false if the ptes are to be looked at, or nothing at all.
/// Linux v5.13, mm/huge_memory.c, madvise_free_huge_pmd().
private func madvise_free_huge_pmd(
    _ tlb: UnsafeMutablePointer<mmu_gather>, _ vma: vm_area_struct, _ pmd: UnsafeMutablePointer<pmd_t>,
    _ address: UInt, _ next: UInt
) -> Bool {
    guard let ptl = ops.pmd_trans_huge_lock(pmd, vma) else { return false }
    let orig_pmd = pmd.pointee
    if !pmd_present(orig_pmd) {
        BUG_ON(!is_pmd_migration_entry(orig_pmd), "!is_pmd_migration_entry(orig_pmd)")
        spin_unlock(ptl)
        return false
    }
    let page = pmd_page(orig_pmd)
    // All who map it would have to agree.
    yield_point("mapcount")
    if page_mapcount(page) != 1 || !trylock_page(page) {
        spin_unlock(ptl)
        return false
    }
    // Part of it: only the pages meant may be discarded.
    if next - address != PMD_SIZE() {
        yield_point("page_count")
        get_page(page)
        spin_unlock(ptl)
        _ = ops.split_huge_page_to_list(page, nil)
        unlock_page(page)
        ops.put_page(page)
        return false
    }
    yield_point("PageDirty")
    if PageDirty(page) { ClearPageDirty(page) }
    unlock_page(page)

    if pmd_young(orig_pmd) || pmd_dirty(orig_pmd) {
        _ = pmdp_invalidate(vma, address, pmd)
        set_pmd_at(vma.vm_mm, address, pmd, pmd_mkclean(pmd_mkold(orig_pmd)))
        tlb_remove_pmd_tlb_entry(tlb, address)
    }
    ops.mark_page_lazyfree(page)
    spin_unlock(ptl)
    return true
}

// MARK: - follow_page()

/// FOLL_FORCE may write where the vma may not, once copy-on-write has made a dirty copy.
/// Linux v5.13, mm/huge_memory.c, can_follow_write_pmd().
private func can_follow_write_pmd(_ pmd: pmd_t, _ flags: UInt32) -> Bool {
    pmd_write(pmd) || flags & FOLL_FORCE != 0 && flags & FOLL_COW != 0 && pmd_dirty(pmd)
}

/// Linux v5.13, mm/huge_memory.c, touch_pmd().
private func touch_pmd(_ vma: vm_area_struct, _ address: UInt, _ pmd: UnsafeMutablePointer<pmd_t>, _ flags: UInt32) {
    let write = flags & FOLL_WRITE != 0
    var entry = pmd_mkyoung(pmd.pointee)
    if write { entry = pmd_mkdirty(entry) }
    _ = pmdp_set_access_flags(vma, address & PMD_MASK(), pmd, entry, dirty: write)
}

/// The page at `address`, with the references that `flags` ask for; the caller holds the pmd lock.
/// Linux v5.13, mm/huge_memory.c, follow_trans_huge_pmd().
private func follow_trans_huge_pmd(
    _ vma: vm_area_struct, _ address: UInt, _ pmd: UnsafeMutablePointer<pmd_t>, _ flags: UInt32
) -> page? {
    if flags & FOLL_WRITE != 0 && !can_follow_write_pmd(pmd.pointee, flags) { return nil }
    if flags & FOLL_NUMA != 0 && pmd_protnone(pmd.pointee) { return nil }
    let page = pmd_page(pmd.pointee)
    VM_BUG_ON_PAGE(!PageHead(page), "!PageHead(page)")
    if !pmd_write(pmd.pointee) && ops.gup_must_unshare(vma, flags, page) { return ERR_PTR(-Int(EMLINK)) }
    yield_point("page_count")
    BUG_ON(!try_grab_page(page, flags), "!try_grab_page(page, flags)")
    if flags & FOLL_TOUCH != 0 { touch_pmd(vma, address, pmd, flags) }
    yield_point("vm_flags")
    if flags & FOLL_MLOCK != 0 && vma.vm_flags & VM_LOCKED != 0 { mlock_huge_page(page) }
    return page_add(page, Int((address & ~PMD_MASK()) >> UInt(PAGE_SHIFT)))
}

/// Marks a huge page unless it is mapped by ptes as well, or is anonymous and shared: the mark would leak
/// into vmas that are not locked.  Part of follow_trans_huge_pmd(), whose name its yield points carry.
private func mlock_huge_page(_ page: page) {
    yield_point("mapcount", "follow_trans_huge_pmd")
    if PageAnon(page) && compound_mapcount(page) != 1 { return }
    yield_point("PageDoubleMap", "follow_trans_huge_pmd")
    if PageDoubleMap(page) || page.mapping == nil { return }
    if !trylock_page(page, "follow_trans_huge_pmd") { return }
    yield_point("PageDoubleMap", "follow_trans_huge_pmd")
    if page.mapping != nil && !PageDoubleMap(page) { ops.mlock_vma_page(page) }
    unlock_page(page, "follow_trans_huge_pmd")
}

// MARK: - Migration

/// Replaces a huge page by a migration entry, under the pmd lock that the walk holds.
/// Linux v5.13, mm/huge_memory.c, set_pmd_migration_entry().
///
/// - Parameter protectsEntries: write protection by userfaultfd is kept, as from v6.3 on.
/// - Returns: 0; from v5.19 on -EBUSY for an exclusive page that is pinned.
func set_pmd_migration_entry(
    _ pvmw: UnsafeMutablePointer<page_vma_mapped_walk>, _ page: page, protectsEntries: Bool
) -> Int32 {
    guard let pmd = pvmw.pointee.pmd, pvmw.pointee.pte == nil else { return 0 }
    let vma = pvmw.pointee.vma
    let pmdval = pmdp_invalidate(vma, pvmw.pointee.address, pmd)
    let exclusive = PageAnon(page) && PageAnonExclusive(page)
    if exclusive {
        yield_point("page_maybe_dma_pinned")
        if page_try_share_anon_rmap(page) != 0 {
            set_pmd_at(vma.vm_mm, pvmw.pointee.address, pmd, pmdval)
            return -EBUSY
        }
    }
    if pmd_dirty(pmdval) { ops.set_page_dirty(page) }
    var entry = swp_entry_to_pmd(make_migration_entry_for(page, pmd_write(pmdval), exclusive))
    if protectsEntries && pmd_uffd_wp(pmdval) { entry = pmd_swp_mkuffd_wp(entry) }
    set_pmd_at(vma.vm_mm, pvmw.pointee.address, pmd, entry)
    ops.page_remove_rmap(page, vma, true)
    ops.put_page(page)
    return 0
}

/// Maps the page where its migration entry is.  Linux v5.13, mm/huge_memory.c, remove_migration_pmd().
private func remove_migration_pmd(_ pvmw: UnsafeMutablePointer<page_vma_mapped_walk>, _ new: page) {
    guard let pmd = pvmw.pointee.pmd, pvmw.pointee.pte == nil else { return }
    let vma = pvmw.pointee.vma
    let start = pvmw.pointee.address & PMD_MASK()
    let entry = pmd_to_swp_entry(pmd.pointee)
    yield_point("page_count")
    get_page(new)
    var pmde = pmd_mkold(mk_huge_pmd(new, vm_page_prot(vma)))
    if is_write_migration_entry(entry) { pmde = maybe_pmd_mkwrite(pmde, vma) }
    if pmd_swp_uffd_wp(pmd.pointee) { pmde = pmd_mkuffd_wp(pmde) }
    if PageAnon(new) {
        // From v5.19 on: what it was before.
        ops.do_page_add_anon_rmap(new, vma, start, true, !is_readable_migration_entry(entry))
    } else {
        ops.page_add_file_rmap(new, vma, true)
    }
    set_pmd_at(vma.vm_mm, start, pmd, pmde)
    yield_point("vm_flags")
    if vma.vm_flags & VM_LOCKED != 0 && !PageDoubleMap(new) { ops.mlock_vma_page(new) }
}
