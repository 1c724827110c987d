// SPDX-License-Identifier: GPL-2.0-only
// mm/huge_memory.c of Linux v5.18-rc1: migration entries of huge pages.  To split an anonymous page, its mappings become
// migration entries by try_to_migrate(); a file's go by try_to_unmap(), and are not looked for afterwards.
//
// The splitting of pmds is in huge_memory+split_v5_18.swift.

import CKernel
import Simulation

func install_huge_memory_migration_v5_18(_ ops: kernel_ops) {
    ops.unmap_page = unmap_page
    ops.remap_page = remap_page
    ops.remove_migration_pmd = remove_migration_pmd
}

/// Linux v5.18-rc1, mm/huge_memory.c, unmap_page().
private func unmap_page(_ page: page) {
    unmap_folio(page)
    yield_point("mapcount")
    if page_mapped(page) { WARN_ON("page_mapped(page)") }
}

/// What v6.5 has of unmap_page(): it does not ask whether the page is unmapped, since an exclusive anonymous page that
/// is pinned may stay mapped, and then the split fails.
/// Linux v6.5, mm/huge_memory.c, unmap_folio().
func unmap_folio(_ page: page) {
    let ttu_flags = TTU_RMAP_LOCKED | TTU_SPLIT_HUGE_PMD | TTU_SYNC
    VM_BUG_ON_PAGE(!PageHead(page), "!PageHead(page)")
    // A file's pages are found again by faults.
    if PageAnon(page) {
        ops.try_to_migrate(page, ttu_flags)
    } else {
        _ = ops.try_to_unmap(page, ttu_flags | TTU_IGNORE_MLOCK)
    }
}

/// Linux v5.18-rc1, mm/huge_memory.c, remap_page().
private func remap_page(_ page: page, _ nr: Int32) {
    if !PageAnon(page) { return }
    if PageTransHuge(page) {
        ops.remove_migration_ptes(page, page, true)
        return
    }
    for i in 0..<Int(nr) { ops.remove_migration_ptes(page_add(page, i), page_add(page, i), true) }
}

/// Maps the page where its migration entry is; its rmap counts the mlock.
/// Linux v5.18-rc1, mm/huge_memory.c, remove_migration_pmd().
private func remove_migration_pmd(_ pvmw: UnsafeMutablePointer<page_vma_mapped_walk>, _ new: page) {
    guard let pmd = pvmw.pointee.pmd, pvmw.pointee.pte == nil else { return }
    let vma = pvmw.pointee.vma
    let start = pvmw.pointee.address & PMD_MASK()
    let entry = pmd_to_swp_entry(pmd.pointee)
    yield_point("page_count")
    get_page(new)
    var pmde = pmd_mkold(mk_huge_pmd(new, vm_page_prot(vma)))
    if is_write_migration_entry(entry) { pmde = maybe_pmd_mkwrite(pmde, vma) }
    if pmd_swp_uffd_wp(pmd.pointee) { pmde = pmd_wrprotect(pmd_mkuffd_wp(pmde)) }
    if PageAnon(new) {
        // From v5.19 on: what it was before.
        ops.do_page_add_anon_rmap(new, vma, start, true, !is_readable_migration_entry(entry))
    } else {
        ops.page_add_file_rmap(new, vma, true)
    }
    set_pmd_at(vma.vm_mm, start, pmd, pmde)
}
