// SPDX-License-Identifier: GPL-2.0-only
// The names that /proc/vmstat gives counters and events.

import CKernel

/// The name of a counter of the state (`node_stat_item`).
func nodeStatName(_ item: Int) -> StaticString {
    let names: [StaticString] = nodeStatNames
    return names[item]
}

private let nodeStatNames: [StaticString] = [
    "nr_inactive_anon", "nr_active_anon", "nr_inactive_file", "nr_active_file", "nr_unevictable", "nr_mlock",
    "nr_isolated_anon", "nr_isolated_file", "nr_anon_mapped", "nr_file_mapped", "nr_file_pages", "nr_shmem",
    "nr_anon_thps", "nr_shmem_thps", "nr_file_thps", "nr_shmem_pmdmapped", "nr_file_pmdmapped", "nr_file_dirty",
    "nr_writeback",
]

/// The names of what is only ever counted up (`vm_event_item`), in its order.
public let vmEventNames: [String] = [
    "pgfault", "pgmajfault", "pgactivate", "pgdeactivate", "pglazyfree", "pglazyfreed", "pgrotated", "pgsteal",
    "pgmigrate_success", "pgmigrate_fail", "unevictable_pgs_culled", "unevictable_pgs_scanned",
    "unevictable_pgs_rescued", "unevictable_pgs_mlocked", "unevictable_pgs_munlocked", "unevictable_pgs_cleared",
    "unevictable_pgs_stranded", "thp_fault_alloc", "thp_fault_fallback", "thp_file_mapped", "thp_split_page",
    "thp_split_page_failed", "thp_deferred_split_page", "thp_split_pmd", "thp_collapse_alloc",
    "thp_collapse_alloc_failed", "thp_scan_exceed_none_pte", "thp_scan_exceed_swap_pte",
    "thp_scan_exceed_share_pte", "pgvolatile",
]
