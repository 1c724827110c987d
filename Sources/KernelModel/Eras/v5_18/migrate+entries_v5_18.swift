// SPDX-License-Identifier: GPL-2.0-only
// mm/migrate.c of Linux v5.18-rc1, continued: putting ptes back in the place of migration entries, with the mlock of
// each vma counted and drained; and waiting for that without a reference to the page.
//
// remove_migration_pte() is public, with a parameter, for the family mlock-drain: see rmap+unmap_v5_18.swift.

import CKernel
import Simulation

func install_migrate_entries_v5_18(_ ops: kernel_ops) {
    ops.remove_migration_pte = { remove_migration_pte($0, $1, $2, $3, drained: true) }
    ops.migration_entry_wait_on_locked = migration_entry_wait_on_locked
}

/// Linux v5.18-rc1, mm/migrate.c, remove_migration_pte().  Left out: soft-dirty and device memory.
///
/// - Parameter drained: with the drain that b74355078b65 has added.
public func remove_migration_pte(
    _ page: page, _ vma: vm_area_struct, _ address: UInt, _ arg: UnsafeMutableRawPointer?, drained: Bool
) -> Bool {
    let old = unsafeBitCast(arg!, to: CKernel.page.self)
    var pvmw = page_vma_mapped_walk(
        page: old, vma: vma, address: address, pmd: nil, pte: nil, ptl: nil, flags: PVMW_SYNC | PVMW_MIGRATION)
    while ops.page_vma_mapped_walk(&pvmw) {
        let index = PageTransHuge(page) ? Int(linear_page_index(vma, pvmw.address)) - Int(old.index) : 0
        let new = page_add(page, index)
        guard let ptep = pvmw.pte else {
            VM_BUG_ON_PAGE(!PageTransCompound(page), "!PageTransCompound(page)")
            ops.remove_migration_pmd(&pvmw, new)
            continue
        }
        yield_point("page_count")
        get_page(page)
        // Permissions may have changed since the entry was made.
        yield_point("vm_page_prot")
        var pte = pte_mkold(mk_pte(new, vm_page_prot(vma)))
        let entry = pte_to_swp_entry(ptep.pointee)
        if is_write_migration_entry(entry) {
            pte = maybe_mkwrite(pte, vma)
        } else if pte_swp_uffd_wp(ptep.pointee) {
            pte = pte_mkuffd_wp(pte)
        }
        if PageAnon(page) {
            // From v5.19 on: what it was before.
            ops.do_page_add_anon_rmap(new, vma, pvmw.address, false, !is_readable_migration_entry(entry))
        } else {
            ops.page_add_file_rmap(new, vma, false)
        }
        set_pte_at(vma.vm_mm, pvmw.address, ptep, pte)
        if drained { drain_after_munlock(vma, "remove_migration_pte") }
    }
    return true
}

/// While the entry is there, under the page table lock, the migration holds a reference to the page and its lock.
/// Linux v5.18-rc1, mm/filemap.c, migration_entry_wait_on_locked().
private func migration_entry_wait_on_locked(_ entry: swp_entry_t, _ ptl: spinlock_t) {
    let page = compound_head(migration_entry_to_page(entry))
    spin_unlock(ptl)
    wait_on_page_locked(page)
}
