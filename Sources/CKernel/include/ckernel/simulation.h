/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a variant written in C may ask of the simulation: yield points, locks, memory, notes for the event
 * log.  Simulation/CInterface.swift fills the table; mmdiff.h has the names under which C code calls it.
 */
#pragma once

#include <ckernel/kernel_ops.h>

#pragma clang assume_nonnull begin

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
	void (*wait_on_page_locked)(struct page *page, const char *function);
	void (*wait_on_page_writeback)(struct page *page, const char *function);
	void (*mutex_lock)(struct mutex *lock, const char *function);
	void (*mutex_unlock)(struct mutex *lock, const char *function);
	void (*local_lock)(local_lock_t *lock, const char *function);
	void (*local_unlock)(local_lock_t *lock, const char *function);
	void (*rcu_read_lock)(void);
	void (*rcu_read_unlock)(void);
	void (*synchronize_rcu)(const char *function);
	void (*preempt_disable)(void);
	void (*preempt_enable)(void);
	void (*local_irq_disable)(void);
	void (*local_irq_enable)(void);
	void (*interrupt_cpus)(unsigned long mask, const char *function);
	void (*may_change_cpu)(const char *function);
	void (*might_sleep)(const char *function);
	void *_Nullable (*kmem_cache_zalloc)(unsigned int kind);
	void (*kmem_cache_free)(unsigned int kind, void *object);
	void (*kfree_rcu)(unsigned int kind, void *object);
	void (*bug_on)(const char *function, const char *condition);
	void (*no_page_table)(void);
	void (*note_event)(unsigned int event, unsigned long object, unsigned long value);
	void (*note_cost)(unsigned int event, unsigned long object, unsigned long value);
	/* what instrumented code reads and writes: CRecording.h */
	void (*record_access)(const void *address, size_t size, bool writes);
};

/* The table that a pmd leads to.  A walker that comes too late, and would take anything for one, ends the run. */
static inline struct page_table *pmd_page_table(pmd_t pmd)
{
	if (unlikely(!pmd_is_table(pmd)))
		kernel->simulation->no_page_table();
	return (struct page_table *)(pmd.pmd & ~_PMD_TABLE);
}

/* vm statistics: one step of their own, as in the kernel. */
static inline void mod_node_page_state(int item, long delta) { kernel->vm_stat[item] += delta; }
static inline void count_vm_events(int item, long delta) { kernel->vm_events[item] += (u32)delta; }

#pragma clang assume_nonnull end
