// SPDX-License-Identifier: GPL-2.0-only
// Linux v6.5: page tables that may vanish under their walkers, locks of single vmas, userfaultfd with markers,
// MADV_COLLAPSE.  What differs from v5.18-rc1 lies in the folder v6_5.

import CKernel

extension Era {
    public static let v6_5 = Era(
        name: "v6.5",
        install: { ops in
            Era.v5_18_rc1.install(ops)
            install_khugepaged_v6_5(ops)
            install_pgtable_generic_v6_5(ops)
            install_page_vma_mapped_v6_5(ops)
            install_memory_fault_v6_5(ops)
            install_userfaultfd_v6_5(ops)
            install_gup_fast_v6_5(ops)
            install_vma_lock_v6_5(ops)
            install_mmap_exit_v6_5(ops)
            install_rmap_exclusive_v6_5(ops)
            install_memory_wp_v6_5(ops)
            install_gup_v6_5(ops)
            install_migrate_v6_5(ops)
            install_huge_memory_split_v6_5(ops)
        },
        operations: Era.v5_18_rc1.operations.map { $0.name == "madvise" ? .madvise_with_collapse : $0 } + [])
}
