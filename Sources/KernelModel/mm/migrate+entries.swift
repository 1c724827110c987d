// SPDX-License-Identifier: GPL-2.0-only
// mm/migrate.c of Linux v5.13, continued: migration entries, that is, putting ptes back in their place and
// waiting for it.  try_to_unmap() and set_pmd_migration_entry() put them in.

import CKernel
import Simulation

func install_migrate_entries(_ ops: kernel_ops) {
    ops.remove_migration_pte = remove_migration_pte
    ops.remove_migration_ptes = remove_migration_ptes
    ops.migration_entry_wait_on_locked = wait_on_migration_entry
    ops.migration_entry_wait = migration_entry_wait
    ops.pmd_migration_entry_wait = pmd_migration_entry_wait
}

// MARK: - Putting ptes back

/// Linux v5.13, mm/migrate.c, remove_migration_pte().  Left out: soft-dirty and device memory.
private func remove_migration_pte(
    _ page: page, _ vma: vm_area_struct, _ address: UInt, _ arg: UnsafeMutableRawPointer?
) -> Bool {
    let old = unsafeBitCast(arg!, to: CKernel.page.self)
    VM_BUG_ON_PAGE(PageTail(page), "PageTail(page)")
    var pvmw = page_vma_mapped_walk(
        page: old, vma: vma, address: address, pmd: nil, pte: nil, ptl: nil, flags: PVMW_SYNC | PVMW_MIGRATION)
    while ops.page_vma_mapped_walk(&pvmw) {
        let new = page_add(page, Int(linear_page_index(vma, pvmw.address)) - Int(old.index))
        guard let ptep = pvmw.pte else {
            VM_BUG_ON_PAGE(!PageTransCompound(page), "!PageTransCompound(page)")
            ops.remove_migration_pmd(&pvmw, new)
            continue
        }
        yield_point("page_count")
        get_page(new)
        // Permissions may have changed since the entry was made.
        yield_point("vm_page_prot")
        var pte = pte_mkold(mk_pte(new, vm_page_prot(vma)))
        let entry = pte_to_swp_entry(ptep.pointee)
        if is_write_migration_entry(entry) {
            pte = maybe_mkwrite(pte, vma)
        } else if pte_swp_uffd_wp(ptep.pointee) {
            pte = pte_mkuffd_wp(pte)
        }
        set_pte_at(vma.vm_mm, pvmw.address, ptep, pte)
        if PageAnon(new) {
            // From v5.19 on: what it was before.
            ops.do_page_add_anon_rmap(new, vma, pvmw.address, false, !is_readable_migration_entry(entry))
        } else {
            ops.page_add_file_rmap(new, vma, false)
        }
        yield_point("vm_flags")
        if vma.vm_flags & VM_LOCKED != 0 && !PageTransCompound(new) { ops.mlock_vma_page(new) }
        if PageTransHuge(page) && PageMlocked(page) { ops.clear_page_mlock(page) }
    }
    return true
}

/// Linux v5.13, mm/migrate.c, remove_migration_ptes().
private func remove_migration_ptes(_ old: page, _ new: page, _ locked: Bool) {
    var rwc = rmap_walk_control(
        arg: address(old), rmap_one: ops.remove_migration_pte, done: nil, anon_lock: nil, invalid_vma: nil)
    if locked {
        ops.rmap_walk_locked(new, &rwc)
    } else {
        ops.rmap_walk(new, &rwc)
    }
}

// MARK: - Waiting for them

/// Linux v5.13, mm/filemap.c, put_and_wait_on_page_locked(): the waiter holds no reference, which would keep
/// the migration it waits for from succeeding.
func put_and_wait_on_page_locked(_ page: page) {
    yield_point("PageLocked")
    let locked = PageLocked(page)
    ops.put_page(page)
    if locked { wait_on_page_locked(page) }
}

/// Linux v5.13, mm/migrate.c, __migration_entry_wait(), from where the entry is read under the lock; later kernels
/// have migration_entry_wait_on_locked() here.
private func wait_on_migration_entry(_ entry: swp_entry_t, _ ptl: spinlock_t) {
    let page = compound_head(migration_entry_to_page(entry))
    yield_point("page_count")
    // Once its references are frozen the page is about to be replaced: looking again is soon enough.
    guard get_page_unless_zero(page) else {
        spin_unlock(ptl)
        return
    }
    spin_unlock(ptl)
    put_and_wait_on_page_locked(page)
}

/// Linux v5.13, mm/migrate.c, migration_entry_wait(), __migration_entry_wait().
private func migration_entry_wait(_ mm: mm_struct, _ pmd: UnsafeMutablePointer<pmd_t>, _ address: UInt) {
    guard let (ptep, ptl) = pte_offset_map_lock(mm, pmd, address) else { return }
    let pte = ptep.pointee
    ops.pte_unmap(ptep)
    guard is_swap_pte(pte), is_migration_entry(pte_to_swp_entry(pte)) else {
        spin_unlock(ptl)
        return
    }
    ops.migration_entry_wait_on_locked(pte_to_swp_entry(pte), ptl)
}

/// Linux v5.13, mm/migrate.c, pmd_migration_entry_wait().
private func pmd_migration_entry_wait(_ mm: mm_struct, _ pmd: UnsafeMutablePointer<pmd_t>) {
    let ptl = pmd_lock(mm, pmd)
    guard is_pmd_migration_entry(pmd.pointee) else {
        spin_unlock(ptl)
        return
    }
    ops.migration_entry_wait_on_locked(pmd_to_swp_entry(pmd.pointee), ptl)
}
