/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The table of kernel operations: each kernel function that has external linkage in mm/, and those
 * static ones that a variant replaces.  The model calls them through the table only, so a variant is an
 * era's table with some entries replaced.  One fixed signature an entry serves all eras.
 *
 * KERNEL_OPS(OP) lists them as OP(return type, name, (parameters), (arguments)).
 */
#pragma once

#include <ckernel/mm.h>

#pragma clang assume_nonnull begin

#define KERNEL_OPS(OP)                                                                                              \
	/* mm/rmap.c */                                                                                             \
	OP(int, anon_vma_prepare, (struct vm_area_struct * vma), (vma))                                             \
	OP(int, anon_vma_clone, (struct vm_area_struct * dst, struct vm_area_struct *src), (dst, src))              \
	OP(int, anon_vma_fork, (struct vm_area_struct * vma, struct vm_area_struct *pvma), (vma, pvma))             \
	OP(void, unlink_anon_vmas, (struct vm_area_struct * vma), (vma))                                            \
	OP(struct anon_vma *_Nullable, page_get_anon_vma, (struct page * page), (page))                             \
	OP(void, put_anon_vma, (struct anon_vma * anon_vma), (anon_vma))                                            \
	OP(struct anon_vma *_Nullable, page_lock_anon_vma_read, (struct page * page), (page))                       \
	OP(void, page_unlock_anon_vma_read, (struct anon_vma * anon_vma), (anon_vma))                               \
	OP(unsigned long, page_address_in_vma, (struct page * page, struct vm_area_struct *vma), (page, vma))       \
	OP(int, page_referenced, (struct page * page, int is_locked, unsigned long *vm_flags),                      \
	   (page, is_locked, vm_flags))                                                                             \
	OP(bool, page_referenced_one,                                                                               \
	   (struct page * page, struct vm_area_struct *vma, unsigned long address, void *_Nullable arg),            \
	   (page, vma, address, arg))                                                                               \
	OP(int, page_mkclean, (struct page * page), (page))                                                         \
	OP(bool, page_mkclean_one,                                                                                  \
	   (struct page * page, struct vm_area_struct *vma, unsigned long address, void *_Nullable arg),            \
	   (page, vma, address, arg))                                                                               \
	OP(void, page_move_anon_rmap, (struct page * page, struct vm_area_struct *vma), (page, vma))                \
	OP(void, page_add_anon_rmap,                                                                                \
	   (struct page * page, struct vm_area_struct *vma, unsigned long address, bool compound),                  \
	   (page, vma, address, compound))                                                                          \
	OP(void, do_page_add_anon_rmap,                                                                             \
	   (struct page * page, struct vm_area_struct *vma, unsigned long address, bool compound, bool exclusive),  \
	   (page, vma, address, compound, exclusive))                                                               \
	OP(void, page_add_new_anon_rmap,                                                                            \
	   (struct page * page, struct vm_area_struct *vma, unsigned long address, bool compound),                  \
	   (page, vma, address, compound))                                                                          \
	OP(void, page_add_file_rmap, (struct page * page, struct vm_area_struct *vma, bool compound),               \
	   (page, vma, compound))                                                                                   \
	OP(void, page_remove_rmap, (struct page * page, struct vm_area_struct *vma, bool compound),                 \
	   (page, vma, compound))                                                                                   \
	OP(bool, try_to_unmap, (struct page * page, unsigned long flags), (page, flags))                            \
	OP(bool, try_to_unmap_one,                                                                                  \
	   (struct page * page, struct vm_area_struct *vma, unsigned long address, void *_Nullable arg),            \
	   (page, vma, address, arg))                                                                               \
	OP(void, try_to_migrate, (struct page * page, unsigned long flags), (page, flags))                          \
	OP(bool, try_to_migrate_one,                                                                                \
	   (struct page * page, struct vm_area_struct *vma, unsigned long address, void *_Nullable arg),            \
	   (page, vma, address, arg))                                                                               \
	OP(void, try_to_munlock, (struct page * page), (page))                                                      \
	OP(void, page_mlock, (struct page * page), (page))                                                          \
	OP(bool, page_mlock_one,                                                                                    \
	   (struct page * page, struct vm_area_struct *vma, unsigned long address, void *_Nullable arg),            \
	   (page, vma, address, arg))                                                                               \
	OP(void, rmap_walk, (struct page * page, struct rmap_walk_control *rwc), (page, rwc))                       \
	OP(void, rmap_walk_locked, (struct page * page, struct rmap_walk_control *rwc), (page, rwc))                \
	OP(void, try_to_unmap_flush, (void), ())                                                                    \
	OP(void, try_to_unmap_flush_dirty, (void), ())                                                              \
	OP(void, flush_tlb_batched_pending, (struct mm_struct * mm), (mm))                                          \
	/* mm/page_vma_mapped.c */                                                                                  \
	OP(bool, page_vma_mapped_walk, (struct page_vma_mapped_walk * pvmw), (pvmw))                                \
	/* mm/mlock.c */                                                                                            \
	OP(void, clear_page_mlock, (struct page * page), (page))                                                    \
	OP(void, mlock_vma_page, (struct page * page), (page))                                                      \
	OP(unsigned int, munlock_vma_page, (struct page * page), (page))                                            \
	OP(void, __munlock_isolated_page, (struct page * page), (page))                                             \
	OP(void, munlock_vma_pages_range, (struct vm_area_struct * vma, unsigned long start, unsigned long end),    \
	   (vma, start, end))                                                                                       \
	/* From v5.18-rc1 on.  mlock_page() is mlock_folio() there, mlock_page_drain() mlock_page_drain_local(). */ \
	OP(void, mlock_page, (struct page * page), (page))                                                          \
	OP(void, mlock_new_page, (struct page * page), (page))                                                      \
	OP(void, munlock_page, (struct page * page), (page))                                                        \
	OP(void, mlock_page_drain, (int cpu), (cpu))                                                                \
	OP(bool, need_mlock_page_drain, (int cpu), (cpu))                                                           \
	OP(int, mlock_fixup, (struct vm_area_struct * vma, struct vm_area_struct *_Nullable *_Nonnull prev,         \
	   unsigned long start, unsigned long end, unsigned long newflags), (vma, prev, start, end, newflags))      \
	OP(long, do_mlock, (unsigned long start, unsigned long len, unsigned long flags), (start, len, flags))      \
	OP(long, do_munlock, (unsigned long start, unsigned long len), (start, len))                                \
	OP(long, do_mlockall, (unsigned long flags), (flags))                                                       \
	OP(long, do_munlockall, (void), ())                                                                         \
	/* mm/swap.c */                                                                                             \
	OP(void, lru_cache_add, (struct page * page), (page))                                                       \
	OP(void, lru_cache_add_inactive_or_unevictable, (struct page * page, struct vm_area_struct *vma),           \
	   (page, vma))                                                                                             \
	OP(void, put_page, (struct page * page), (page))                                                            \
	OP(void, release_pages, (struct page * *pages, int nr), (pages, nr))                                        \
	OP(void, pagevec_lru_add, (struct pagevec * pvec), (pvec))                                                  \
	OP(void, lru_add_drain, (void), ())                                                                         \
	OP(void, lru_add_drain_cpu, (int cpu), (cpu))                                                               \
	OP(void, lru_add_drain_cpu_zone, (void), ())                                                                \
	OP(void, lru_add_drain_all, (void), ())                                                                     \
	OP(void, lru_cache_disable, (void), ())                                                                     \
	OP(void, lru_cache_enable, (void), ())                                                                      \
	OP(void, mark_page_accessed, (struct page * page), (page))                                                  \
	OP(void, activate_page, (struct page * page), (page))                                                       \
	OP(void, deactivate_page, (struct page * page), (page))                                                     \
	OP(void, deactivate_file_page, (struct page * page), (page))                                                \
	OP(void, mark_page_lazyfree, (struct page * page), (page))                                                  \
	OP(void, rotate_reclaimable_page, (struct page * page), (page))                                             \
	/* mm/vmscan.c */                                                                                           \
	OP(int, isolate_lru_page, (struct page * page), (page))                                                     \
	OP(void, putback_lru_page, (struct page * page), (page))                                                    \
	OP(bool, page_evictable, (struct page * page), (page))                                                      \
	OP(int, remove_mapping, (struct address_space * _Nullable mapping, struct page *page), (mapping, page))     \
	OP(unsigned int, shrink_page_list, (struct list_head * list, unsigned long ttu_flags, bool force),          \
	   (list, ttu_flags, force))                                                                                \
	OP(unsigned long, reclaim_pages, (struct list_head * list), (list))                                         \
	OP(unsigned long, shrink_node, (int nid, int priority), (nid, priority))                                    \
	OP(unsigned long, try_to_free_pages, (gfp_t gfp), (gfp))                                                    \
	OP(unsigned int, page_check_references, (struct page * page), (page))                                       \
	OP(void, check_move_unevictable_pages, (struct pagevec * pvec), (pvec))                                     \
	/* mm/page_alloc.c */                                                                                       \
	OP(struct page *_Nullable, alloc_pages, (gfp_t gfp, unsigned int order), (gfp, order))                      \
	OP(struct page *_Nullable, alloc_pages_node, (int nid, gfp_t gfp, unsigned int order), (nid, gfp, order))   \
	OP(void, free_unref_page, (struct page * page), (page))                                                     \
	OP(void, free_compound_page, (struct page * page), (page))                                                  \
	/* mm/memory.c */                                                                                           \
	OP(vm_fault_t, handle_mm_fault, (struct vm_area_struct * vma, unsigned long address, unsigned int flags),   \
	   (vma, address, flags))                                                                                   \
	OP(vm_fault_t, handle_pte_fault, (struct vm_fault * vmf), (vmf))                                            \
	OP(int, copy_page_range, (struct vm_area_struct * dst_vma, struct vm_area_struct *src_vma),                 \
	   (dst_vma, src_vma))                                                                                      \
	OP(void, unmap_vmas,                                                                                        \
	   (struct mmu_gather * tlb, struct vm_area_struct *vma, unsigned long start, unsigned long end),           \
	   (tlb, vma, start, end))                                                                                  \
	OP(void, free_pgtables,                                                                                     \
	   (struct mmu_gather * tlb, struct vm_area_struct *vma, unsigned long floor, unsigned long ceiling),       \
	   (tlb, vma, floor, ceiling))                                                                              \
	OP(void, zap_page_range, (struct vm_area_struct * vma, unsigned long start, unsigned long size),            \
	   (vma, start, size))                                                                                      \
	OP(void, unmap_mapping_pages,                                                                               \
	   (struct address_space * mapping, pgoff_t start, pgoff_t nr, bool even_cows),                             \
	   (mapping, start, nr, even_cows))                                                                         \
	OP(void, unmap_mapping_page, (struct page * page), (page))                                                  \
	OP(void, do_set_pte, (struct vm_fault * vmf, struct page *page, unsigned long address),                     \
	   (vmf, page, address))                                                                                    \
	OP(vm_fault_t, finish_fault, (struct vm_fault * vmf), (vmf))                                                \
	/* the end of wp_page_copy(): what becomes of the page that was copied */                                   \
	OP(void, wp_page_copied, (struct vm_area_struct * vma, struct page *old_page), (vma, old_page))             \
	OP(vm_fault_t, do_swap_page, (struct vm_fault * vmf), (vmf))                                                \
	OP(int, page_try_dup_anon_rmap, (struct page * page, struct vm_area_struct *vma), (page, vma))              \
	OP(bool, wp_can_reuse_anon_page, (struct page * page, struct vm_area_struct *vma), (page, vma))             \
	OP(int, pte_alloc, (struct mm_struct * mm, pmd_t *pmd), (mm, pmd))                                          \
	/* mm/mmu_gather.c */                                                                                       \
	OP(void, tlb_gather_mmu, (struct mmu_gather * tlb, struct mm_struct *mm, bool fullmm), (tlb, mm, fullmm))   \
	OP(void, tlb_flush_mmu, (struct mmu_gather * tlb), (tlb))                                                   \
	OP(void, tlb_finish_mmu, (struct mmu_gather * tlb), (tlb))                                                  \
	OP(void, tlb_remove_page, (struct mmu_gather * tlb, struct page *page), (tlb, page))                        \
	OP(void, pte_free_tlb, (struct mmu_gather * tlb, pgtable_t table, unsigned long address),                   \
	   (tlb, table, address))                                                                                   \
	OP(bool, tlb_delay_rmap, (struct mmu_gather * tlb), (tlb))                                                  \
	/* arch/x86/mm/tlb.c, mm/pgtable-generic.c */                                                               \
	OP(void, flush_tlb_mm_range, (struct mm_struct * mm, unsigned long start, unsigned long end),               \
	   (mm, start, end))                                                                                        \
	OP(void, flush_tlb_page, (struct vm_area_struct * vma, unsigned long address), (vma, address))              \
	OP(void, arch_tlbbatch_flush, (struct tlbflush_unmap_batch * batch), (batch))                               \
	OP(pte_t, ptep_clear_flush, (struct vm_area_struct * vma, unsigned long address, pte_t *pte),               \
	   (vma, address, pte))                                                                                     \
	OP(bool, ptep_clear_flush_young, (struct vm_area_struct * vma, unsigned long address, pte_t *pte),          \
	   (vma, address, pte))                                                                                     \
	OP(pmd_t, pmdp_huge_clear_flush, (struct vm_area_struct * vma, unsigned long address, pmd_t *pmd),          \
	   (vma, address, pmd))                                                                                     \
	/* mm/pgtable-generic.c, include/linux/mm.h: `function` is the caller, whose name the yield points carry */  \
	OP(pte_t *_Nullable, __pte_offset_map,                                                                      \
	   (pmd_t * pmd, unsigned long address, pmd_t *_Nullable pmdvalp, const char *function),                    \
	   (pmd, address, pmdvalp, function))                                                                       \
	OP(pte_t *_Nullable, __pte_offset_map_lock, (struct mm_struct * mm, pmd_t *pmd, unsigned long address,      \
	   spinlock_t *_Nullable *_Nonnull ptlp, const char *function), (mm, pmd, address, ptlp, function))         \
	OP(void, pte_unmap, (pte_t * pte), (pte))                                                                   \
	OP(bool, pmd_trans_unstable, (pmd_t * pmd, const char *function), (pmd, function))                          \
	OP(bool, pmd_none_or_trans_huge_or_clear_bad, (pmd_t * pmd, const char *function), (pmd, function))         \
	OP(void, pte_free_defer, (struct mm_struct * mm, pgtable_t table), (mm, table))                             \
	OP(void, tlb_remove_table_free, (struct mm_struct * mm, pgtable_t table), (mm, table))                      \
	/* mm/huge_memory.c */                                                                                      \
	OP(vm_fault_t, do_huge_pmd_anonymous_page, (struct vm_fault * vmf), (vmf))                                  \
	OP(vm_fault_t, do_huge_pmd_wp_page, (struct vm_fault * vmf), (vmf))                                         \
	OP(vm_fault_t, do_huge_pmd_numa_page, (struct vm_fault * vmf), (vmf))                                       \
	OP(void, huge_pmd_set_accessed, (struct vm_fault * vmf), (vmf))                                             \
	OP(int, copy_huge_pmd,                                                                                      \
	   (struct vm_area_struct * dst_vma, struct vm_area_struct *src_vma, unsigned long address),                \
	   (dst_vma, src_vma, address))                                                                             \
	OP(int, zap_huge_pmd,                                                                                       \
	   (struct mmu_gather * tlb, struct vm_area_struct *vma, pmd_t *pmd, unsigned long address),                \
	   (tlb, vma, pmd, address))                                                                                \
	OP(int, change_huge_pmd, (struct vm_area_struct * vma, pmd_t *pmd, unsigned long address,                   \
	   unsigned long prot, unsigned long cp_flags), (vma, pmd, address, prot, cp_flags))                        \
	OP(bool, move_huge_pmd, (struct vm_area_struct * vma, unsigned long old_address,                            \
	   unsigned long new_address, pmd_t *old_pmd, pmd_t *new_pmd), (vma, old_address, new_address, old_pmd,     \
	   new_pmd))                                                                                                \
	OP(bool, madvise_free_huge_pmd, (struct mmu_gather * tlb, struct vm_area_struct *vma, pmd_t *pmd,           \
	   unsigned long address, unsigned long next), (tlb, vma, pmd, address, next))                              \
	OP(struct page *_Nullable, follow_trans_huge_pmd,                                                           \
	   (struct vm_area_struct * vma, unsigned long address, pmd_t *pmd, unsigned int flags),                    \
	   (vma, address, pmd, flags))                                                                              \
	OP(spinlock_t *_Nullable, pmd_trans_huge_lock, (pmd_t * pmd, struct vm_area_struct *vma), (pmd, vma))       \
	OP(void, __split_huge_pmd, (struct vm_area_struct * vma, pmd_t *pmd, unsigned long address, bool freeze,    \
	   struct page *_Nullable page), (vma, pmd, address, freeze, page))                                         \
	OP(void, __split_huge_pmd_locked,                                                                           \
	   (struct vm_area_struct * vma, pmd_t *pmd, unsigned long haddr, bool freeze), (vma, pmd, haddr, freeze))  \
	OP(void, split_huge_pmd, (struct vm_area_struct * vma, pmd_t *pmd, unsigned long address),                  \
	   (vma, pmd, address))                                                                                     \
	OP(void, split_huge_pmd_address,                                                                            \
	   (struct vm_area_struct * vma, unsigned long address, bool freeze, struct page *_Nullable page),          \
	   (vma, address, freeze, page))                                                                            \
	OP(void, unmap_page, (struct page * page), (page))                                                          \
	OP(void, remap_page, (struct page * page, int nr), (page, nr))                                              \
	OP(int, split_huge_page_to_list, (struct page * page, struct list_head *_Nullable list), (page, list))      \
	OP(void, vma_adjust_trans_huge,                                                                             \
	   (struct vm_area_struct * vma, unsigned long start, unsigned long end, long adjust_next),                 \
	   (vma, start, end, adjust_next))                                                                          \
	OP(void, deferred_split_huge_page, (struct page * page), (page))                                            \
	OP(unsigned long, deferred_split_scan, (int nid), (nid))                                                    \
	OP(void, free_transhuge_page, (struct page * page), (page))                                                 \
	OP(vm_fault_t, do_set_pmd, (struct vm_fault * vmf, struct page *page), (vmf, page))                         \
	/* mm/khugepaged.c, from v5.18-rc1 on */                                                                    \
	OP(int, khugepaged_enter, (struct vm_area_struct * vma, unsigned long vm_flags), (vma, vm_flags))           \
	OP(int, khugepaged_enter_vma_merge, (struct vm_area_struct * vma, unsigned long vm_flags), (vma, vm_flags)) \
	OP(int, khugepaged_fork, (struct mm_struct * mm, struct mm_struct *oldmm), (mm, oldmm))                     \
	OP(void, khugepaged_exit, (struct mm_struct * mm), (mm))                                                    \
	OP(long, khugepaged_do_scan, (void), ())                                                                    \
	OP(bool, hugepage_vma_check,                                                                                \
	   (struct vm_area_struct * vma, unsigned long vm_flags, bool smaps, bool in_pf, bool enforce_sysfs),       \
	   (vma, vm_flags, smaps, in_pf, enforce_sysfs))                                                            \
	OP(int, khugepaged_scan_file, (struct mm_struct * mm, unsigned long address,                                \
	   struct address_space *mapping, pgoff_t start, struct collapse_control *cc), (mm, address, mapping,       \
	   start, cc))                                                                                              \
	OP(int, khugepaged_scan_pmd, (struct mm_struct * mm, struct vm_area_struct *vma, unsigned long address,     \
	   bool *mmap_locked, struct collapse_control *cc), (mm, vma, address, mmap_locked, cc))                    \
	OP(int, collapse_file, (struct mm_struct * mm, unsigned long address, struct address_space *mapping,        \
	   pgoff_t start, struct collapse_control *cc), (mm, address, mapping, start, cc))                          \
	OP(int, collapse_huge_page, (struct mm_struct * mm, unsigned long address, int referenced, int unmapped,    \
	   struct collapse_control *cc), (mm, address, referenced, unmapped, cc))                                   \
	OP(int, retract_page_tables, (struct address_space * mapping, pgoff_t pgoff, struct mm_struct *target_mm,   \
	   unsigned long target_addr, struct page *hpage, struct collapse_control *cc), (mapping, pgoff,            \
	   target_mm, target_addr, hpage, cc))                                                                      \
	OP(int, collapse_pte_mapped_thp, (struct mm_struct * mm, unsigned long address, bool install_pmd),          \
	   (mm, address, install_pmd))                                                                              \
	OP(long, madvise_collapse, (struct vm_area_struct * vma, struct vm_area_struct *_Nullable *_Nonnull prev,   \
	   unsigned long start, unsigned long end), (vma, prev, start, end))                                        \
	OP(void, shmem_mmap, (struct address_space * mapping, struct vm_area_struct *vma), (mapping, vma))          \
	/* mm/migrate.c, mm/compaction.c */                                                                         \
	OP(int, migrate_pages, (struct list_head * from, int nid, int mode, int reason), (from, nid, mode, reason)) \
	OP(int, migrate_page_move_mapping,                                                                          \
	   (struct address_space * _Nullable mapping, struct page *newpage, struct page *page, int extra_count),    \
	   (mapping, newpage, page, extra_count))                                                                   \
	OP(int, __unmap_and_move, (struct page * page, struct page *newpage, bool force, int mode),                 \
	   (page, newpage, force, mode))                                                                            \
	OP(bool, remove_migration_pte,                                                                              \
	   (struct page * page, struct vm_area_struct *vma, unsigned long address, void *_Nullable arg),            \
	   (page, vma, address, arg))                                                                               \
	OP(void, migration_entry_wait_on_locked, (swp_entry_t entry, spinlock_t * ptl), (entry, ptl))               \
	OP(void, remove_migration_ptes, (struct page * old, struct page *new_, bool locked), (old, new_, locked))   \
	OP(void, migration_entry_wait, (struct mm_struct * mm, pmd_t *pmd, unsigned long address),                  \
	   (mm, pmd, address))                                                                                      \
	OP(void, pmd_migration_entry_wait, (struct mm_struct * mm, pmd_t *pmd), (mm, pmd))                          \
	OP(void, putback_movable_pages, (struct list_head * list), (list))                                          \
	OP(long, do_move_pages, (unsigned long start, unsigned long len, int nid, int flags),                       \
	   (start, len, nid, flags))                                                                                \
	OP(long, compact_zone, (int nid, int order), (nid, order))                                                                    \
	OP(int, migrate_misplaced_transhuge_page, (struct mm_struct * mm, struct vm_area_struct *vma, pmd_t *pmd,   \
	   pmd_t entry, unsigned long address, struct page *page, int nid), (mm, vma, pmd, entry, address, page,    \
	   nid))                                                                                                    \
	OP(int, migrate_misplaced_page, (struct page * page, struct vm_area_struct *vma, int nid),                  \
	   (page, vma, nid))                                                                                        \
	OP(int, set_pmd_migration_entry, (struct page_vma_mapped_walk * pvmw, struct page *page), (pvmw, page))    \
	OP(void, remove_migration_pmd, (struct page_vma_mapped_walk * pvmw, struct page *new_), (pvmw, new_))       \
	/* mm/swap_state.c, mm/swapfile.c, mm/page_io.c */                                                          \
	OP(bool, add_to_swap, (struct page * page), (page))                                                         \
	OP(void, delete_from_swap_cache, (struct page * page), (page))                                              \
	OP(int, add_to_swap_cache, (struct page * page, swp_entry_t entry), (page, entry))                          \
	OP(void, __delete_from_swap_cache, (struct page * page, swp_entry_t entry), (page, entry))                  \
	OP(struct page *_Nullable, lookup_swap_cache, (swp_entry_t entry), (entry))                                 \
	OP(struct page *_Nullable, swapin_readahead, (swp_entry_t entry), (entry))                                  \
	OP(swp_entry_t, get_swap_page, (struct page * page), (page))                                                \
	OP(void, put_swap_page, (struct page * page, swp_entry_t entry), (page, entry))                             \
	OP(int, swap_duplicate, (swp_entry_t entry), (entry))                                                       \
	OP(void, swap_shmem_alloc, (swp_entry_t entry), (entry))                                                    \
	OP(void, swap_free, (swp_entry_t entry), (entry))                                                           \
	OP(void, free_swap_and_cache, (swp_entry_t entry), (entry))                                                 \
	OP(void, free_page_and_swap_cache, (struct page * page), (page))                                            \
	OP(void, free_pages_and_swap_cache, (struct page *_Nullable *pages, int nr), (pages, nr))                   \
	OP(bool, try_to_free_swap, (struct page * page), (page))                                                    \
	OP(bool, reuse_swap_page, (struct page * page), (page))                                                     \
	OP(int, page_swapcount, (struct page * page), (page))                                                       \
	OP(void, swap_writepage, (struct page * page), (page))                                                      \
	OP(void, swap_readpage, (struct page * page), (page))                                                       \
	/* mm/filemap.c, mm/shmem.c, mm/truncate.c, mm/page-writeback.c */                                          \
	OP(struct page *_Nullable, find_get_page, (struct address_space * mapping, pgoff_t index),                  \
	   (mapping, index))                                                                                        \
	OP(struct page *_Nullable, find_lock_page, (struct address_space * mapping, pgoff_t index),                 \
	   (mapping, index))                                                                                        \
	OP(int, add_to_page_cache_lru, (struct page * page, struct address_space *mapping, pgoff_t index),          \
	   (page, mapping, index))                                                                                  \
	OP(void, delete_from_page_cache, (struct page * page), (page))                                              \
	OP(void, __delete_from_page_cache, (struct page * page), (page))                                            \
	OP(vm_fault_t, filemap_fault, (struct vm_fault * vmf), (vmf))                                               \
	OP(vm_fault_t, filemap_map_pages, (struct vm_fault * vmf, pgoff_t start, pgoff_t end), (vmf, start, end))   \
	OP(vm_fault_t, shmem_fault, (struct vm_fault * vmf), (vmf))                                                 \
	OP(int, shmem_writepage, (struct page * page), (page))                                                      \
	OP(long, do_truncate, (struct address_space * mapping, pgoff_t size), (mapping, size))                      \
	OP(long, do_fallocate_punch, (struct address_space * mapping, pgoff_t start, pgoff_t end),                  \
	   (mapping, start, end))                                                                                   \
	OP(void, truncate_inode_pages_range, (struct address_space * mapping, pgoff_t start, pgoff_t end),          \
	   (mapping, start, end))                                                                                   \
	OP(int, truncate_inode_page, (struct address_space * mapping, struct page *page), (mapping, page))          \
	OP(long, invalidate_mapping_pages, (struct address_space * mapping), (mapping))                             \
	OP(void, set_page_dirty, (struct page * page), (page))                                                      \
	OP(bool, clear_page_dirty_for_io, (struct page * page), (page))                                             \
	OP(void, cancel_dirty_page, (struct page * page), (page))                                                   \
	OP(void, set_page_writeback, (struct page * page), (page))                                                  \
	OP(void, end_page_writeback, (struct page * page), (page))                                                  \
	OP(int, writepage, (struct page * page), (page))                                                            \
	OP(long, do_writepages, (struct address_space * mapping), (mapping))                                        \
	OP(void, shmem_lock, (struct address_space * mapping, bool lock), (mapping, lock))                          \
	OP(void, shmem_unlock_mapping, (struct address_space * mapping), (mapping))                                 \
	OP(void, shmem_truncate_range, (struct address_space * mapping, pgoff_t start, pgoff_t end),                \
	   (mapping, start, end))                                                                                   \
	OP(long, generic_file_read, (struct address_space * mapping, pgoff_t index), (mapping, index))              \
	OP(long, generic_file_write, (struct address_space * mapping, pgoff_t index, u64 token),                    \
	   (mapping, index, token))                                                                                 \
	/* fs/ext4 */                                                                                               \
	OP(vm_fault_t, ext4_filemap_fault, (struct vm_fault * vmf), (vmf))                                          \
	OP(vm_fault_t, ext4_page_mkwrite, (struct vm_fault * vmf), (vmf))                                           \
	/* mm/mmap.c */                                                                                             \
	OP(struct vm_area_struct *_Nullable, find_vma, (struct mm_struct * mm, unsigned long address),              \
	   (mm, address))                                                                                           \
	OP(unsigned long, get_unmapped_area, (struct address_space * _Nullable file, unsigned long address,         \
	   unsigned long len, pgoff_t pgoff, unsigned long flags), (file, address, len, pgoff, flags))              \
	OP(unsigned long, do_mmap, (struct address_space * _Nullable file, unsigned long address,                   \
	   unsigned long len, unsigned long prot, unsigned long flags, pgoff_t pgoff, unsigned long *populate),     \
	   (file, address, len, prot, flags, pgoff, populate))                                                      \
	OP(long, vm_mmap_pgoff, (struct address_space * _Nullable file, unsigned long address, unsigned long len,   \
	   unsigned long prot, unsigned long flags, pgoff_t pgoff), (file, address, len, prot, flags, pgoff))       \
	OP(int, __do_munmap, (struct mm_struct * mm, unsigned long start, unsigned long len, bool downgrade),       \
	   (mm, start, len, downgrade))                                                                             \
	OP(int, do_munmap, (struct mm_struct * mm, unsigned long start, unsigned long len), (mm, start, len))       \
	OP(long, __vm_munmap, (unsigned long start, unsigned long len, bool downgrade), (start, len, downgrade))    \
	OP(int, __vma_adjust, (struct vm_area_struct * vma, unsigned long start, unsigned long end,                 \
	   pgoff_t pgoff, struct vm_area_struct *_Nullable insert, struct vm_area_struct *_Nullable expand),        \
	   (vma, start, end, pgoff, insert, expand))                                                                \
	OP(struct vm_area_struct *_Nullable, vma_merge, (struct mm_struct * mm,                                     \
	   struct vm_area_struct *_Nullable prev, unsigned long start, unsigned long end, unsigned long vm_flags,   \
	   struct anon_vma *_Nullable anon_vma, struct address_space *_Nullable file, pgoff_t pgoff), (mm, prev,    \
	   start, end, vm_flags, anon_vma, file, pgoff))                                                            \
	OP(int, split_vma, (struct mm_struct * mm, struct vm_area_struct *vma, unsigned long address, bool below),  \
	   (mm, vma, address, below))                                                                               \
	OP(struct vm_area_struct *_Nullable, copy_vma, (struct vm_area_struct * _Nonnull *_Nonnull vmap,            \
	   unsigned long address, unsigned long len, pgoff_t pgoff, bool *need_rmap_locks), (vmap, address, len,    \
	   pgoff, need_rmap_locks))                                                                                 \
	OP(void, unlink_file_vma, (struct vm_area_struct * vma), (vma))                                             \
	/* include/linux/mm.h, include/linux/mmap_lock.h, mm/memory.c: locks of single vmas */                      \
	OP(struct vm_area_struct *_Nullable, lock_vma_under_rcu, (struct mm_struct * mm, unsigned long address),    \
	   (mm, address))                                                                                           \
	OP(void, vma_start_write, (struct vm_area_struct * vma), (vma))                                             \
	OP(bool, vma_try_start_write, (struct vm_area_struct * vma), (vma))                                         \
	OP(void, vma_end_write_all, (struct mm_struct * mm), (mm))                                                  \
	OP(void, vma_end_read, (struct vm_area_struct * vma), (vma))                                                \
	OP(void, vma_mark_detached, (struct vm_area_struct * vma, bool detached), (vma, detached))                  \
	/* of munmap(); from v5.18-rc1 on part of detach_vmas_to_be_unmapped() */                                   \
	OP(void, unlock_range, (struct vm_area_struct * start, unsigned long limit), (start, limit))                \
	OP(void, exit_mmap, (struct mm_struct * mm), (mm))                                                          \
	/* kernel/fork.c */                                                                                         \
	OP(void, mmput, (struct mm_struct * mm), (mm))                                                              \
	OP(void, mmdrop, (struct mm_struct * mm), (mm))                                                             \
	OP(void, vm_area_free, (struct vm_area_struct * vma), (vma))                                                \
	OP(struct mm_struct *_Nullable, dup_mm, (unsigned int process, struct mm_struct *oldmm), (process, oldmm))  \
	/* mm/mprotect.c, mm/mremap.c, mm/madvise.c, mm/msync.c */                                                  \
	OP(long, do_mprotect, (unsigned long start, unsigned long len, unsigned long prot), (start, len, prot))     \
	OP(bool, vma_wants_manual_pte_write_upgrade, (struct vm_area_struct * vma), (vma))                          \
	OP(swp_entry_t, write_protected_migration_entry, (swp_entry_t entry), (entry))                              \
	OP(unsigned long, change_protection, (struct vm_area_struct * vma, unsigned long start,                     \
	   unsigned long end, unsigned long prot, unsigned long cp_flags), (vma, start, end, prot, cp_flags))       \
	OP(unsigned long, move_page_tables, (struct vm_area_struct * vma, unsigned long old_addr,                   \
	   struct vm_area_struct *new_vma, unsigned long new_addr, unsigned long len, bool need_rmap_locks),        \
	   (vma, old_addr, new_vma, new_addr, len, need_rmap_locks))                                                \
	OP(long, do_mremap, (unsigned long address, unsigned long old_len, unsigned long new_len,                   \
	   unsigned long flags, unsigned long new_address), (address, old_len, new_len, flags, new_address))        \
	OP(long, do_madvise, (unsigned long start, unsigned long len, int advice), (start, len, advice))            \
	OP(long, do_msync, (unsigned long start, unsigned long len, int flags), (start, len, flags))                \
	/* mm/gup.c */                                                                                              \
	OP(long, populate_vma_page_range,                                                                           \
	   (struct vm_area_struct * vma, unsigned long start, unsigned long end, int *_Nullable locked),            \
	   (vma, start, end, locked))                                                                               \
	OP(int, mm_populate, (unsigned long start, unsigned long len, bool ignore_errors),                          \
	   (start, len, ignore_errors))                                                                             \
	OP(struct page *_Nullable, follow_page, (struct vm_area_struct * vma, unsigned long address,                \
	   unsigned int flags), (vma, address, flags))                                                              \
	OP(long, get_user_pages, (struct mm_struct * mm, unsigned long start, unsigned long nr,                     \
	   unsigned int flags, struct page *_Nullable *_Nullable pages), (mm, start, nr, flags, pages))             \
	OP(struct page *_Nullable, get_user_page_fast, (struct mm_struct * mm, unsigned long address,               \
	   unsigned int flags), (mm, address, flags))                                                               \
	/* GUP: whether a page that is mapped read-only must become the mm's own before it is pinned */             \
	OP(bool, gup_must_unshare, (struct vm_area_struct *_Nullable vma, unsigned int flags, struct page *page),   \
	   (vma, flags, page))                                                                                      \
	OP(void, sanity_check_pinned_page, (struct page * page), (page))                                            \
	OP(struct page *_Nullable, gup_pte_range, (pmd_t pmd, pmd_t * pmdp, unsigned long address,                  \
	   unsigned int flags), (pmd, pmdp, address, flags))                                                        \
	OP(void, unpin_user_page, (struct page * page), (page))                                                     \
	OP(long, check_and_migrate_movable_pages,                                                                   \
	   (unsigned long nr_pages, struct page *_Nullable *_Nonnull pages, unsigned int gup_flags),                \
	   (nr_pages, pages, gup_flags))                                                                            \
	/* fs/userfaultfd.c, mm/userfaultfd.c: from v5.18-rc1 on */                                                \
	OP(vm_fault_t, handle_userfault, (struct vm_fault * vmf, unsigned long reason), (vmf, reason))              \
	OP(bool, vma_can_userfault, (struct vm_area_struct * vma, unsigned long vm_flags), (vma, vm_flags))         \
	OP(long, userfaultfd_register, (unsigned long start, unsigned long len, unsigned long mode,                 \
	   unsigned int features), (start, len, mode, features))                                                    \
	OP(long, userfaultfd_unregister, (unsigned long start, unsigned long len), (start, len))                    \
	OP(long, userfaultfd_copy, (unsigned long dst, unsigned long len, unsigned long mode, u64 token),           \
	   (dst, len, mode, token))                                                                                 \
	OP(long, userfaultfd_zeropage, (unsigned long start, unsigned long len, unsigned long mode),                \
	   (start, len, mode))                                                                                      \
	OP(long, userfaultfd_continue, (unsigned long start, unsigned long len, unsigned long mode),                \
	   (start, len, mode))                                                                                      \
	OP(long, userfaultfd_writeprotect, (unsigned long start, unsigned long len, unsigned long mode),            \
	   (start, len, mode))                                                                                      \
	OP(long, userfaultfd_wake, (unsigned long start, unsigned long len), (start, len))                          \
	OP(long, userfaultfd_release, (void), ())                                                                   \
	OP(void, dup_userfaultfd, (struct vm_area_struct * vma), (vma))                                             \
	OP(void, mremap_userfaultfd_prep, (struct vm_area_struct * vma), (vma))                                     \
	OP(long, mfill_atomic, (struct mm_struct * dst_mm, unsigned long dst_start, unsigned long len,              \
	   unsigned int flags, u64 token), (dst_mm, dst_start, len, flags, token))                                  \
	OP(int, mfill_atomic_install_pte, (pmd_t * dst_pmd, struct vm_area_struct *dst_vma,                         \
	   unsigned long dst_addr, struct page *page, bool newly_allocated, unsigned int flags), (dst_pmd,          \
	   dst_vma, dst_addr, page, newly_allocated, flags))                                                        \
	OP(int, shmem_mfill_atomic_pte, (pmd_t * dst_pmd, struct vm_area_struct *dst_vma, unsigned long dst_addr,   \
	   unsigned int flags, u64 token), (dst_pmd, dst_vma, dst_addr, flags, token))                              \
	OP(int, mwriteprotect_range, (struct mm_struct * dst_mm, unsigned long start, unsigned long len,            \
	   bool enable_wp), (dst_mm, start, len, enable_wp))                                                        \
	/* mm/mmu_notifier.c */                                                                                     \
	OP(void, mmu_notifier_invalidate_range_start, (struct mmu_notifier_range * range), (range))                 \
	OP(void, mmu_notifier_invalidate_range_end, (struct mmu_notifier_range * range), (range))                   \
	OP(void, mmu_notifier_invalidate_range_only_end, (struct mmu_notifier_range * range), (range))              \
	OP(void, mmu_notifier_invalidate_range, (struct mm_struct * mm, unsigned long start, unsigned long end),    \
	   (mm, start, end))                                                                                        \
	OP(bool, mmu_notifier_clear_flush_young, (struct mm_struct * mm, unsigned long start, unsigned long end),   \
	   (mm, start, end))                                                                                        \
	OP(void, mmu_notifier_release, (struct mm_struct * mm), (mm))

/* The table itself, and what holds in the kernel it makes up (RULE_...): KernelModel/Invariants. */
KERNEL_OBJECT(kernel_ops) {
#define OP(type, name, parameters, arguments) type(*name) parameters;
	KERNEL_OPS(OP)
#undef OP
	unsigned long rules;
	struct kernel_ops *_Nullable original; /* the same table, where this one notes entries */
};

enum kernel_op_number {
#define OP(type, name, parameters, arguments) KERNEL_OP_##name,
	KERNEL_OPS(OP)
#undef OP
	NR_KERNEL_OPS
};

/* The name of entry `number` of the table; NULL past its end. */
const char *_Nullable kernel_op_name(unsigned int number);

/* Makes calls through entry `number` of a table that has an original tell the scheduler. */
void note_entries_of(struct kernel_ops *ops, unsigned int number);

#pragma clang assume_nonnull end
