// SPDX-License-Identifier: GPL-2.0-only
// PG_anon_exclusive of Linux v6.5 (since v5.19): an anonymous page that is known to be one mm's own.  Only such a page is
// mapped writable, and only such a page is pinned; from then on it stays with its owner, whatever becomes of the
// mapping's permissions.  Each base page has the mark that is mapped by a pte; of a page mapped by a pmd, the head.
//
// Here: how the mark comes, and how fork() takes it away.  Taking the page out of page tables for a while
// (page_try_share_anon_rmap(), with swap entries and migration entries that remember the mark) is in the functions
// that do that; faults are in memory+wp_v6_5.swift, GUP is in gup+v6_5.swift.
// Left out: hugetlb, KSM, device private pages.

import CKernel
import Simulation

func install_rmap_exclusive_v6_5(_ ops: kernel_ops) {
    ops.rules |= RULE_ANON_EXCLUSIVE
    ops.page_move_anon_rmap = { page, vma in
        page_move_anon_rmap(page, vma)
        SetPageAnonExclusive(page)
    }
    ops.page_add_new_anon_rmap = { page, vma, address, compound in
        page_add_new_anon_rmap(page, vma, address, compound)
        SetPageAnonExclusive(page)
    }
    ops.do_page_add_anon_rmap = do_page_add_anon_rmap
    ops.page_try_dup_anon_rmap = page_try_dup_anon_rmap
    ops.vma_wants_manual_pte_write_upgrade = vma_wants_manual_pte_write_upgrade
    ops.write_protected_migration_entry = write_protected_migration_entry
}

/// Linux v6.5, mm/rmap.c, page_add_anon_rmap().
private func do_page_add_anon_rmap(
    _ page: page, _ vma: vm_area_struct, _ address: UInt, _ compound: Bool, _ exclusive: Bool
) {
    let others = compound ? page.compound_mapcount >= 0 : page._mapcount >= 0
    VM_BUG_ON_PAGE(others && exclusive, "!first && (flags & RMAP_EXCLUSIVE)")
    VM_BUG_ON_PAGE(others && PageAnonExclusive(page), "!first && PageAnonExclusive(page)")
    add_anon_rmap(page, vma, address, compound, exclusive)
    if exclusive { SetPageAnonExclusive(page) }
}

/// The part that decides whether a mapping may be duplicated for a child; the caller counts it.
/// Linux v6.5, include/linux/rmap.h, page_try_dup_anon_rmap(); a file's page may (page_dup_file_rmap()).
private func page_try_dup_anon_rmap(_ page: page, _ vma: vm_area_struct) -> Int32 {
    guard PageAnon(page) && PageAnonExclusive(page) else { return 0 }
    if page_needs_cow_for_dma(vma, page) { return -EBUSY }
    ClearPageAnonExclusive(page)
    return 0
}

/// Linux v6.5, mm/mprotect.c, vma_wants_manual_pte_write_upgrade().
private func vma_wants_manual_pte_write_upgrade(_ vma: vm_area_struct) -> Bool {
    vma.vm_flags & VM_SHARED != 0 ? vma_wants_writenotify(vma) : vma.vm_flags & VM_WRITE != 0
}

/// The part of change_pte_range() and change_huge_pmd(): what was writable is the mm's own.
private func write_protected_migration_entry(_ entry: swp_entry_t) -> swp_entry_t {
    PageAnon(migration_entry_to_page(entry))
        ? make_readable_exclusive_migration_entry(swp_offset(entry)) : make_migration_entry_read(entry)
}
