/* SPDX-License-Identifier: GPL-2.0-only */
/* The structs of memory management, under the kernel's names (include/linux/mm_types.h, fs.h). */
#pragma once

#include <ckernel/list.h>
#include <ckernel/spinlock_types.h>

#pragma clang assume_nonnull begin

typedef struct { unsigned long pte; } pte_t;
typedef struct { unsigned long pmd; } pmd_t;
typedef struct { unsigned long val; } swp_entry_t;

/* Limits of the simulated machine.  Small on purpose: collisions find bugs, and every byte of the
 * arena is copied for each execution. */
#define NR_CPUS 4
#define MAX_MMS 4
#define MAX_FILES 4
#define MAX_FILE_PAGES 16
#define MAX_SWAP_SLOTS 16
#define MAX_PTRS_PER_PMD 8
#define MAX_PTRS_PER_PTE 16
#define MAX_PINS 8

#define PAGEVEC_SIZE 15

struct address_space;
struct anon_vma;
struct mm_struct;
struct intel_svm;
struct secondary_mmu;
struct vm_area_struct;

KERNEL_OBJECT(page) {
	unsigned long flags; /* bits of enum pageflags */
	struct list_head lru;
	/* an address_space, or an anon_vma with PAGE_MAPPING_ANON set */
	void *_Nullable mapping;
	pgoff_t index;
	unsigned long private_; /* swap entry, or order of a compound page */
	struct page *_Nullable compound_head; /* of a tail page */
	int _mapcount;         /* mappings by pte, less one */
	int _refcount;
	int compound_mapcount; /* mappings by pmd, less one; head only */
	int mlock_count;       /* from v5.18-rc1 on */
	u64 contents;          /* the user's data: one token */
	u8 lru_list;           /* enum lru_list while on one */
	u8 nid;
	u8 order;
	u8 deferred;           /* queued for a deferred split; head only */
	u8 free_state;         /* enum free_state */
	u8 lost_mlock;         /* for an invariant: the last munlock took it from another VM_LOCKED vma */
	u32 birth;             /* the allocations before its own: an order without pfns */
	int compound_pincount; /* FOLL_PIN references; head only */
	struct list_head deferred_list;
};

/* Where a free page waits to be allocated. */
enum free_state { PAGE_in_use, PAGE_on_pcp, PAGE_in_free_area };

KERNEL_OBJECT(vm_area_struct) {
	unsigned long vm_start, vm_end;
	struct vm_area_struct *_Nullable vm_next, *_Nullable vm_prev;
	struct mm_struct *vm_mm;
	unsigned long vm_flags;
	struct list_head shared; /* in address_space.i_mmap, sorted as the interval tree */
	struct list_head anon_vma_chain;
	struct anon_vma *_Nullable anon_vma;
	pgoff_t vm_pgoff;
	struct address_space *_Nullable vm_file; /* the file's page cache stands for the file */
	struct rw_semaphore vm_lock; /* from v6.4 on */
	int vm_lock_seq;
	bool detached;
};

KERNEL_OBJECT(anon_vma) {
	struct anon_vma *root;
	struct rw_semaphore rwsem; /* used in the root only */
	int refcount;
	unsigned int degree; /* child anon_vmas and vmas that have it as their anon_vma */
	struct anon_vma *parent;
	struct list_head rb_root; /* anon_vma_chains, sorted as the interval tree */
};

KERNEL_OBJECT(anon_vma_chain) {
	struct vm_area_struct *vma;
	struct anon_vma *anon_vma;
	struct list_head same_vma;
	struct list_head rb;
};

enum mapping_kind { MAPPING_FILE, MAPPING_SHMEM };

/* A file and its page cache in one.  A slot of i_pages is 0, a page, or a swap entry with bit 0 set
 * (shmem, like the kernel's xarray value entries). */
KERNEL_OBJECT(address_space) {
	unsigned long i_pages[MAX_FILE_PAGES];
	spinlock_t i_pages_lock;
	struct rw_semaphore i_rwsem;    /* the inode's */
	struct rw_semaphore i_mmap_sem; /* the file system's, against faults on holes (ext4_inode_info) */
	struct rw_semaphore i_mmap_rwsem;
	struct list_head i_mmap;
	unsigned long nrpages, nr_swapped, nr_thps;
	unsigned long i_size; /* in pages */
	unsigned long as_flags;
	u8 kind; /* enum mapping_kind */
	u8 number;
	u8 i_mmap_writable;
	u8 i_writecount;  /* who has it open for writing, besides those mappings */
	bool huge;        /* the page cache takes huge pages for it (huge=always) */
	bool huge_advise; /* ... where madvise() asked for them (huge=advise) */
	unsigned long falloc; /* shmem: the range of a hole punch that runs (shmem_falloc); 0: none */
	unsigned long nr_fallocs;
	u64 backing[MAX_FILE_PAGES]; /* what is on the disk (MAPPING_FILE) */
};

#define AS_UNEVICTABLE 0x8UL

