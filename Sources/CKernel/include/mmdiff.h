/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The one header of a variant written in C: the kernel's structs and helpers, and the locks and accesses
 * at which another task may run.
 *
 * A yield point is named `function:label`.  The macros below add the calling function's name; the label
 * is the lock's class, the member that READ_ONCE() or WRITE_ONCE() accesses (`READ_ONCE(vma->vm_flags)`
 * yields as `vm_flags`), the page flag's reader (`TestClearPageMlocked(page)` yields as `PageMlocked`), or
 * "pte" or "pmd" for a store to a page table.  A function written in C and the same one in Swift so have
 * the same yield points.  Assertions do not yield.  Nor do plain loads and stores: write READ_ONCE() where
 * another task's change must be able to come in between.
 *
 * In a user's file (MMDIFF_PLUGIN) a function that has the name of a kernel operation replaces it, and
 * every kernel operation can be called by its name.  In the project's own C code operations are static
 * functions that a table enters, and calls go through `kernel->ops`.
 */
#pragma once

#include <CKernel.h>

#ifdef MMDIFF_PLUGIN
#pragma clang assume_nonnull begin
#define OP(type, name, parameters, arguments) type name parameters;
KERNEL_OPS(OP)
#undef OP
#pragma clang assume_nonnull end
#endif

/* --- yield points --- */

#define mmdiff_yield(label) \
	((void)(mmdiff_quiet || (kernel->simulation->yield_point(__func__, (label)), 0)))

/* Assertions look without yielding: in them another constant of this name hides this one. */
enum { mmdiff_quiet = 0 };

/* The last member named in the text of an access: "vma->vm_flags" gives "vm_flags", "*pmd" gives "pmd".
 * The compiler does it. */
#define mmdiff_member(text) mmdiff_after('.', mmdiff_after('>', (text) + ((text)[0] == '*')))
#define mmdiff_after(mark, text) (__builtin_strrchr(text, mark) ? __builtin_strrchr(text, mark) + 1 : (text))

#define READ_ONCE(x) (*({ mmdiff_yield(mmdiff_member(#x)); &(x); }))
#define WRITE_ONCE(x, value) do { mmdiff_yield(mmdiff_member(#x)); (x) = (value); } while (0)

#define mmdiff_assert(condition, text)                                                 \
	do {                                                                           \
		enum { mmdiff_quiet = 1 };                                             \
		if (unlikely(condition))                                               \
			kernel->simulation->bug_on(__func__, (text));                  \
	} while (0)
#define BUG_ON(condition) mmdiff_assert(condition, #condition)
#define VM_BUG_ON(condition) mmdiff_assert(condition, #condition)
#define VM_BUG_ON_PAGE(condition, page) mmdiff_assert(condition, #condition)
#define VM_BUG_ON_VMA(condition, vma) mmdiff_assert(condition, #condition)
#define WARN_ON(condition) ({ enum { mmdiff_quiet = 1 }; unlikely(!!(condition)); })
#define WARN_ON_ONCE(condition) WARN_ON(condition)
#define VM_WARN_ON(condition) ((void)WARN_ON(condition))
#define VM_WARN_ON_ONCE(condition) ((void)WARN_ON(condition))
#define VM_WARN_ON_ONCE_PAGE(condition, page) WARN_ON(condition)

/* --- locks: linux/spinlock.h, rwsem.h, mutex.h, local_lock.h, pagemap.h, rcupdate.h --- */

