/* SPDX-License-Identifier: GPL-2.0-only */
/* A task: a simulated thread, with what the scheduler and lockdep of the simulation keep for it. */
#pragma once

#include <ckernel/mm_types.h>

#pragma clang assume_nonnull begin

/* Truncation holds the locks of a whole batch of pages. */
#define MAX_HELD_LOCKS 24
#define MAX_YIELD_POINTS 1280
#define MAX_OPS 64
#define FRAME_BYTES 1024

enum task_state { TASK_RUNNABLE, TASK_WAITING, TASK_DONE };

/* What a waiting task waits for. */
enum wait_kind {
	WAIT_NONE,
	WAIT_SPINLOCK,
	WAIT_MUTEX,
	WAIT_RWSEM_READ,
	WAIT_RWSEM_WRITE,
	WAIT_PAGE_LOCK,
	WAIT_PAGE_WRITEBACK,
	WAIT_PTE_CHANGE,   /* migration_entry_wait(): wait_value differs from the word */
	WAIT_LOCAL_LOCK,
	WAIT_IPI,          /* wait_value: mask of CPUs that must have interrupts on */
	WAIT_RCU,          /* wait_value: mask of tasks whose read sections must end */
	WAIT_WORD,         /* wait_value equals the word */
	WAIT_PROCESS,      /* process wait_value has been forked */
	WAIT_CPU,          /* nobody keeps preemption off on the task's CPU */
	WAIT_INTERRUPTIBLE, /* wait_value differs from the word, or a signal has come */
};

struct held_lock {
	void *lock;
	u8 class_, subclass, read, _pad[5];
};

/* mm/rmap.c, batched TLB flushes of reclaim (include/linux/mm_types_task.h). */
struct tlbflush_unmap_batch {
	u8 cpumask;
	bool flush_required, writable;
	u8 mms; /* mask of mm numbers whose ptes were cleared */
};

/* A userfault that a task waits for (fs/userfaultfd.c), on its stack in the kernel. */
struct userfaultfd_wait_queue {
	struct userfaultfd_ctx *_Nullable ctx; /* on whose fault_pending_wqh it is */
	unsigned long address;
};

KERNEL_OBJECT(task_struct) {
	void *_Nullable context; /* the fiber, while it does not run */
	struct mm_struct *_Nullable mm;
	u8 number, cpu;
	u8 state;                /* enum task_state */
	u8 wait_kind;            /* enum wait_kind */
	u8 preempt_count, irq_disable_count, rcu_read_lock_nesting, nr_held_locks;
	u8 migration_disabled;   /* migrate_disable(), nested */
	u8 in_changed;           /* calls of functions that the pair changes, nested: entries.c */
	u8 choosing_cpu;         /* it stands where it may move: number + 1 of the CPU it will go on with; 0: elsewhere */
	void *_Nullable wait_object;
	unsigned long wait_value;
	u32 wait_ticket;
	u16 op;                  /* which op of its program it is at */
	u16 yield_point;         /* where it last stood: index into the names */
	u32 steps;
	u64 compaction_passed;   /* mask of blocks: compaction's control struct, on its stack in the kernel */
	u32 priority;            /* PCT: of the task; POS: of its next step */
	bool kthread, kswapd, memalloc, memalloc_pin, fatal_signal, oom_victim;
	bool interrupted;        /* a signal has ended a wait of its call: Simulation/InterruptibleWait.swift */
	struct userfaultfd_wait_queue uwq;
	struct held_lock held_locks[MAX_HELD_LOCKS];
	struct tlbflush_unmap_batch tlb_ubc;
	u16 frame_used;          /* list heads and batches on its kernel stack: KernelModel/Frame.swift */
	char frame[FRAME_BYTES] __attribute__((aligned(8)));
	long results[MAX_OPS];
	u16 occurrences[MAX_YIELD_POINTS]; /* op number in the high byte, count in the low one */
};

#pragma clang assume_nonnull end
