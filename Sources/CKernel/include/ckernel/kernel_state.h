/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The root of an arena: one whole simulated machine.  Everything a run can change lies in the arena, so
 * that a snapshot is a copy of its used part; only tables that never change after boot lie outside.
 */
#pragma once

#include <ckernel/khugepaged.h>
#include <ckernel/mm_types.h>
#include <ckernel/mmu_notifier.h>
#include <ckernel/percpu.h>
#include <ckernel/sched.h>

#pragma clang assume_nonnull begin

struct kernel_ops;
struct simulation_ops;

enum lru_list {
	LRU_INACTIVE_ANON,
	LRU_ACTIVE_ANON,
	LRU_INACTIVE_FILE,
	LRU_ACTIVE_FILE,
	LRU_UNEVICTABLE,
	NR_LRU_LISTS
};

enum node_stat_item {
	NR_MLOCK = NR_LRU_LISTS, /* the first ones count the pages of each LRU list */
	NR_ISOLATED_ANON,
	NR_ISOLATED_FILE,
	NR_ANON_MAPPED,
	NR_FILE_MAPPED,
	NR_FILE_PAGES,
	NR_SHMEM,
	NR_ANON_THPS,
	NR_SHMEM_THPS,
	NR_FILE_THPS,
	NR_SHMEM_PMDMAPPED,
	NR_FILE_PMDMAPPED,
	NR_FILE_DIRTY,
	NR_WRITEBACK,
	NR_VM_NODE_STAT_ITEMS
};

enum vm_event_item {
	PGFAULT,
	PGMAJFAULT,
	PGACTIVATE,
	PGDEACTIVATE,
	PGLAZYFREE,
	PGLAZYFREED,
	PGROTATED,
	PGSTEAL,
	PGMIGRATE_SUCCESS,
	PGMIGRATE_FAIL,
	UNEVICTABLE_PGCULLED,
	UNEVICTABLE_PGSCANNED,
	UNEVICTABLE_PGRESCUED,
	UNEVICTABLE_PGMLOCKED,
	UNEVICTABLE_PGMUNLOCKED,
	UNEVICTABLE_PGCLEARED,
	UNEVICTABLE_PGSTRANDED,
	THP_FAULT_ALLOC,
	THP_FAULT_FALLBACK,
	THP_FILE_MAPPED,
	THP_SPLIT_PAGE,
	THP_SPLIT_PAGE_FAILED,
	THP_DEFERRED_SPLIT_PAGE,
	THP_SPLIT_PMD,
	THP_COLLAPSE_ALLOC,
	THP_COLLAPSE_ALLOC_FAILED,
	THP_SCAN_EXCEED_NONE_PTE,
	THP_SCAN_EXCEED_SWAP_PTE,
	THP_SCAN_EXCEED_SHARED_PTE,
	PGVOLATILE,
	NR_VM_EVENT_ITEMS
};

/* A node's LRU lists and counters (pg_data_t with its one lruvec and its zone). */
KERNEL_OBJECT(pglist_data) {
	spinlock_t lru_lock;
	struct list_head lists[NR_LRU_LISTS];
	struct list_head free_area; /* free blocks of a huge page, by their first page */
	struct list_head free_list; /* free pages of blocks that are not free as a whole */
	struct list_head split_queue;
	spinlock_t split_queue_lock;
	int nr_free; /* pages in the two lists and on the CPUs' lists */
	int nid;
	bool movable; /* all its memory is in ZONE_MOVABLE */
};

/* The swap area, its swap cache included (address_space of swap). */
KERNEL_OBJECT(swap_info_struct) {
	spinlock_t lock;
	spinlock_t cache_lock;
	u8 max; /* slots, slot 0 (the header) included */
	u8 next;
	u8 swap_map[MAX_SWAP_SLOTS];            /* users; SWAP_HAS_CACHE */
	unsigned long cache[MAX_SWAP_SLOTS];    /* the swap cache: a page, or 0 */
	unsigned long changes;                  /* of swap_map and cache: goes up with each */
	u64 contents[MAX_SWAP_SLOTS];
};

#define SWAP_HAS_CACHE 0x40
#define SWAP_MAP_MAX 0x3e
#define SWAP_MAP_SHMEM 0xbf /* users of a slot that a shmem file has */