#define spin_lock(lock) kernel->simulation->spin_lock((lock), 0, __func__)
#define spin_lock_nested(lock, subclass) (kernel->simulation->spin_lock)((lock), (subclass), __func__)
#define SINGLE_DEPTH_NESTING 1
#define spin_trylock(lock) kernel->simulation->spin_trylock((lock), __func__)
#define spin_unlock(lock) kernel->simulation->spin_unlock((lock), __func__)
#define spin_lock_irq(lock) do { local_irq_disable(); spin_lock(lock); } while (0)
#define spin_unlock_irq(lock) do { spin_unlock(lock); local_irq_enable(); } while (0)
#define spin_lock_irqsave(lock, flags) do { (flags) = 0; spin_lock_irq(lock); } while (0)
#define spin_unlock_irqrestore(lock, flags) do { (void)(flags); spin_unlock_irq(lock); } while (0)
#define down_read(sem) kernel->simulation->down_read((sem), __func__)
#define down_read_trylock(sem) kernel->simulation->down_read_trylock((sem), __func__)
#define up_read(sem) kernel->simulation->up_read((sem), __func__)
#define down_write(sem) kernel->simulation->down_write((sem), __func__)
#define down_write_trylock(sem) kernel->simulation->down_write_trylock((sem), __func__)
#define up_write(sem) kernel->simulation->up_write((sem), __func__)
#define mutex_lock(lock) kernel->simulation->mutex_lock((lock), __func__)
#define mutex_unlock(lock) kernel->simulation->mutex_unlock((lock), __func__)
#define local_lock(lock) kernel->simulation->local_lock((lock), __func__)
#define local_unlock(lock) kernel->simulation->local_unlock((lock), __func__)
#define lock_page(page) kernel->simulation->lock_page((page), __func__)
#define trylock_page(page) kernel->simulation->trylock_page((page), __func__)
#define unlock_page(page) kernel->simulation->unlock_page((page), __func__)
#define wait_on_page_locked(page) kernel->simulation->wait_on_page_locked((page), __func__)
#define wait_on_page_writeback(page) kernel->simulation->wait_on_page_writeback((page), __func__)
#define rcu_read_lock() kernel->simulation->rcu_read_lock()
#define rcu_read_unlock() kernel->simulation->rcu_read_unlock()
#define synchronize_rcu() kernel->simulation->synchronize_rcu(__func__)
/* Where the task may go on on another CPU, if nothing keeps it from that: before an access to per-CPU data. */
#define may_change_cpu() kernel->simulation->may_change_cpu(__func__)
#define preempt_disable() kernel->simulation->preempt_disable()
#define preempt_enable() kernel->simulation->preempt_enable()
#define local_irq_disable() kernel->simulation->local_irq_disable()
#define local_irq_enable() kernel->simulation->local_irq_enable()
#define might_sleep() kernel->simulation->might_sleep(__func__)

#define mmap_read_lock(mm) down_read(&(mm)->mmap_lock)
#define mmap_read_trylock(mm) down_read_trylock(&(mm)->mmap_lock)
#define mmap_read_unlock(mm) up_read(&(mm)->mmap_lock)
#define mmap_write_lock(mm) down_write(&(mm)->mmap_lock)
#define mmap_write_unlock(mm) do { kernel->ops->vma_end_write_all(mm); up_write(&(mm)->mmap_lock); } while (0)
#ifndef MMDIFF_PLUGIN
#define vma_start_write(vma) kernel->ops->vma_start_write(vma)
#define vma_try_start_write(vma) kernel->ops->vma_try_start_write(vma)
#endif
#define i_mmap_lock_read(mapping) down_read(&(mapping)->i_mmap_rwsem)
#define i_mmap_unlock_read(mapping) up_read(&(mapping)->i_mmap_rwsem)
#define i_mmap_lock_write(mapping) down_write(&(mapping)->i_mmap_rwsem)
#define i_mmap_unlock_write(mapping) up_write(&(mapping)->i_mmap_rwsem)
#define anon_vma_lock_read(anon_vma) down_read(&(anon_vma)->root->rwsem)
#define anon_vma_unlock_read(anon_vma) up_read(&(anon_vma)->root->rwsem)
#define anon_vma_lock_write(anon_vma) down_write(&(anon_vma)->root->rwsem)
#define anon_vma_unlock_write(anon_vma) up_write(&(anon_vma)->root->rwsem)

/* --- the current task and CPU, memory --- */

