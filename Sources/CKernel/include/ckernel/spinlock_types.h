/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Lock objects.  A lock carries its lockdep class; who holds it is kept in the lock (exclusive) and in
 * each task's list of held locks (all), so that a wait-for cycle can be printed.
 */
#pragma once

#include <ckernel/types.h>

#pragma clang assume_nonnull begin

/* Beside them there is the machine's own task. */
#define MAX_TASKS 8

/* Lockdep classes, one for each lock the kernel distinguishes.  LOCK_none marks a lock never
 * initialised, or one whose memory was freed. */
#define LOCK_CLASSES(CLASS)                                                                         \
	CLASS(none) CLASS(mmap_lock) CLASS(i_rwsem) CLASS(page_lock) CLASS(i_mmap_rwsem)            \
	CLASS(anon_vma_rwsem) CLASS(page_table_lock) CLASS(ptl) CLASS(lru_pvecs) CLASS(lru_rotate) CLASS(mlock_pvec)  \
	CLASS(lru_lock) CLASS(i_pages) CLASS(swap_cache) CLASS(swap_info) CLASS(split_queue)        \
	CLASS(secondary_mmu) CLASS(lru_add_drain_all) CLASS(khugepaged_mm) CLASS(userfaultfd)       \
	CLASS(rcu) CLASS(i_mmap_sem) CLASS(vma_lock) CLASS(khugepaged)

enum lock_class {
#define CLASS(name) LOCK_##name,
	LOCK_CLASSES(CLASS)
#undef CLASS
	NR_LOCK_CLASSES
};

/* The name of a class, as yield points and reports show it; "freed" past the last one. */
const char *lock_class_name(unsigned int lock_class);

KERNEL_OBJECT(spinlock) {
	u8 class_;
	u8 owner; /* task number + 1, 0 when free */
};
typedef struct spinlock spinlock_t;

/* A sleeping lock with one owner. */
KERNEL_OBJECT(mutex) {
	u8 class_;
	u8 owner;
};

/* A per-CPU lock that only keeps preemption away (CONFIG_PREEMPT_RT is off). */
KERNEL_OBJECT(local_lock) {
	u8 class_;
	u8 owner;
};
typedef struct local_lock local_lock_t;

/*
 * Readers wait behind a writer that has waited longer than they; a writer may take a lock that is free
 * although others wait (rwsem_try_write_lock_unqueued()).  Source: kernel/locking/rwsem.c.
 */
KERNEL_OBJECT(rw_semaphore) {
	u8 class_;
	u8 writer; /* task number + 1, 0 when none */
	u8 waiting_writers;
	u8 read_by[MAX_TASKS + 1]; /* by task number, the machine's own last: how often it holds the lock.  Readers do not meet here. */
	u32 next_ticket;
	u32 first_writer_ticket; /* of the writer that has waited longest */
};

static inline u8 *rw_semaphore_read_by(struct rw_semaphore *self, long task) SWIFT_NAME("rw_semaphore.readBy(self:_:)");
static inline u8 *rw_semaphore_read_by(struct rw_semaphore *self, long task) { return &self->read_by[task]; }

static inline int rw_semaphore_readers(struct rw_semaphore *self) SWIFT_NAME("getter:rw_semaphore.readers(self:)");
static inline int rw_semaphore_readers(struct rw_semaphore *self)
{
	int readers = 0;

	for (unsigned int task = 0; task < sizeof(self->read_by); task++)
		readers += self->read_by[task];
	return readers;
}

#pragma clang assume_nonnull end
