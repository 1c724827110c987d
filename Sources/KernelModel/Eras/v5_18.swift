// SPDX-License-Identifier: GPL-2.0-only
// Linux v5.18-rc1: the munlock rework (pages count the vmas that lock them, in batches of each CPU), and
// migration by a walk of its own, try_to_migrate().  What differs from v5.13 lies in the folder v5_18.

import CKernel

extension Era {
    public static let v5_18_rc1 = Era(
        name: "v5.18-rc1",
        install: { ops in
            Era.v5_13.install(ops)
            // Batches that hold references make it matter where a task runs.
            ops.rules |= RULE_CPU_MOVES
            install_mremap_move_v5_18(ops)
            install_mlock_v5_18(ops)
            install_mlock_range_v5_18(ops)
            install_swap_v5_18(ops)
            install_rmap_count_v5_18(ops)
            install_rmap_referenced_v5_18(ops)
            install_mmap_exit_v5_18(ops)
            install_gup_v5_18(ops)
            install_huge_memory_split_v5_18(ops)
            install_huge_memory_migration_v5_18(ops)
            install_huge_memory_numa_v5_18(ops)
            install_rmap_unmap_v5_18(ops)
            install_migrate_v5_18(ops)
            install_migrate_entries_v5_18(ops)
            install_migrate_callers_v5_18(ops)
            install_memory_zap_v5_18(ops)
            install_memory_wp_v5_18(ops)
            install_huge_memory_wp_v5_18(ops)
            install_userfaultfd(ops)
            install_khugepaged_v5_18(ops)
        },
        operations: Era.v5_13.operations + [.sva_bind_device, .sva_read, .sva_write, .khugepaged]
            + Operation.userfaultfd)
}