static inline struct task_struct *get_current(void) { return kernel->current; }
static inline int smp_processor_id(void) { return kernel->current->cpu; }
static inline struct per_cpu *get_this_cpu(void) { return &kernel->cpus[kernel->current->cpu]; }
#define current get_current()
#define this_cpu get_this_cpu()

#define kmem_cache_zalloc(kind) kernel->simulation->kmem_cache_zalloc(kind)
#define kmem_cache_free(kind, object) kernel->simulation->kmem_cache_free((kind), (object))
#define kfree_rcu(kind, object) kernel->simulation->kfree_rcu((kind), (object))

/* --- page tables: linux/pgtable.h, mm.h, rmap.h --- */

#define mmdiff_entry(label, pointer, update)                                           \
	({                                                                             \
		mmdiff_yield(label);                                                   \
		__typeof__(pointer) mmdiff_pointer = (pointer);                        \
		__typeof__(*mmdiff_pointer) mmdiff_old = *mmdiff_pointer;              \
		*mmdiff_pointer = (update);                                            \
		mmdiff_old;                                                            \
	})

#define set_pte_at(mm, address, ptep, value) ((void)mmdiff_entry("pte", ptep, value))
#define pte_clear(mm, address, ptep) ((void)mmdiff_entry("pte", ptep, __pte(0)))
#define ptep_get_and_clear(mm, address, ptep) mmdiff_entry("pte", ptep, __pte(0))
#define ptep_set_wrprotect(mm, address, ptep) ((void)mmdiff_entry("pte", ptep, pte_wrprotect(mmdiff_old)))
#define ptep_test_and_clear_young(vma, address, ptep) pte_young(mmdiff_entry("pte", ptep, pte_mkold(mmdiff_old)))
#define set_pmd_at(mm, address, pmdp, value) ((void)mmdiff_entry("pmd", pmdp, value))
#define pmd_clear(pmdp) ((void)mmdiff_entry("pmd", pmdp, __pmd(0)))
#define pmdp_huge_get_and_clear(mm, address, pmdp) mmdiff_entry("pmd", pmdp, __pmd(0))
#define pmdp_set_wrprotect(mm, address, pmdp) ((void)mmdiff_entry("pmd", pmdp, pmd_wrprotect(mmdiff_old)))
#define pmdp_test_and_clear_young(vma, address, pmdp) pmd_young(mmdiff_entry("pmd", pmdp, pmd_mkold(mmdiff_old)))

#define pmd_lock(mm, pmd)                                                              \
	({                                                                             \
		spinlock_t *mmdiff_ptl = pmd_lockptr((mm), (pmd));                     \
		spin_lock(mmdiff_ptl);                                                 \
		mmdiff_ptl;                                                            \
	})
/* From v6.5 on these return NULL if there is no page table, or no more. */
#define pte_offset_map(pmd, address) kernel->ops->__pte_offset_map((pmd), (address), NULL, __func__)
#define pte_offset_map_nolock(mm, pmd, address, ptlp)                                  \
	({                                                                             \
		pmd_t mmdiff_pmd;                                                      \
		pte_t *mmdiff_pte = kernel->ops->__pte_offset_map((pmd), (address), &mmdiff_pmd, __func__); \
		if (mmdiff_pte)                                                        \
			*(ptlp) = pte_lockptr((mm), &mmdiff_pmd);                      \
		mmdiff_pte;                                                            \
	})
#define pte_offset_map_lock(mm, pmd, address, ptlp) \
	kernel->ops->__pte_offset_map_lock((mm), (pmd), (address), (ptlp), __func__)
#ifndef MMDIFF_PLUGIN
#define pte_unmap(pte) kernel->ops->pte_unmap(pte)
#endif
#define pte_unmap_unlock(pte, ptl) do { spin_unlock(ptl); pte_unmap(pte); } while (0)
#define page_vma_mapped_walk_done(pvmw)                                                \
	do {                                                                           \
		if ((pvmw)->pte)                                                       \
			pte_unmap((pvmw)->pte);                                        \
		if ((pvmw)->ptl)                                                       \
			spin_unlock((pvmw)->ptl);                                      \
	} while (0)