/* A pool of objects of one size.  Freed objects are poisoned and reused last in, first out. */
struct kmem_cache {
	char *base;
	u32 size;
	u16 count, in_use;
	u16 free[64];    /* stack of free indices */
	u16 nr_free;
	u64 live;        /* mask */
	u64 pending;     /* freed, but a grace period must end first */
	bool typesafe_by_rcu; /* reused at once, but only as the same type; never poisoned */
};

/* Memory freed after a grace period: object `index` of cache `cache`, once `readers` is empty. */
struct rcu_callback {
	u8 cache, index;
	u8 readers; /* mask of tasks that were in a read section */
	u8 used;
};

#define MAX_RCU_CALLBACKS 64

enum kmem_cache_kind {
	CACHE_mm_struct,
	CACHE_vm_area_struct,
	CACHE_anon_vma,
	CACHE_anon_vma_chain,
	CACHE_page_table,
	CACHE_khugepaged_mm_slot,
	NR_KMEM_CACHES
};

/* A page held by a pin: GUP, and later device I/O through it. */
struct pin {
	struct page *_Nullable page;
	unsigned long address;
	u8 longterm, write, mm, owner;
	u8 exclusive; /* the mm has kept it mapped at that address since, and nobody else has it */
};

#define MAX_USER_PAGES 64

/* What the pages of an mm must hold, as far as that is decided: KernelModel/Invariants/UserData.swift. */
struct user_data {
	u64 checked; /* mask: private anonymous memory, or nothing at all */
	u64 known;   /* mask: `expected` is what a load must see */
	u64 filled;  /* mask: private file memory with a page of its own from userfaultfd; `checked` then, too */
	u64 write_protected; /* mask: userfaultfd must hear of a store before it happens */
	u64 expected[MAX_USER_PAGES];
};

/* A system call that changes what memory holds, while its task runs it. */
struct user_data_change {
	u64 changing; /* mask: pages it may change */
	u64 watched;  /* mask: pages whose data it depends on */
	u64 raced;    /* of them, the ones that others touched meanwhile */
	u64 known;    /* `user_data.known` when it began */
	u64 unprotecting; /* mask: pages whose write protection it may take away, beside those it changes */
	u64 unprotected;  /* mask: pages that others have taken from their file, or that protection, meanwhile */
	u8 mm, child; /* numbers + 1; 0: none */
};

/* Broken invariants, as bits.  What each says in words: KernelModel/Invariants. */
enum violation_kind {
	VIOLATION_user_data,
	VIOLATION_nr_mlock,
	VIOLATION_mlocked_without_vma,
	VIOLATION_unevictable_without_reason,
	VIOLATION_refcount,
	VIOLATION_mapcount,
	VIOLATION_freed_reachable,
	VIOLATION_held_at_return,
	VIOLATION_lock_order,
	VIOLATION_self_deadlock,
	VIOLATION_sleeping_in_atomic,
	VIOLATION_bad_unlock,
	VIOLATION_lost_entry,
	VIOLATION_rss,
	VIOLATION_stale_translation,
	VIOLATION_bad_page,
	VIOLATION_lru,
	VIOLATION_bug_on,
	VIOLATION_leak,
	VIOLATION_swap_map,
	VIOLATION_mlock_count,
	VIOLATION_locked_special,
	VIOLATION_anon_exclusive,
	VIOLATION_table_in_use,
	VIOLATION_lost_mlock,
	VIOLATION_lost_huge_mlock,
	NR_VIOLATION_KINDS
};

/* What made the first violation: for the report. */
struct violation {
	u8 kind, task;
	u16 op, yield_point;
	unsigned long object, value;
};

#define MAX_VIOLATIONS 8

/* What a run did, for the levels `events` and `cost` of an outcome. */
#define EVENT_KINDS(EVENT)                                                                          \
	EVENT(mmu_notifier_range_start) EVENT(mmu_notifier_range_end) EVENT(mmu_notifier_range)      \
	EVENT(mmu_notifier_young) EVENT(mmu_notifier_release) EVENT(tlb_flush) EVENT(lru_drain)      \
	EVENT(migrate)  /* an attempt to migrate a page: see noteAttempt() */              \
	EVENT(userfault) /* a fault that userfaultfd reports: address and VM_UFFD_* */               \
	EVENT(lock) EVENT(pte_visit) EVENT(vma_visit) EVENT(access) /* from here on: cost */

enum event_kind {
#define EVENT(name) EVENT_##name,
	EVENT_KINDS(EVENT)
#undef EVENT
	NR_EVENT_KINDS
};

