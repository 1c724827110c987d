/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a variant written in C may ask of the simulation: locks, yield points, notes for the event log.
 * The macros add the calling function's name, which is half of a yield point's name; the label, the
 * other half, is the lock's class or the text of the access.  `READ_ONCE(vma->vm_flags)` yields as
 * `function:vm_flags`.
 */
#pragma once

#include <ckernel/kernel_ops.h>

#pragma clang assume_nonnull begin

/* What a run did, for the levels `events` and `cost` of an outcome. */
enum event_kind {
	EVENT_mmu_notifier_range_start,
	EVENT_mmu_notifier_range_end,
	EVENT_mmu_notifier_range,
	EVENT_mmu_notifier_young,
	EVENT_mmu_notifier_release,
	EVENT_tlb_flush,
	EVENT_lru_drain,
	EVENT_lock,
	EVENT_pte_visit,
	EVENT_vma_visit,
	EVENT_access,
	NR_EVENT_KINDS
};

struct simulation_ops {
	void (*yield_point)(const char *function, const char *label);
	void (*spin_lock)(spinlock_t *lock, unsigned int subclass, const char *function);
	bool (*spin_trylock)(spinlock_t *lock, const char *function);
	void (*spin_unlock)(spinlock_t *lock, const char *function);
	void (*down_read)(struct rw_semaphore *sem, const char *function);
	bool (*down_read_trylock)(struct rw_semaphore *sem, const char *function);
	void (*up_read)(struct rw_semaphore *sem, const char *function);
	void (*down_write)(struct rw_semaphore *sem, const char *function);
	bool (*down_write_trylock)(struct rw_semaphore *sem, const char *function);
	void (*up_write)(struct rw_semaphore *sem, const char *function);
	void (*lock_page)(struct page *page, const char *function);
	bool (*trylock_page)(struct page *page, const char *function);
	void (*unlock_page)(struct page *page, const char *function);
	void (*local_lock)(local_lock_t *lock, const char *function);
	void (*local_unlock)(local_lock_t *lock, const char *function);
	void (*rcu_read_lock)(void);
	void (*rcu_read_unlock)(void);
	void (*preempt_disable)(void);
	void (*preempt_enable)(void);
	void (*might_sleep)(const char *function);
	void (*bug_on)(const char *function, const char *condition);
	void (*note_event)(unsigned int event, unsigned long object, unsigned long value);
};

/* vm statistics: one step of their own, as in the kernel. */
static inline void mod_node_page_state(int item, long delta) { kernel->vm_stat[item] += delta; }
static inline void count_vm_events(int item, long delta) { kernel->vm_events[item] += (u32)delta; }

#ifndef __swift__
#define mmdiff_yield(label) kernel->simulation->yield_point(__func__, (label))
#define READ_ONCE(x) (*({ mmdiff_yield(mmdiff_member(#x)); &(x); }))
#define WRITE_ONCE(x, value) do { mmdiff_yield(mmdiff_member(#x)); (x) = (value); } while (0)
#define spin_lock(lock) kernel->simulation->spin_lock((lock), 0, __func__)
#define spin_lock_nested(lock, subclass) kernel->simulation->spin_lock((lock), (subclass), __func__)
#define spin_trylock(lock) kernel->simulation->spin_trylock((lock), __func__)
#define spin_unlock(lock) kernel->simulation->spin_unlock((lock), __func__)
#define down_read(sem) kernel->simulation->down_read((sem), __func__)
#define down_read_trylock(sem) kernel->simulation->down_read_trylock((sem), __func__)
#define up_read(sem) kernel->simulation->up_read((sem), __func__)
#define down_write(sem) kernel->simulation->down_write((sem), __func__)
#define down_write_trylock(sem) kernel->simulation->down_write_trylock((sem), __func__)
#define up_write(sem) kernel->simulation->up_write((sem), __func__)
#define lock_page(page) kernel->simulation->lock_page((page), __func__)
#define trylock_page(page) kernel->simulation->trylock_page((page), __func__)
#define unlock_page(page) kernel->simulation->unlock_page((page), __func__)
#define rcu_read_lock() kernel->simulation->rcu_read_lock()
#define rcu_read_unlock() kernel->simulation->rcu_read_unlock()
#define preempt_disable() kernel->simulation->preempt_disable()
#define preempt_enable() kernel->simulation->preempt_enable()
#define might_sleep() kernel->simulation->might_sleep(__func__)
#define BUG_ON(condition) do { if (unlikely(condition)) kernel->simulation->bug_on(__func__, #condition); } while (0)
#define VM_BUG_ON_PAGE(condition, page) BUG_ON(condition)

/* The last member named in the text of an expression: "vma->vm_flags" gives "vm_flags". */
static inline const char *mmdiff_member(const char *text)
{
	const char *member = text;
	for (; *text; text++)
		if (*text == '>' || *text == '.')
			member = text + 1;
	return member;
}
#endif

#pragma clang assume_nonnull end