#define pmdp_get_lockless(pmdp) ({ mmdiff_yield("pmd"); *(pmdp); })
#define pmdp_get_lockless_sync() ((void)0)
#define pmd_pgtable(pmd) pmd_page_table(pmd)
#define pmdp_collapse_flush(vma, address, pmdp)                                        \
	({                                                                             \
		pmd_t mmdiff_pmd = pmdp_huge_get_and_clear((vma)->vm_mm, (address), (pmdp)); \
		kernel->ops->flush_tlb_mm_range((vma)->vm_mm, (address), (address) + HPAGE_PMD_SIZE); \
		mmdiff_pmd;                                                            \
	})
#define mm_inc_nr_ptes(mm) ((void)(mm)->nr_ptes++)
#define mm_dec_nr_ptes(mm) ((void)(mm)->nr_ptes--)
#define page_table_check_pte_clear_range(mm, address, pmd) ((void)(pmd))

/* --- linux/mmu_notifier.h: as from v6.3 on, without the vma --- */

#define mmu_notifier_range_init(range, why, flags, of_mm, from, to)                    \
	(*(range) = (struct mmu_notifier_range){                                       \
		 .mm = (of_mm), .start = (from), .end = (to), .event = (why)})

/* --- statistics: linux/vmstat.h, mm.h --- */

/* The model has one counter an item, for all zones and nodes. */
static inline struct pglist_data *page_zone(struct page *page) { return page_pgdat(page); }
static inline void mod_zone_page_state(struct pglist_data *zone, int item, long delta)
{
	(void)zone;
	mmdiff_yield("NR_MLOCK");
	mod_node_page_state(item, delta);
}
#define count_vm_event(item) count_vm_events((item), 1)
#define get_mm_counter(mm, member) ((mm)->rss_stat[member])
#define add_mm_counter(mm, member, value) ((void)((mm)->rss_stat[member] += (value)))
#define inc_mm_counter(mm, member) add_mm_counter((mm), (member), 1)
#define dec_mm_counter(mm, member) add_mm_counter((mm), (member), -1)

/* --- flags and counts of a page that other tasks change --- */

#define mmdiff_page(label, access) ({ mmdiff_yield(label); access; })

