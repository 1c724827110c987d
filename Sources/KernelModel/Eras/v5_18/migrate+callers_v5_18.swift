// SPDX-License-Identifier: GPL-2.0-only
// mm/migrate.c of Linux v5.18-rc1, continued: migration on NUMA hint faults, which moves huge pages like all others.
// move_pages(2) is v5.13's.
//
// Left out: memory tiers.

import CKernel
import Simulation

func install_migrate_callers_v5_18(_ ops: kernel_ops) {
    ops.migrate_misplaced_page = migrate_misplaced_page
}

/// Linux v5.18-rc1, mm/migrate.c, numamigrate_isolate_page().
private func numamigrate_isolate_page(_ pgdat: pglist_data, _ page: page) -> Int32 {
    yield_point("mapcount")
    // One process cannot say for the others where a huge page should be.
    if PageTransHuge(page) && total_mapcount(page) > 1 { return 0 }
    if !migrate_balanced_pgdat(pgdat, compound_nr(page)) { return 0 }
    if ops.isolate_lru_page(page) != 0 { return 0 }
    mod_isolated_state(page, 1)
    // The isolation holds a reference of its own.
    ops.put_page(page)
    return 1
}

/// Moves a page, huge or not, and drops the caller's reference; 1 if it was moved.
/// Linux v5.18-rc1, mm/migrate.c, migrate_misplaced_page().
private func migrate_misplaced_page(_ page: page, _ vma: vm_area_struct, _ nid: Int32) -> Int32 {
    let shared_code = page_mapcount(page) != 1 && page_is_file_lru(page) && vma.vm_flags & VM_EXEC != 0
    yield_point("PageDirty")
    if shared_code || page_is_file_lru(page) && PageDirty(page)
        || numamigrate_isolate_page(kernel.node(Int(nid)), page) == 0
    {
        ops.put_page(page)
        return 0
    }
    let migratepages = LIST_HEAD()
    defer { leaveFrame(migratepages) }
    list_add(page.lru, migratepages)
    let nr_remaining = ops.migrate_pages(migratepages, nid, MIGRATE_ASYNC, MR_NUMA_MISPLACED)
    if nr_remaining == 0 { return 1 }
    if !list_empty(migratepages) {
        list_del(page.lru)
        mod_isolated_state(page, -1)
        ops.putback_lru_page(page)
    }
    return 0
}
