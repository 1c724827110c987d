/* SPDX-License-Identifier: GPL-2.0-only */
/* Page flags and their accessors, after include/linux/page-flags.h.  None of them yields: kernel code
 * that reads a flag another task may change yields by name first. */
#pragma once

#include <ckernel/mm_types.h>

#pragma clang assume_nonnull begin

enum pageflags {
	PG_locked,
	PG_referenced,
	PG_uptodate,
	PG_dirty,
	PG_lru,
	PG_active,
	PG_workingset,
	PG_error,
	PG_reserved,
	PG_private,
	PG_writeback,
	PG_head,
	PG_mappedtodisk,
	PG_reclaim,
	PG_swapbacked,
	PG_unevictable,
	PG_mlocked,
	PG_swapcache,
	PG_double_map,
	PG_anon_exclusive, /* from v5.19 on, in the place of PG_mappedtodisk */
	NR_PAGEFLAGS
};

/* Flags that a page must not have when it is freed (PAGE_FLAGS_CHECK_AT_FREE), or when it is allocated. */
static const unsigned long PAGE_FLAGS_CHECK_AT_FREE =
	1UL << PG_lru | 1UL << PG_locked | 1UL << PG_private | 1UL << PG_writeback | 1UL << PG_reserved |
	1UL << PG_active | 1UL << PG_unevictable | 1UL << PG_mlocked;
static const unsigned long PAGE_FLAGS_CHECK_AT_PREP = (1UL << NR_PAGEFLAGS) - 1;

/* Why a page is bad at free or at allocation. */
enum bad_page_reason {
	BAD_mapcount,
	BAD_mapping,
	BAD_refcount,
	BAD_flags,
	BAD_tail,
	BAD_double_free,
	BAD_written, /* while it was free */
};

#define PAGE_MAPPING_ANON 0x1UL
#define PAGE_MAPPING_MOVABLE 0x2UL
#define PAGE_MAPPING_KSM 0x3UL
#define PAGE_MAPPING_FLAGS 0x3UL

static inline struct page *compound_head(struct page *page)
{
	return page->compound_head ? page->compound_head : page;
}

static inline void set_page_flag(struct page *page, enum pageflags bit)
{
	page->flags |= 1UL << bit;
	/* Whoever it is that mlocks a page makes up for a munlock. */
	if (bit == PG_mlocked)
		page->lost_mlock = 0;
}

#define PAGE_FLAG_ON(name, bit, target)                                              \
	static inline bool Page##name(struct page *page)                             \
	{                                                                            \
		return target(page)->flags >> (bit) & 1;                             \
	}                                                                            \
	static inline void SetPage##name(struct page *page)                          \
	{                                                                            \
		set_page_flag(target(page), bit);                                    \
	}                                                                            \
	static inline void ClearPage##name(struct page *page)                        \
	{                                                                            \
		target(page)->flags &= ~(1UL << (bit));                              \
	}                                                                            \
	static inline bool TestSetPage##name(struct page *page)                      \
	{                                                                            \
		bool old = Page##name(page);                                         \
		SetPage##name(page);                                                 \
		return old;                                                          \
	}                                                                            \
	static inline bool TestClearPage##name(struct page *page)                    \
	{                                                                            \
		bool old = Page##name(page);                                         \
		ClearPage##name(page);                                               \
		return old;                                                          \
	}

/* PF_HEAD, PF_NO_TAIL: the flag lives in the head page; PF_ANY: each page has its own. */
#define PF_ANY(page) (page)
PAGE_FLAG_ON(Locked, PG_locked, compound_head)
PAGE_FLAG_ON(Referenced, PG_referenced, compound_head)
PAGE_FLAG_ON(Uptodate, PG_uptodate, compound_head)
PAGE_FLAG_ON(Dirty, PG_dirty, compound_head)
PAGE_FLAG_ON(LRU, PG_lru, compound_head)
PAGE_FLAG_ON(Active, PG_active, compound_head)
PAGE_FLAG_ON(Workingset, PG_workingset, compound_head)
PAGE_FLAG_ON(Error, PG_error, compound_head)
PAGE_FLAG_ON(Reserved, PG_reserved, compound_head)
PAGE_FLAG_ON(Private, PG_private, PF_ANY)
PAGE_FLAG_ON(Writeback, PG_writeback, compound_head)
PAGE_FLAG_ON(Head, PG_head, PF_ANY)
PAGE_FLAG_ON(Reclaim, PG_reclaim, compound_head)
PAGE_FLAG_ON(SwapBacked, PG_swapbacked, compound_head)
PAGE_FLAG_ON(Unevictable, PG_unevictable, compound_head)
PAGE_FLAG_ON(Mlocked, PG_mlocked, compound_head)
PAGE_FLAG_ON(SwapCacheFlag, PG_swapcache, compound_head)
PAGE_FLAG_ON(DoubleMap, PG_double_map, compound_head)
PAGE_FLAG_ON(AnonExclusive, PG_anon_exclusive, PF_ANY)

static inline bool PageSwapCache(struct page *page)
{
	return PageSwapBacked(page) && PageSwapCacheFlag(page);
}

static inline bool PageTail(struct page *page)
{
	return page->compound_head != NULL;
}

static inline bool PageCompound(struct page *page)
{
	return PageHead(page) || PageTail(page);
}

/* The only compound pages of the model are transparent huge pages. */
static inline bool PageTransHuge(struct page *page)
{
	return PageHead(page);
}

static inline bool PageTransCompound(struct page *page)
{
	return PageCompound(page);
}

static inline bool PageTransTail(struct page *page)
{
	return PageTail(page);
}

/* The flags that a page must not have when it is allocated (PAGE_FLAGS_CHECK_AT_PREP): all. */
#define PAGE_FLAGS_CHECK_AT_PREP ((1UL << NR_PAGEFLAGS) - 1)

/* Makes a tail page a page of its own. */
static inline void clear_compound_head(struct page *page)
{
	page->compound_head = NULL;
}
/* Makes a head page a base page.  PG_double_map goes with the tail that has it in the kernel. */
static inline void ClearPageCompound(struct page *page)
{
	ClearPageHead(page);
	ClearPageDoubleMap(page);
	page->order = 0;
}

static inline bool PageAnon(struct page *page)
{
	return (unsigned long)compound_head(page)->mapping & PAGE_MAPPING_ANON;
}

static inline bool PageKsm(struct page *page)
{
	return ((unsigned long)compound_head(page)->mapping & PAGE_MAPPING_FLAGS) == PAGE_MAPPING_KSM;
}

#pragma clang assume_nonnull end