#define PageLRU(page) mmdiff_page("PageLRU", PageLRU(page))
#define SetPageLRU(page) mmdiff_page("PageLRU", SetPageLRU(page))
#define ClearPageLRU(page) mmdiff_page("PageLRU", ClearPageLRU(page))
#define TestClearPageLRU(page) mmdiff_page("PageLRU", TestClearPageLRU(page))
#define PageMlocked(page) mmdiff_page("PageMlocked", PageMlocked(page))
#define SetPageMlocked(page) mmdiff_page("PageMlocked", SetPageMlocked(page))
#define ClearPageMlocked(page) mmdiff_page("PageMlocked", ClearPageMlocked(page))
#define TestSetPageMlocked(page) mmdiff_page("PageMlocked", TestSetPageMlocked(page))
#define TestClearPageMlocked(page) mmdiff_page("PageMlocked", TestClearPageMlocked(page))
#define PageUnevictable(page) mmdiff_page("PageUnevictable", PageUnevictable(page))
#define SetPageUnevictable(page) mmdiff_page("PageUnevictable", SetPageUnevictable(page))
#define ClearPageUnevictable(page) mmdiff_page("PageUnevictable", ClearPageUnevictable(page))
#define TestClearPageUnevictable(page) mmdiff_page("PageUnevictable", TestClearPageUnevictable(page))
#define PageActive(page) mmdiff_page("PageActive", PageActive(page))
#define SetPageActive(page) mmdiff_page("PageActive", SetPageActive(page))
#define ClearPageActive(page) mmdiff_page("PageActive", ClearPageActive(page))
#define TestClearPageActive(page) mmdiff_page("PageActive", TestClearPageActive(page))
#define PageReferenced(page) mmdiff_page("PageReferenced", PageReferenced(page))
#define SetPageReferenced(page) mmdiff_page("PageReferenced", SetPageReferenced(page))
#define ClearPageReferenced(page) mmdiff_page("PageReferenced", ClearPageReferenced(page))
#define TestClearPageReferenced(page) mmdiff_page("PageReferenced", TestClearPageReferenced(page))
#define PageDirty(page) mmdiff_page("PageDirty", PageDirty(page))
#define SetPageDirty(page) mmdiff_page("PageDirty", SetPageDirty(page))
#define ClearPageDirty(page) mmdiff_page("PageDirty", ClearPageDirty(page))
#define TestSetPageDirty(page) mmdiff_page("PageDirty", TestSetPageDirty(page))
#define TestClearPageDirty(page) mmdiff_page("PageDirty", TestClearPageDirty(page))
#define PageSwapBacked(page) mmdiff_page("PageSwapBacked", PageSwapBacked(page))
#define SetPageSwapBacked(page) mmdiff_page("PageSwapBacked", SetPageSwapBacked(page))
#define ClearPageSwapBacked(page) mmdiff_page("PageSwapBacked", ClearPageSwapBacked(page))
#define PageSwapCache(page) mmdiff_page("PageSwapCache", PageSwapCache(page))
#define PageWriteback(page) mmdiff_page("PageWriteback", PageWriteback(page))
#define PageDoubleMap(page) mmdiff_page("PageDoubleMap", PageDoubleMap(page))
#define page_count(page) mmdiff_page("page_count", page_count(page))
#define get_page_unless_zero(page) mmdiff_page("page_count", get_page_unless_zero(page))
#define page_ref_freeze(page, count) mmdiff_page("page_count", page_ref_freeze(page, count))
#define get_page(page) mmdiff_page("page_count", get_page(page))
#define put_page_testzero(page) mmdiff_page("page_count", put_page_testzero(page))
#define page_mapcount(page) mmdiff_page("mapcount", page_mapcount(page))
#define total_mapcount(page) mmdiff_page("mapcount", total_mapcount(page))
#define compound_mapcount(page) mmdiff_page("mapcount", compound_mapcount(page))
#define page_mapped(page) mmdiff_page("page_mapped", page_mapped(page))

/* --- mm/internal.h from v5.18-rc1 on: what tells mm/mlock.c of a mapping in a vma --- */

/* mlock_vma_page(page) is v5.13's, a kernel operation; mlock_vma_page(page, vma, compound) is an inline function. */
#define mlock_vma_page(...) \
	mmdiff_fourth_of(__VA_ARGS__, mmdiff_mlock_vma_page, , mlock_vma_page)(__VA_ARGS__)
#define munlock_vma_page(...) \
	mmdiff_fourth_of(__VA_ARGS__, mmdiff_munlock_vma_page, , munlock_vma_page)(__VA_ARGS__)
#define mmdiff_fourth_of(a, b, c, d, ...) d

static inline void mmdiff_mlock_vma_page(struct page *page, struct vm_area_struct *vma, bool compound)
{
	kernel->simulation->yield_point("mlock_vma_page", "vm_flags");
	if ((vma->vm_flags & (VM_LOCKED | VM_SPECIAL)) == VM_LOCKED && (compound || !PageTransCompound(page)))
		kernel->ops->mlock_page(compound_head(page));
}
static inline void mmdiff_munlock_vma_page(struct page *page, struct vm_area_struct *vma, bool compound)
{
	kernel->simulation->yield_point("munlock_vma_page", "vm_flags");
	if ((vma->vm_flags & VM_LOCKED) && (compound || !PageTransCompound(page)))
		kernel->ops->munlock_page(page);
}

/* Later names: the patches' mlock_page_drain(cpu) is v5.18-rc1's mlock_page_drain_local(). */
#define mlock_page_drain_local() kernel->ops->mlock_page_drain(smp_processor_id())
#define mlock_folio(page) kernel->ops->mlock_page(page)
