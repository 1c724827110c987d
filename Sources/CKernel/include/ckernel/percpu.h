/* SPDX-License-Identifier: GPL-2.0-only */
/* What each CPU has of its own: batches of pages, free pages, a TLB. */
#pragma once

#include <ckernel/mm_types.h>

#pragma clang assume_nonnull begin

KERNEL_OBJECT(pagevec) {
	u8 nr;
	struct page *pages[PAGEVEC_SIZE];
};

#define TLB_ENTRIES 8

/* One cached translation: of a base page, or of a huge page by the address of its first page. */
struct tlb_entry {
	unsigned long address; /* of the page */
	pte_t pte;
	u8 mm;                 /* number + 1 of the mm; 0: free */
	u8 huge;
};

KERNEL_OBJECT(per_cpu) {
	u8 number;
	u8 nid;
	u8 preempt_off; /* task number + 1 of who must not be preempted here; 0: none */
	u8 irqs_off;    /* task number + 1 of who disabled interrupts here; 0: none */
	u8 tlb_next;    /* round robin replacement */
	/* mm/swap.c, struct lru_pvecs */
	local_lock_t lru_pvecs_lock;
	struct pagevec lru_add;
	struct pagevec lru_deactivate_file;
	struct pagevec lru_deactivate;
	struct pagevec lru_lazyfree;
	struct pagevec activate_page;
	local_lock_t lru_rotate_lock;
	struct pagevec lru_rotate;
	/* mm/mlock.c, from v5.18-rc1 on */
	local_lock_t mlock_pvec_lock;
	struct pagevec mlock_pvec;
	struct list_head pcp; /* free order-0 pages, last freed first */
	struct tlb_entry tlb[TLB_ENTRIES];
};

#pragma clang assume_nonnull end
