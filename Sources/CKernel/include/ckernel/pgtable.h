/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page table entries (arch/x86/include/asm/pgtable*.h).  Two levels: the pmds of an mm, and tables of
 * ptes whose size is part of the machine's shape; a huge page is as many base pages as a table has
 * entries.
 */
#pragma once

#include <ckernel/kernel_state.h>

#pragma clang assume_nonnull begin

#define PAGE_SHIFT 12
#define PAGE_SIZE 4096UL
#define PAGE_MASK (~4095UL)

#define _PAGE_PRESENT 0x1UL
#define _PAGE_RW 0x2UL
#define _PAGE_USER 0x4UL
#define _PAGE_ACCESSED 0x20UL
#define _PAGE_DIRTY 0x40UL
#define _PAGE_PSE 0x80UL
#define _PAGE_PROTNONE 0x100UL
#define _PAGE_SOFT_DIRTY 0x200UL
#define _PAGE_UFFD_WP 0x400UL
#define _PAGE_CHG_FLAGS 0x660UL /* accessed, dirty, soft dirty, uffd-wp */
/* A pmd that points to a page_table carries it in the upper bits, with this mark. */
#define _PMD_TABLE (1UL << 63)

static inline unsigned long PAGE_ALIGN(unsigned long address) { return (address + PAGE_SIZE - 1) & PAGE_MASK; }
static inline unsigned long pfn_of(unsigned long entry) { return (entry & ~_PMD_TABLE) >> PAGE_SHIFT & 0xffff; }
static inline unsigned long page_to_pfn(struct page *page) { return (unsigned long)(page - kernel->mem_map); }
static inline struct page *pfn_to_page(unsigned long pfn) { return &kernel->mem_map[pfn]; }
/* The page `n` behind this one: pages are an array, as in the kernel's page + n. */
static inline struct page *page_add(struct page *page, long n) { return page + n; }

static inline pte_t __pte(unsigned long value) { return (pte_t){value}; }
static inline bool pte_none(pte_t pte) { return !pte.pte; }
static inline bool pte_present(pte_t pte) { return pte.pte & (_PAGE_PRESENT | _PAGE_PROTNONE); }
static inline bool pte_same(pte_t a, pte_t b) { return a.pte == b.pte; }
static inline bool pte_write(pte_t pte) { return pte.pte & _PAGE_RW; }
static inline bool pte_dirty(pte_t pte) { return pte.pte & _PAGE_DIRTY; }
static inline bool pte_young(pte_t pte) { return pte.pte & _PAGE_ACCESSED; }
static inline bool pte_protnone(pte_t pte) { return (pte.pte & (_PAGE_PRESENT | _PAGE_PROTNONE)) == _PAGE_PROTNONE; }
static inline bool pte_accessible(pte_t pte) { return pte.pte & _PAGE_PRESENT; }
static inline bool pte_uffd_wp(pte_t pte) { return pte.pte & _PAGE_UFFD_WP; }
static inline pte_t pte_mkwrite(pte_t pte) { return __pte(pte.pte | _PAGE_RW); }
static inline pte_t pte_wrprotect(pte_t pte) { return __pte(pte.pte & ~_PAGE_RW); }
static inline pte_t pte_mkdirty(pte_t pte) { return __pte(pte.pte | _PAGE_DIRTY); }
static inline pte_t pte_mkclean(pte_t pte) { return __pte(pte.pte & ~_PAGE_DIRTY); }
static inline pte_t pte_mkyoung(pte_t pte) { return __pte(pte.pte | _PAGE_ACCESSED); }
static inline pte_t pte_mkold(pte_t pte) { return __pte(pte.pte & ~_PAGE_ACCESSED); }
/* Not writable either, as from v6.3 on; before, each caller that could see a writable one took care of that. */
static inline pte_t pte_mkuffd_wp(pte_t pte) { return __pte((pte.pte | _PAGE_UFFD_WP) & ~_PAGE_RW); }
static inline pte_t pte_clear_uffd_wp(pte_t pte) { return __pte(pte.pte & ~_PAGE_UFFD_WP); }
static inline unsigned long pte_pfn(pte_t pte) { return pfn_of(pte.pte); }
static inline struct page *pte_page(pte_t pte) { return pfn_to_page(pte_pfn(pte)); }
static inline pte_t pfn_pte(unsigned long pfn, unsigned long prot) { return __pte(pfn << PAGE_SHIFT | prot); }
static inline pte_t mk_pte(struct page *page, unsigned long prot) { return pfn_pte(page_to_pfn(page), prot); }
static inline pte_t pte_modify(pte_t pte, unsigned long prot)
{
	return __pte((pte.pte & (PAGE_MASK | _PAGE_CHG_FLAGS)) | (prot & ~_PAGE_CHG_FLAGS));
}