/* A process's userfaultfd (fs/userfaultfd.c).  A process has at most one, so it is a part of its mm. */
KERNEL_OBJECT(userfaultfd_ctx) {
	spinlock_t fault_pending_wqh_lock;
	bool released;         /* it was closed */
	unsigned int features; /* UFFD_FEATURE_*, UFFD_FEATURE_INITIALIZED */
};

enum rss_counter { MM_FILEPAGES, MM_ANONPAGES, MM_SWAPENTS, MM_SHMEMPAGES, NR_MM_COUNTERS };

KERNEL_OBJECT(mm_struct) {
	struct vm_area_struct *_Nullable mmap; /* list of vmas, by address */
	pmd_t pgd[MAX_PTRS_PER_PMD]; /* the levels above the pmd are folded */
	int map_count;
	int mm_users, mm_count;
	struct rw_semaphore mmap_lock;
	int mm_lock_seq; /* from v6.4 on: how often mmap_lock was dropped after it was held for writing */
	spinlock_t page_table_lock;
	unsigned long total_vm, locked_vm, pinned_vm, data_vm;
	unsigned long def_flags;
	long rss_stat[NR_MM_COUNTERS];
	struct page_table *_Nullable pmd_huge_pte; /* tables deposited by huge pmds: the last of a ring */
	int nr_ptes; /* page table pages (pgtables_bytes) */
	int tlb_flush_pending;
	bool tlb_flush_batched;
	/* the same from v5.17 on: batches whose flush was put off, and how many of them were flushed since */
	u16 tlb_flush_pending_batches, tlb_flush_flushed_batches;
	bool oom_reaped;
	bool has_pinned; /* FOLL_PIN was used on it */
	bool khugepaged; /* MMF_VM_HUGEPAGE: khugepaged looks through it */
	unsigned int write_protect_seq; /* odd while fork() write-protects the page tables */
	bool live; /* between dup_mm()/start and the end of mmput() */
	u8 number;
	u8 cpu_bitmap; /* CPUs whose TLB may hold entries of it */
	struct secondary_mmu *_Nullable notifier_subscriptions;
	struct intel_svm *_Nullable intel_svm; /* the one that subscribed to invalidate_range() */
	unsigned long invalidations; /* between invalidate_range_start() and _end(), now */
	struct list_head mmlist;
	struct userfaultfd_ctx userfaultfd;
};

/* A page of page table entries.  Allocated by pte_alloc_one(), with a lock of its own
 * (split page table locks). */
KERNEL_OBJECT(page_table) {
	spinlock_t ptl;
	u8 live;
	u8 pad[5];
	struct mm_struct *_Nullable mm;
	struct page_table *_Nullable next_free; /* free list, and huge pmds' deposited tables */
	pte_t pte[MAX_PTRS_PER_PTE];
};
typedef struct page_table *pgtable_t;

/* vm_flags.  Values as in include/linux/mm.h. */
#define VM_NONE 0x0UL
#define VM_READ 0x1UL
#define VM_WRITE 0x2UL
#define VM_EXEC 0x4UL
#define VM_SHARED 0x8UL
#define VM_MAYREAD 0x10UL
#define VM_MAYWRITE 0x20UL
#define VM_MAYEXEC 0x40UL
#define VM_MAYSHARE 0x80UL
#define VM_GROWSDOWN 0x100UL
#define VM_UFFD_MISSING 0x200UL
#define VM_PFNMAP 0x400UL
#define VM_UFFD_WP 0x1000UL
#define VM_LOCKED 0x2000UL
#define VM_IO 0x4000UL
#define VM_SEQ_READ 0x8000UL
#define VM_RAND_READ 0x10000UL
#define VM_DONTCOPY 0x20000UL
#define VM_DONTEXPAND 0x40000UL
#define VM_LOCKONFAULT 0x80000UL
#define VM_ACCOUNT 0x100000UL
#define VM_NORESERVE 0x200000UL
#define VM_HUGETLB 0x400000UL
#define VM_NONLINEAR 0x800000UL
#define VM_WIPEONFORK 0x2000000UL
#define VM_DONTDUMP 0x4000000UL
#define VM_SOFTDIRTY 0x8000000UL
#define VM_MIXEDMAP 0x10000000UL
#define VM_HUGEPAGE 0x20000000UL
#define VM_NOHUGEPAGE 0x40000000UL
#define VM_MERGEABLE 0x80000000UL
#define VM_UFFD_MINOR 0x2000000000UL
/* Spelt out, since Swift imports no macro of more than two terms. */
#define __VM_UFFD_FLAGS 0x2000001200UL /* VM_UFFD_MISSING | VM_UFFD_WP | VM_UFFD_MINOR */
#define VM_SPECIAL 0x10044400UL /* VM_IO | VM_DONTEXPAND | VM_PFNMAP | VM_MIXEDMAP */
#define VM_LOCKED_CLEAR_MASK 0xfffffffffff7dfffUL /* ~(VM_LOCKED | VM_LOCKONFAULT) */

#pragma clang assume_nonnull end