/* The name of an event; NULL past the last one. */
const char *_Nullable event_kind_name(unsigned int event);

/* How a run ended. */
enum run_end { RUN_GOES_ON, RUN_COMPLETE, RUN_DEADLOCK, RUN_STEP_LIMIT, RUN_LIVELOCK, RUN_BUG };

/* The levels of an outcome that are accumulated while running: multisets, as sums of hashes. */
struct tally {
	u64 events, cost;
};

KERNEL_OBJECT(kernel_state) {
	struct kernel_ops *ops;
	const struct simulation_ops *simulation;
	struct task_struct *current;
	char *arena_end; /* the high-water mark: everything below is in use */

	/* machine shape */
	u8 nr_cpus, nr_nodes, nr_tasks, nr_mms, nr_files, ptrs_per_pte, ptrs_per_pmd, hpage_pmd_order;
	u8 pagevec_size;
	u16 nr_pages;
	u16 lock_left_out; /* yield point + 1 of an acquisition that does nothing in changed functions; 0: none */
	u32 step_limit;

	/* scheduler */
	u8 run_end;     /* enum run_end */
	u8 interleaving; /* tasks may be switched; off while the machine is set up */
	u8 cpu_moves;    /* tasks may move to another CPU where they say so */
	u8 nr_violations;
	u8 poison;
	u8 lru_disable_count;
	u8 break_up_order; /* permutes the pages of a block that is broken up */
	u8 nr_rcu_callbacks; /* in use */
	u32 lru_drain_gen;   /* see lru_add_drain_all() */
	u32 munlocked_off_list; /* base pages of munlocks that did not find their page on an LRU list, and subtracted nothing */
	u32 steps;
	u32 violations;      /* mask of enum violation_kind */
	u32 quiet_steps;     /* yield points passed while tasks were not switched */
	u32 context_switches;
	u64 schedule;        /* hash of the switches so far: tells schedules apart */
	u64 reached;         /* a mask of the functions that the compared variants change: those entered */
	struct violation violation[MAX_VIOLATIONS];
	u32 lock_order[NR_LOCK_CLASSES]; /* [a] has bit b: b was taken while a was held */
	struct tally tally;
	u32 event_counts[NR_EVENT_KINDS];
	u64 attempts;        /* how attempts ended, as a set of hashes: see noteAttempt() */
	u32 births;          /* pages ever allocated */

	/* memory */
	struct page *mem_map;
	struct pglist_data *nodes;
	struct per_cpu *cpus;
	struct task_struct *tasks;
	struct address_space *files;
	struct swap_info_struct *swap_info;
	struct mm_struct *_Nullable mms[MAX_MMS];
	struct secondary_mmu *_Nullable secondary_mmus[MAX_MMS];
	struct intel_svm *_Nullable intel_svms[MAX_MMS];
	long vm_stat[NR_VM_NODE_STAT_ITEMS];
	u32 vm_events[NR_VM_EVENT_ITEMS];
	struct kmem_cache caches[NR_KMEM_CACHES];
	struct rcu_callback rcu_callbacks[MAX_RCU_CALLBACKS];
	struct pin pins[MAX_PINS];
	struct list_head mmlist; /* mms with swap entries (init_mm.mmlist) */
	struct mutex lru_add_drain_all_lock;
	spinlock_t khugepaged_mm_lock;
	struct khugepaged_scan khugepaged_scan;
	struct mutex khugepaged_thread; /* held by the task that is khugepaged for a step */
	struct user_data user_data[MAX_MMS];
	struct user_data_change user_data_changes[MAX_TASKS];
};

/*
 * The machine that runs: `kernel`.  A variant loaded at run time reaches the host's variable through a
 * pointer.  Swift reads it through a function: it would check each access to a C variable for exclusivity.
 */
#ifdef MMDIFF_PLUGIN
extern struct kernel_state **mmdiff_kernel;
#define kernel (*mmdiff_kernel)
#else
extern struct kernel_state *running_kernel __attribute__((swift_private)) NONISOLATED_UNSAFE;
#define kernel running_kernel
static inline struct kernel_state *get_kernel(void) SWIFT_NAME("getter:kernel()");
static inline struct kernel_state *get_kernel(void) { return running_kernel; }
static inline void set_kernel(struct kernel_state *machine) SWIFT_NAME("setter:kernel(_:)");
static inline void set_kernel(struct kernel_state *machine) { running_kernel = machine; }
#endif

#pragma clang assume_nonnull end
