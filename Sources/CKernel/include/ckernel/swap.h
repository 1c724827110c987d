/* SPDX-License-Identifier: GPL-2.0-only */
/* Swap entries and their kin in page tables (include/linux/swapops.h), LRU helpers (mm_inline.h). */
#pragma once

#include <ckernel/page-flags.h>
#include <ckernel/pgtable.h>

#pragma clang assume_nonnull begin

/* A non-present pte: type in the top bits, offset where a pfn would be.  Offset 0 of the swap area is
 * its header, so no entry is ever 0. */
#define SWP_TYPE_SHIFT 58
#define SWP_SWAPFILE 0UL
#define SWP_MIGRATION_READ 1UL
#define SWP_MIGRATION_WRITE 2UL
#define SWP_PTE_MARKER 3UL
#define SWP_HWPOISON 4UL
#define SWP_MIGRATION_READ_EXCLUSIVE 5UL /* from v5.19 on */
/* Of a swap entry: nobody else has it (from v5.19 on). */
#define _PAGE_SWP_EXCLUSIVE 0x8UL

static inline swp_entry_t swp_entry(unsigned long type, unsigned long offset)
{
	return (swp_entry_t){type << SWP_TYPE_SHIFT | offset << PAGE_SHIFT};
}
static inline unsigned long swp_type(swp_entry_t entry) { return entry.val >> SWP_TYPE_SHIFT & 0x1f; }
static inline unsigned long swp_offset(swp_entry_t entry) { return entry.val >> PAGE_SHIFT & 0xffff; }
static inline bool is_swap_pte(pte_t pte) { return !pte_none(pte) && !pte_present(pte); }
static inline swp_entry_t pte_to_swp_entry(pte_t pte) { return (swp_entry_t){pte.pte & ~(_PAGE_CHG_FLAGS | _PAGE_SWP_EXCLUSIVE)}; }
static inline pte_t swp_entry_to_pte(swp_entry_t entry) { return __pte(entry.val); }
/* Write protection by userfaultfd of an entry that is not present (arch/x86/include/asm/pgtable.h): one bit for both. */
static inline bool pte_swp_uffd_wp(pte_t pte) { return pte.pte & _PAGE_UFFD_WP; }
static inline pte_t pte_swp_mkuffd_wp(pte_t pte) { return __pte(pte.pte | _PAGE_UFFD_WP); }
static inline pte_t pte_swp_clear_uffd_wp(pte_t pte) { return __pte(pte.pte & ~_PAGE_UFFD_WP); }
static inline bool pmd_swp_uffd_wp(pmd_t pmd) { return pmd.pmd & _PAGE_UFFD_WP; }
static inline pmd_t pmd_swp_mkuffd_wp(pmd_t pmd) { return __pmd(pmd.pmd | _PAGE_UFFD_WP); }
static inline pmd_t pmd_swp_clear_uffd_wp(pmd_t pmd) { return __pmd(pmd.pmd & ~_PAGE_UFFD_WP); }
static inline bool pte_swp_exclusive(pte_t pte) { return pte.pte & _PAGE_SWP_EXCLUSIVE; }
static inline pte_t pte_swp_mkexclusive(pte_t pte) { return __pte(pte.pte | _PAGE_SWP_EXCLUSIVE); }
static inline pte_t pte_swp_clear_exclusive(pte_t pte) { return __pte(pte.pte & ~_PAGE_SWP_EXCLUSIVE); }
static inline bool non_swap_entry(swp_entry_t entry) { return swp_type(entry) != SWP_SWAPFILE; }
static inline swp_entry_t make_migration_entry(struct page *page, bool write)
{
	return swp_entry(write ? SWP_MIGRATION_WRITE : SWP_MIGRATION_READ, page_to_pfn(page));
}
static inline bool is_migration_entry(swp_entry_t entry)
{
	return swp_type(entry) == SWP_MIGRATION_READ || swp_type(entry) == SWP_MIGRATION_WRITE ||
	       swp_type(entry) == SWP_MIGRATION_READ_EXCLUSIVE;
}
static inline bool is_write_migration_entry(swp_entry_t entry) { return swp_type(entry) == SWP_MIGRATION_WRITE; }
static inline swp_entry_t make_migration_entry_read(swp_entry_t entry)
{
	return swp_entry(SWP_MIGRATION_READ, swp_offset(entry));
}
static inline bool is_readable_migration_entry(swp_entry_t entry) { return swp_type(entry) == SWP_MIGRATION_READ; }
static inline bool is_readable_exclusive_migration_entry(swp_entry_t entry)
{
	return swp_type(entry) == SWP_MIGRATION_READ_EXCLUSIVE;
}
static inline swp_entry_t make_readable_exclusive_migration_entry(unsigned long offset)
{
	return swp_entry(SWP_MIGRATION_READ_EXCLUSIVE, offset);
}
/* For a page that was mapped writable, or read-only and exclusive, or read-only and perhaps shared. */
static inline swp_entry_t make_migration_entry_for(struct page *page, bool write, bool exclusive)
{
	return exclusive && !write ? make_readable_exclusive_migration_entry(page_to_pfn(page)) :
				     make_migration_entry(page, write);
}
static inline struct page *migration_entry_to_page(swp_entry_t entry) { return pfn_to_page(swp_offset(entry)); }
static inline bool is_pmd_migration_entry(pmd_t pmd)
{
	return !pmd_none(pmd) && !pmd_present(pmd) && is_migration_entry((swp_entry_t){pmd.pmd & ~_PAGE_CHG_FLAGS});
}
static inline swp_entry_t pmd_to_swp_entry(pmd_t pmd) { return (swp_entry_t){pmd.pmd & ~_PAGE_CHG_FLAGS}; }
static inline pmd_t swp_entry_to_pmd(swp_entry_t entry) { return __pmd(entry.val); }

