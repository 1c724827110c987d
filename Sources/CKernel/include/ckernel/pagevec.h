/* SPDX-License-Identifier: GPL-2.0-only */
/* Batches of pages (include/linux/pagevec.h).  How many pages fill one is part of the machine's shape. */
#pragma once

#include <ckernel/kernel_state.h>

#pragma clang assume_nonnull begin

/* Entries of a page cache as a lookup found them, a pagevec and its indices in one: each a page with a
 * reference, or a value. */
KERNEL_OBJECT(entry_batch) {
	u8 nr;
	u8 lru_drained; /* percpu_pvec_drained */
	unsigned long entries[PAGEVEC_SIZE];
	pgoff_t indices[PAGEVEC_SIZE];
};

static inline unsigned int pagevec_count(struct pagevec *pvec) { return pvec->nr; }
static inline unsigned int pagevec_space(struct pagevec *pvec) { return kernel->pagevec_size - pvec->nr; }
/* Nothing in an arena may be garbage: the pages that were in the batch are forgotten. */
static inline void pagevec_reinit(struct pagevec *pvec)
{
	for (unsigned int i = 0; i < PAGEVEC_SIZE; i++)
		pvec->pages[i] = NULL;
	pvec->nr = 0;
}
/* The room that is left; 0 when the batch must be drained. */
static inline unsigned int pagevec_add(struct pagevec *pvec, struct page *page)
{
	pvec->pages[pvec->nr++] = page;
	return pagevec_space(pvec);
}

/* What becomes of a page in the batch of mm/mlock.c, from v5.18-rc1 on, in the low bits of its pointer:
 * mlock of a page that is on a list or off it for a while, mlock of a new page; none for munlock. */
#define LRU_PAGE 0x1UL
#define NEW_PAGE 0x2UL
static inline struct page *mlock_lru(struct page *page) { return (struct page *)((unsigned long)page + LRU_PAGE); }
static inline struct page *mlock_new(struct page *page) { return (struct page *)((unsigned long)page + NEW_PAGE); }
static inline unsigned long mlock_kind(struct page *entry) { return (unsigned long)entry & (LRU_PAGE | NEW_PAGE); }
static inline struct page *mlock_entry_to_page(struct page *entry)
{
	return (struct page *)((unsigned long)entry - mlock_kind(entry));
}

static inline bool lru_cache_disabled(void) { return kernel->lru_disable_count != 0; }

#pragma clang assume_nonnull end
