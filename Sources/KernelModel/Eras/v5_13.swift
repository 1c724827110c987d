// SPDX-License-Identifier: GPL-2.0-only
// Linux v5.13: mlock by PG_mlocked alone, munlock in batches, one try_to_unmap() for all purposes.

import CKernel

extension Era {
    public static let v5_13 = Era(
        name: "v5.13",
        install: { ops in
            install_anon_vma(ops)
            install_rmap(ops)
            install_rmap_count(ops)
            install_rmap_unmap(ops)
            install_page_vma_mapped(ops)
            install_mlock(ops)
            install_mlock_syscalls(ops)
            install_mmap(ops)
            install_mmap_adjust(ops)
            install_mmap_unmap(ops)
            install_mmap_exit(ops)
            install_vma_lock(ops)
            install_mprotect(ops)
            install_mremap(ops)
            install_mremap_move(ops)
            install_madvise(ops)
            install_msync(ops)
            install_fork(ops)
            install_page_alloc(ops)
            install_filemap(ops)
            install_ext4(ops)
            install_shmem(ops)
            install_truncate(ops)
            install_page_writeback(ops)
            install_swapfile(ops)
            install_swap_state(ops)
            install_page_io(ops)
            install_swap(ops)
            install_swap_batches(ops)
            install_vmscan(ops)
            install_vmscan_node(ops)
            install_vmscan_page_list(ops)
            install_migrate(ops)
            install_migrate_entries(ops)
            install_migrate_callers(ops)
            install_compaction(ops)
            install_memory(ops)
            install_gup(ops)
            install_mmu_notifier(ops)
            install_mmu_gather(ops)
            install_tlb(ops)
            install_pgtable_generic(ops)
            install_khugepaged(ops)
            install_huge_memory(ops)
            install_huge_memory_fault(ops)
            install_huge_memory_numa(ops)
            install_huge_memory_deferred(ops)
            install_huge_memory_split_page(ops)
            install_huge_memory_split_pmd(ops)
            install_huge_memory_change(ops)
        },
        operations: [
            .mmap, .munmap, .mprotect, .mremap, .madvise, .msync, .fork, .exit,
            .read, .write, .pin, .unpin, .pin_read, .pin_write, .register_device, .device_read, .device_write,
            .mlock, .mlock2, .munlock, .mlockall, .munlockall,
            .file_read, .file_write, .truncate, .fallocate_punch, .shm_lock, .shm_unlock, .fsync,
            .writeback, .drop_caches,
            .kswapd, .lru_add_drain, .lru_add_drain_all, .move_pages, .compact, .change_prot_numa,
        ])
}