/* Markers: what a pte that maps nothing must not forget.  From v5.19 on. */
#define PTE_MARKER_UFFD_WP 0x1UL
static inline bool is_pte_marker_entry(swp_entry_t entry) { return swp_type(entry) == SWP_PTE_MARKER; }
static inline unsigned long pte_marker_get(swp_entry_t entry) { return swp_offset(entry); }
static inline bool is_pte_marker(pte_t pte) { return is_swap_pte(pte) && is_pte_marker_entry(pte_to_swp_entry(pte)); }
static inline pte_t make_pte_marker(unsigned long marker)
{
	return swp_entry_to_pte(swp_entry(SWP_PTE_MARKER, marker));
}
static inline bool pte_none_mostly(pte_t pte) { return pte_none(pte) || is_pte_marker(pte); }

/* Entries of a page cache that are no pages (include/linux/xarray.h). */
static inline bool xa_is_value(unsigned long entry) { return entry & 1; }
static inline unsigned long swp_to_radix_entry(swp_entry_t entry) { return entry.val | 1; }
static inline swp_entry_t radix_to_swp_entry(unsigned long entry) { return (swp_entry_t){entry & ~1UL}; }
/* In place of a hole while collapse_file() makes sure that it stays one: look again.  From v6.4 on. */
#define XA_RETRY_ENTRY 0x402UL
static inline struct page *_Nullable entry_to_page(unsigned long entry)
{
	return entry & 3 ? NULL : (struct page *)entry;
}

/* include/linux/mm_inline.h */
static inline bool page_is_file_lru(struct page *page) { return !PageSwapBacked(page); }
static inline enum lru_list page_lru_base_type(struct page *page)
{
	return page_is_file_lru(page) ? LRU_INACTIVE_FILE : LRU_INACTIVE_ANON;
}
static inline enum lru_list page_lru(struct page *page)
{
	if (PageUnevictable(page))
		return LRU_UNEVICTABLE;
	return page_lru_base_type(page) + (PageActive(page) ? 1 : 0);
}
static inline unsigned int thp_order(struct page *page) { return PageHead(page) ? kernel->hpage_pmd_order : 0; }
static inline int thp_nr_pages(struct page *page) { return 1 << thp_order(page); }
static inline struct pglist_data *page_pgdat(struct page *page) { return &kernel->nodes[page->nid]; }
static inline struct page *page_of_deferred_list(struct list_head *node)
{
	return container_of(node, struct page, deferred_list);
}
static inline struct page *lru_to_page(struct list_head *node) { return container_of(node, struct page, lru); }

#pragma clang assume_nonnull end
