/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How Swift reaches what C nests inside a struct: the address of an embedded list, lock or array
 * element.  `&page->lru` is `page.lru` in Swift; `&kernel->cpus[i]` is `kernel.cpu(i)`.
 */
#pragma once

#include <ckernel/kernel_state.h>

#pragma clang assume_nonnull begin

#define EMBEDDED(type, owner, member)                                                             \
	static inline type *embedded_##owner##_##member(struct owner *self) SWIFT_NAME("getter:" #owner "." #member "(self:)"); \
	static inline type *embedded_##owner##_##member(struct owner *self) { return &self->member; }
#define ELEMENT(type, owner, member, singular)                                                    \
	static inline type *element_##owner##_##singular(struct owner *self, long index)                     \
		SWIFT_NAME(#owner "." #singular "(self:_:)");                                       \
	static inline type *element_##owner##_##singular(struct owner *self, long index) { return &self->member[index]; }

EMBEDDED(struct list_head, page, lru)
EMBEDDED(struct list_head, page, deferred_list)
EMBEDDED(struct list_head, vm_area_struct, shared)
EMBEDDED(struct rw_semaphore, vm_area_struct, vm_lock)
EMBEDDED(struct list_head, vm_area_struct, anon_vma_chain)
EMBEDDED(struct rw_semaphore, anon_vma, rwsem)
EMBEDDED(struct list_head, anon_vma, rb_root)
EMBEDDED(struct list_head, anon_vma_chain, same_vma)
EMBEDDED(struct list_head, anon_vma_chain, rb)
EMBEDDED(spinlock_t, address_space, i_pages_lock)
EMBEDDED(struct rw_semaphore, address_space, i_rwsem)
EMBEDDED(struct rw_semaphore, address_space, i_mmap_sem)
EMBEDDED(struct rw_semaphore, address_space, i_mmap_rwsem)
ELEMENT(unsigned long, entry_batch, entries, entry)
ELEMENT(pgoff_t, entry_batch, indices, index)
EMBEDDED(struct list_head, address_space, i_mmap)
static inline unsigned long *page_flags_word(struct page *self) SWIFT_NAME("getter:page.flags_word(self:)");
static inline unsigned long *page_flags_word(struct page *self) { return &self->flags; }
static inline unsigned long *address_space_falloc(struct address_space *self) SWIFT_NAME("getter:address_space.falloc_word(self:)");
static inline unsigned long *address_space_falloc(struct address_space *self) { return &self->falloc; }
static inline unsigned long *swap_info_changes(struct swap_info_struct *self) SWIFT_NAME("getter:swap_info_struct.changes_word(self:)");
static inline unsigned long *swap_info_changes(struct swap_info_struct *self) { return &self->changes; }
ELEMENT(unsigned long, address_space, i_pages, slot)
ELEMENT(u64, address_space, backing, disk)
EMBEDDED(struct rw_semaphore, mm_struct, mmap_lock)
EMBEDDED(spinlock_t, mm_struct, page_table_lock)
EMBEDDED(struct list_head, mm_struct, mmlist)
EMBEDDED(struct userfaultfd_ctx, mm_struct, userfaultfd)
EMBEDDED(spinlock_t, userfaultfd_ctx, fault_pending_wqh_lock)
EMBEDDED(struct userfaultfd_wait_queue, task_struct, uwq)
ELEMENT(pmd_t, mm_struct, pgd, pmd)
ELEMENT(long, mm_struct, rss_stat, rss)
EMBEDDED(spinlock_t, page_table, ptl)
ELEMENT(pte_t, page_table, pte, entry)
EMBEDDED(spinlock_t, secondary_mmu, lock)
ELEMENT(struct secondary_mmu_entry, secondary_mmu, entries, entry)
ELEMENT(struct iotlb_entry, intel_svm, iotlb, entry)
ELEMENT(struct page_table *_Nullable, intel_svm, paging_structures, table)
ELEMENT(struct page *_Nullable, pagevec, pages, page)
EMBEDDED(local_lock_t, per_cpu, lru_pvecs_lock)
EMBEDDED(struct pagevec, per_cpu, lru_add)
EMBEDDED(struct pagevec, per_cpu, lru_deactivate_file)
EMBEDDED(struct pagevec, per_cpu, lru_deactivate)
EMBEDDED(struct pagevec, per_cpu, lru_lazyfree)
EMBEDDED(struct pagevec, per_cpu, activate_page)
EMBEDDED(local_lock_t, per_cpu, lru_rotate_lock)
EMBEDDED(struct pagevec, per_cpu, lru_rotate)
EMBEDDED(local_lock_t, per_cpu, mlock_pvec_lock)
EMBEDDED(struct pagevec, per_cpu, mlock_pvec)
EMBEDDED(struct list_head, per_cpu, pcp)
ELEMENT(struct tlb_entry, per_cpu, tlb, entry)
ELEMENT(struct held_lock, task_struct, held_locks, held)
ELEMENT(long, task_struct, results, result)
ELEMENT(char, task_struct, frame, frame_byte)
ELEMENT(u16, task_struct, occurrences, occurrence)
EMBEDDED(struct tlbflush_unmap_batch, task_struct, tlb_ubc)
EMBEDDED(spinlock_t, pglist_data, lru_lock)
ELEMENT(struct list_head, pglist_data, lists, list)
EMBEDDED(struct list_head, pglist_data, free_area)
EMBEDDED(struct list_head, pglist_data, free_list)
EMBEDDED(struct list_head, pglist_data, split_queue)
EMBEDDED(spinlock_t, pglist_data, split_queue_lock)
EMBEDDED(spinlock_t, swap_info_struct, lock)
EMBEDDED(spinlock_t, swap_info_struct, cache_lock)
ELEMENT(u8, swap_info_struct, swap_map, users)
ELEMENT(unsigned long, swap_info_struct, cache, slot)
ELEMENT(u64, swap_info_struct, contents, disk)
ELEMENT(struct violation, kernel_state, violation, broken)
ELEMENT(u32, kernel_state, lock_order, order)
ELEMENT(long, kernel_state, vm_stat, stat)
ELEMENT(u32, kernel_state, vm_events, event)
ELEMENT(struct mm_struct *_Nullable, kernel_state, mms, mm_slot)
ELEMENT(struct secondary_mmu *_Nullable, kernel_state, secondary_mmus, secondary_mmu_slot)
ELEMENT(struct intel_svm *_Nullable, kernel_state, intel_svms, intel_svm_slot)
ELEMENT(struct kmem_cache, kernel_state, caches, cache)
ELEMENT(struct rcu_callback, kernel_state, rcu_callbacks, rcu_callback)
ELEMENT(struct pin, kernel_state, pins, pin)
EMBEDDED(struct list_head, kernel_state, mmlist)
EMBEDDED(struct mutex, kernel_state, lru_add_drain_all_lock)
EMBEDDED(struct tally, kernel_state, tally)
ELEMENT(u32, kernel_state, event_counts, event_count)
EMBEDDED(spinlock_t, kernel_state, khugepaged_mm_lock)
EMBEDDED(struct khugepaged_scan, kernel_state, khugepaged_scan)
EMBEDDED(struct mutex, kernel_state, khugepaged_thread)
EMBEDDED(struct list_head, khugepaged_scan, mm_head)
EMBEDDED(struct list_head, khugepaged_mm_slot, mm_node)
ELEMENT(unsigned long, khugepaged_mm_slot, pte_mapped_thp, address)
ELEMENT(struct user_data, kernel_state, user_data, data_of)
ELEMENT(struct user_data_change, kernel_state, user_data_changes, data_change)

static inline struct per_cpu *kernel_state_cpu(struct kernel_state *self, long n) SWIFT_NAME("kernel_state.cpu(self:_:)");
static inline struct per_cpu *kernel_state_cpu(struct kernel_state *self, long n) { return &self->cpus[n]; }
static inline struct task_struct *kernel_state_task(struct kernel_state *self, long n) SWIFT_NAME("kernel_state.task(self:_:)");
static inline struct task_struct *kernel_state_task(struct kernel_state *self, long n) { return &self->tasks[n]; }
static inline struct pglist_data *kernel_state_node(struct kernel_state *self, long n) SWIFT_NAME("kernel_state.node(self:_:)");
static inline struct pglist_data *kernel_state_node(struct kernel_state *self, long n) { return &self->nodes[n]; }
static inline struct address_space *kernel_state_file(struct kernel_state *self, long n) SWIFT_NAME("kernel_state.file(self:_:)");
static inline struct address_space *kernel_state_file(struct kernel_state *self, long n) { return &self->files[n]; }
static inline unsigned long *mm_invalidations(struct mm_struct *mm) { return &mm->invalidations; }
static inline unsigned long *invalidations(struct secondary_mmu *mmu) { return &mmu->invalidate_in_progress; }
static inline u64 *user_data_expected(struct user_data *data, long n) { return &data->expected[n]; }
/* Sizes, since a reference in Swift is as large as a pointer. */
size_t sizeof_kernel_ops(void);
static inline size_t sizeof_kernel_state(void) { return sizeof(struct kernel_state); }
static inline size_t sizeof_task_struct(void) { return sizeof(struct task_struct); }
static inline size_t sizeof_page(void) { return sizeof(struct page); }
static inline size_t sizeof_per_cpu(void) { return sizeof(struct per_cpu); }
static inline size_t sizeof_entry_batch(void) { return sizeof(struct entry_batch); }
static inline size_t sizeof_pagevec(void) { return sizeof(struct pagevec); }
static inline size_t sizeof_pglist_data(void) { return sizeof(struct pglist_data); }
static inline size_t sizeof_address_space(void) { return sizeof(struct address_space); }
static inline size_t sizeof_swap_info_struct(void) { return sizeof(struct swap_info_struct); }
static inline size_t sizeof_secondary_mmu(void) { return sizeof(struct secondary_mmu); }
static inline size_t sizeof_intel_svm(void) { return sizeof(struct intel_svm); }
static inline size_t sizeof_mm_struct(void) { return sizeof(struct mm_struct); }
static inline size_t sizeof_vm_area_struct(void) { return sizeof(struct vm_area_struct); }
static inline size_t sizeof_anon_vma(void) { return sizeof(struct anon_vma); }
static inline size_t sizeof_anon_vma_chain(void) { return sizeof(struct anon_vma_chain); }
static inline size_t sizeof_khugepaged_mm_slot(void) { return sizeof(struct khugepaged_mm_slot); }
/* Of a page table with `entries` entries. */
static inline size_t sizeof_page_table(size_t entries)
{
	return offsetof(struct page_table, pte) + entries * sizeof(pte_t);
}

static inline u16 *kmem_cache_free_slot(struct kmem_cache *cache, long n) { return &cache->free[n]; }

#pragma clang assume_nonnull end