static inline bool pmd_none(pmd_t pmd) { return !pmd.pmd; }
static inline bool pmd_is_table(pmd_t pmd) { return pmd.pmd & _PMD_TABLE; }
static inline bool pmd_trans_huge(pmd_t pmd) { return !pmd_is_table(pmd) && (pmd.pmd & _PAGE_PSE); }
/* A huge pmd counts as present while pmdp_invalidate() keeps the hardware away from it (_PAGE_PSE alone). */
static inline bool pmd_present(pmd_t pmd)
{
	return pmd_is_table(pmd) || (pmd.pmd & (_PAGE_PRESENT | _PAGE_PROTNONE | _PAGE_PSE));
}
static inline bool pmd_same(pmd_t a, pmd_t b) { return a.pmd == b.pmd; }
static inline bool pmd_write(pmd_t pmd) { return pmd.pmd & _PAGE_RW; }
static inline bool pmd_dirty(pmd_t pmd) { return pmd.pmd & _PAGE_DIRTY; }
static inline bool pmd_young(pmd_t pmd) { return pmd.pmd & _PAGE_ACCESSED; }
static inline bool pmd_protnone(pmd_t pmd) { return (pmd.pmd & (_PAGE_PRESENT | _PAGE_PROTNONE)) == _PAGE_PROTNONE; }
static inline bool pmd_uffd_wp(pmd_t pmd) { return pmd.pmd & _PAGE_UFFD_WP; }
static inline bool is_swap_pmd(pmd_t pmd) { return !pmd_none(pmd) && !pmd_present(pmd); }
static inline pmd_t __pmd(unsigned long value) { return (pmd_t){value}; }
static inline pmd_t pmd_mkwrite(pmd_t pmd) { return __pmd(pmd.pmd | _PAGE_RW); }
static inline pmd_t pmd_wrprotect(pmd_t pmd) { return __pmd(pmd.pmd & ~_PAGE_RW); }
static inline pmd_t pmd_mkdirty(pmd_t pmd) { return __pmd(pmd.pmd | _PAGE_DIRTY); }
static inline pmd_t pmd_mkclean(pmd_t pmd) { return __pmd(pmd.pmd & ~_PAGE_DIRTY); }
static inline pmd_t pmd_mkyoung(pmd_t pmd) { return __pmd(pmd.pmd | _PAGE_ACCESSED); }
static inline pmd_t pmd_mkold(pmd_t pmd) { return __pmd(pmd.pmd & ~_PAGE_ACCESSED); }
static inline pmd_t pmd_mkuffd_wp(pmd_t pmd) { return __pmd((pmd.pmd | _PAGE_UFFD_WP) & ~_PAGE_RW); }
static inline pmd_t pmd_clear_uffd_wp(pmd_t pmd) { return __pmd(pmd.pmd & ~_PAGE_UFFD_WP); }
static inline pmd_t pmd_mkinvalid(pmd_t pmd) { return __pmd(pmd.pmd & ~(_PAGE_PRESENT | _PAGE_PROTNONE)); }
static inline pmd_t pmd_modify(pmd_t pmd, unsigned long prot)
{
	return __pmd((pmd.pmd & (PAGE_MASK | _PAGE_PSE | _PAGE_CHG_FLAGS)) | (prot & ~_PAGE_CHG_FLAGS));
}
static inline unsigned long pmd_pfn(pmd_t pmd) { return pfn_of(pmd.pmd); }
static inline struct page *pmd_page(pmd_t pmd) { return pfn_to_page(pmd_pfn(pmd)); }
static inline struct page_table *pmd_page_table(pmd_t pmd); /* simulation.h */
static inline pmd_t mk_pmd_table(struct page_table *table) { return __pmd((unsigned long)table | _PMD_TABLE); }
static inline pmd_t mk_huge_pmd(struct page *page, unsigned long prot)
{
	return __pmd(page_to_pfn(page) << PAGE_SHIFT | prot | _PAGE_PSE);
}

static inline unsigned long PMD_SHIFT(void) { return PAGE_SHIFT + kernel->hpage_pmd_order; }
static inline unsigned long PMD_SIZE(void) { return 1UL << PMD_SHIFT(); }
static inline unsigned long PMD_MASK(void) { return ~(PMD_SIZE() - 1); }
#define HPAGE_PMD_SIZE PMD_SIZE()
#define HPAGE_PMD_MASK PMD_MASK()
static inline unsigned long HPAGE_PMD_NR(void) { return 1UL << kernel->hpage_pmd_order; }
/* User addresses start one pmd up, so that no page has address 0, and end here. */
static inline unsigned long TASK_SIZE(void) { return PMD_SIZE() * kernel->ptrs_per_pmd; }

static inline unsigned long pte_index(unsigned long address)
{
	return address >> PAGE_SHIFT & (kernel->ptrs_per_pte - 1);
}
static inline pmd_t *pmd_offset(struct mm_struct *mm, unsigned long address)
{
	return &mm->pgd[address >> PMD_SHIFT()];
}
static inline pte_t *page_table_pte(struct page_table *table, unsigned long address)
{
	return &table->pte[pte_index(address)];
}
static inline pte_t *pte_offset_map(pmd_t *pmd, unsigned long address)
{
	return page_table_pte(pmd_page_table(*pmd), address);
}
static inline spinlock_t *pte_lockptr(struct mm_struct *mm, pmd_t *pmd)
{
	(void)mm;
	return &pmd_page_table(*pmd)->ptl;
}
/* The pmds of an mm are one page of pmds: one lock (split pmd locks, one table). */
static inline spinlock_t *pmd_lockptr(struct mm_struct *mm, pmd_t *pmd)
{
	(void)pmd;
	return &mm->page_table_lock;
}
static inline unsigned long pmd_addr_end(unsigned long address, unsigned long end)
{
	unsigned long boundary = (address + PMD_SIZE()) & PMD_MASK();
	return boundary - 1 < end - 1 ? boundary : end;
}

#pragma clang assume_nonnull end
