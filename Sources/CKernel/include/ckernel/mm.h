/* SPDX-License-Identifier: GPL-2.0-only */
/* Counts, addresses and flags of pages (include/linux/mm.h, page_ref.h, pagemap.h). */
#pragma once

#include <ckernel/rmap.h>

#pragma clang assume_nonnull begin

#define EPERM 1
#define ENOENT 2
#define ESRCH 3
#define EINTR 4
#define EIO 5
#define EBADF 9
#define EAGAIN 11
#define ENOMEM 12
#define EACCES 13
#define EFAULT 14
#define EBUSY 16
#define EEXIST 17
#define EINVAL 22
#define EFBIG 27
#define ENFILE 23
#define ENODEV 19
#define ENOSPC 28
#define EMLINK 31
#define ENODATA 61
#define EOVERFLOW 75
#define EOPNOTSUPP 95

#define VM_FAULT_OOM 0x1U
#define VM_FAULT_SIGBUS 0x2U
#define VM_FAULT_MAJOR 0x4U
#define VM_FAULT_WRITE 0x8U
#define VM_FAULT_SIGSEGV 0x40U
#define VM_FAULT_NOPAGE 0x100U
#define VM_FAULT_LOCKED 0x200U
#define VM_FAULT_RETRY 0x400U
#define VM_FAULT_FALLBACK 0x800U
#define VM_FAULT_DONE_COW 0x1000U
#define VM_FAULT_ERROR 0x43U /* VM_FAULT_OOM | VM_FAULT_SIGBUS | VM_FAULT_SIGSEGV */

#define FAULT_FLAG_WRITE 0x1U
#define FAULT_FLAG_MKWRITE 0x2U
#define FAULT_FLAG_ALLOW_RETRY 0x4U
#define FAULT_FLAG_TRIED 0x20U
#define FAULT_FLAG_USER 0x40U
#define FAULT_FLAG_REMOTE 0x80U
#define FAULT_FLAG_UNSHARE 0x400U /* from v5.19 on */
#define FAULT_FLAG_VMA_LOCK 0x1000U /* the fault holds the lock of the vma instead of mmap_lock */

#define FOLL_WRITE 0x01U
#define FOLL_TOUCH 0x02U
#define FOLL_GET 0x04U
#define FOLL_DUMP 0x08U
#define FOLL_FORCE 0x10U
#define FOLL_POPULATE 0x40U
#define FOLL_SPLIT_PMD 0x20000U
#define FOLL_MIGRATION 0x400U
#define FOLL_NUMA 0x200U
#define FOLL_TRIED 0x800U
#define FOLL_COW 0x4000U
#define FOLL_FAST_ONLY 0x80000U
#define FOLL_MLOCK 0x1000U
#define FOLL_LONGTERM 0x10000U
#define FOLL_PIN 0x40000U
#define GUP_PIN_COUNTING_BIAS 1024

/*
 * GFP_KERNEL, GFP_USER and GFP_HIGHUSER_MOVABLE may reclaim directly; GFP_TRANSHUGE alone is GFP_TRANSHUGE_LIGHT.
 * GFP_KERNEL and GFP_USER have nothing from ZONE_MOVABLE.
 */
#define GFP_KERNEL 0x1U
#define GFP_HIGHUSER_MOVABLE 0x2U
#define GFP_TRANSHUGE 0x4U
#define __GFP_NORETRY 0x8U
#define __GFP_THISNODE 0x10U
#define GFP_USER 0x20U

/* What user space passes to mmap(), mprotect(), mremap(), madvise(), msync() (include/uapi/asm-generic/mman*.h). */
#define PROT_NONE 0x0UL
#define PROT_READ 0x1UL
#define PROT_WRITE 0x2UL
#define PROT_EXEC 0x4UL
#define MAP_SHARED 0x1UL
#define MAP_PRIVATE 0x2UL
#define MAP_FIXED 0x10UL
#define MAP_ANONYMOUS 0x20UL
#define MAP_LOCKED 0x2000UL
#define MAP_NORESERVE 0x4000UL
#define MAP_POPULATE 0x8000UL
#define MAP_NONBLOCK 0x10000UL
#define MAP_FIXED_NOREPLACE 0x100000UL
#define MREMAP_MAYMOVE 1UL
#define MREMAP_FIXED 2UL
#define MREMAP_DONTUNMAP 4UL
#define MS_ASYNC 1
#define MS_INVALIDATE 2
#define MS_SYNC 4
#define MADV_NORMAL 0
#define MADV_RANDOM 1
#define MADV_SEQUENTIAL 2
#define MADV_WILLNEED 3
#define MADV_DONTNEED 4
#define MADV_FREE 8
#define MADV_REMOVE 9
#define MADV_DONTFORK 10
#define MADV_DOFORK 11
#define MADV_HUGEPAGE 14
#define MADV_NOHUGEPAGE 15
#define MADV_WIPEONFORK 18
#define MADV_KEEPONFORK 19
#define MADV_COLD 20
#define MADV_PAGEOUT 21
#define MADV_COLLAPSE 25

#define VM_ACCESS_FLAGS 0x7UL /* VM_READ | VM_WRITE | VM_EXEC */

#define MM_CP_DIRTY_ACCT 0x1UL /* change_protection(): dirty ptes may become writable */
#define MM_CP_PROT_NUMA 0x2UL  /* the same: for NUMA hint faults */
#define MM_CP_UFFD_WP 0x4UL         /* the same: userfaultfd protects against writes */
#define MM_CP_UFFD_WP_RESOLVE 0x8UL /* ... does so no more */

/* How a page was lost or gained, for migrate_pages(). */
#define NUMA_NO_NODE (-1)
#define MIGRATE_ASYNC 0
#define MIGRATE_SYNC_LIGHT 1
#define MIGRATE_SYNC 2
#define MPOL_MF_MOVE 2
#define MPOL_MF_MOVE_ALL 4
#define MR_COMPACTION 0
#define MR_NUMA_MISPLACED 1
#define MR_SYSCALL 2
#define MR_LONGTERM_PIN 3

/* What a writepage() returns that did not write, and left the page locked. */
#define AOP_WRITEPAGE_ACTIVATE 0x80000

/* What page_check_references() says of a page (mm/vmscan.c). */
#define PAGEREF_RECLAIM 0U
#define PAGEREF_RECLAIM_CLEAN 1U
#define PAGEREF_KEEP 2U
#define PAGEREF_ACTIVATE 3U

/* What a shrinker returns that can do nothing more (include/linux/shrinker.h). */
#define SHRINK_STOP (~0UL)

/* Lives on the fault's stack. */
struct vm_fault {
	struct vm_area_struct *vma;
	unsigned int flags;
	unsigned long address;
	pgoff_t pgoff;
	pmd_t *pmd;
	pte_t *_Nullable pte;
	spinlock_t *_Nullable ptl;
	pte_t orig_pte;
	pmd_t orig_pmd;
	struct page *_Nullable cow_page;
	struct page *_Nullable page;
	pgtable_t _Nullable prealloc_pte;
};

#define MMU_GATHER_BUNDLE 8

/* Lives on the unmapper's stack (include/asm-generic/tlb.h). */
struct mmu_gather {
	struct mm_struct *mm;
	unsigned long start, end;
	bool fullmm, freed_tables, need_flush_all;
	bool cleared; /* ptes or pmds since the last flush */
	u8 nr, nr_tables;
	u16 delayed; /* mask of the pages whose mappings count until the flush, from v6.2 on */
	struct page *_Nullable pages[MMU_GATHER_BUNDLE];
	struct page_table *_Nullable tables[MAX_PTRS_PER_PMD];
};

/* For the stack: what tlb_gather_mmu() fills. */
static inline struct mmu_gather mmu_gather_of(struct mm_struct *mm) { return (struct mmu_gather){.mm = mm}; }

/* Address of a member of a struct that lies on a stack, for Swift. */
static inline struct page *_Nullable *mmu_gather_pages(struct mmu_gather *tlb) { return tlb->pages; }
static inline struct page_table *_Nullable *mmu_gather_tables(struct mmu_gather *tlb) { return tlb->tables; }
/* The flush to come covers these addresses too (tlb_remove_tlb_entry(), tlb_remove_pmd_tlb_entry()). */
static inline void __tlb_adjust_range(struct mmu_gather *tlb, unsigned long address, unsigned long size)
{
	if (address < tlb->start)
		tlb->start = address;
	if (address + size > tlb->end)
		tlb->end = address + size;
}

/* Errors in the place of a page (include/linux/err.h). */
static inline struct page *ERR_PTR(long error) { return (struct page *)error; }
static inline long PTR_ERR(struct page *page) { return (long)page; }
static inline bool IS_ERR(struct page *page) { return (unsigned long)page >= (unsigned long)-4095; }

static inline int page_count(struct page *page) { return compound_head(page)->_refcount; }
/* A reference for who found the page without a lock: the page itself counts, it may be a tail by now. */
static inline bool page_cache_get_speculative(struct page *page)
{
	if (page->_refcount == 0)
		return false;
	page->_refcount++;
	return true;
}
static inline void get_page(struct page *page) { compound_head(page)->_refcount++; }
static inline bool get_page_unless_zero(struct page *page)
{
	struct page *head = compound_head(page);
	if (head->_refcount == 0)
		return false;
	head->_refcount++;
	return true;
}
/* True when the last reference is gone and the page must be freed. */
static inline bool put_page_testzero(struct page *page) { return --compound_head(page)->_refcount == 0; }
static inline bool page_ref_freeze(struct page *page, int count)
{
	if (page->_refcount != count)
		return false;
	page->_refcount = 0;
	return true;
}
static inline void page_ref_unfreeze(struct page *page, int count) { page->_refcount = count; }
static inline void page_ref_add(struct page *page, int nr) { page->_refcount += nr; }
static inline void page_ref_sub(struct page *page, int nr) { page->_refcount -= nr; }

/* Pages of a page, whole or not (compound_nr()). */
static inline int compound_nr(struct page *page) { return thp_nr_pages(page); }
static inline int compound_mapcount(struct page *page) { return compound_head(page)->compound_mapcount + 1; }
/* One more mapping of a page that is mapped already (include/linux/rmap.h). */
static inline void page_dup_rmap(struct page *page, bool compound)
{
	if (compound)
		page->compound_mapcount++;
	else
		page->_mapcount++;
}

/* Mappings of this very page (mm/util.c, __page_mapcount() of v5.13): a file THP counts its mappings by
 * pmd in each _mapcount already, an anonymous one does not. */
static inline int page_mapcount(struct page *page)
{
	int ret = page->_mapcount + 1;
	if (!PageCompound(page) || !PageAnon(page))
		return ret;
	ret += compound_mapcount(page);
	if (PageDoubleMap(page))
		ret--;
	return ret;
}

/* Whether any page of a compound page is mapped, by pmd or by pte (mm/util.c). */
static inline bool page_mapped(struct page *page)
{
	if (!PageCompound(page))
		return page->_mapcount >= 0;
	page = compound_head(page);
	if (page->compound_mapcount >= 0)
		return true;
	for (int i = 0; i < compound_nr(page); i++)
		if (page[i]._mapcount >= 0)
			return true;
	return false;
}
/* All mappings of a page and its tails: by pmd, plus by pte (mm/huge_memory.c). */
static inline int total_mapcount(struct page *page)
{
	if (!PageCompound(page))
		return page->_mapcount + 1;
	int compound = compound_mapcount(page);
	int nr = compound_nr(page);
	int ret = compound;
	for (int i = 0; i < nr; i++)
		ret += page[i]._mapcount + 1;
	if (!PageAnon(page))
		return ret - compound * nr;
	if (PageDoubleMap(page))
		ret -= nr;
	return ret;
}
/* The mappings of the page, of all of a THP's, that has most of them (mm/huge_memory.c). */
static inline int page_trans_huge_mapcount(struct page *page, int *_Nullable total_mapcount)
{
	int ret = 0, total = 0;
	if (!PageTransCompound(page)) {
		ret = total = page->_mapcount + 1;
	} else {
		page = compound_head(page);
		for (int i = 0; i < thp_nr_pages(page); i++) {
			int mapcount = page[i]._mapcount + 1;
			if (mapcount > ret)
				ret = mapcount;
			total += mapcount;
		}
		if (PageDoubleMap(page)) {
			ret -= 1;
			total -= thp_nr_pages(page);
		}
		ret += compound_mapcount(page);
		total += compound_mapcount(page);
	}
	if (total_mapcount)
		*total_mapcount = total;
	return ret;
}
/* The references a split finds besides the mappings and the caller's own (mm/huge_memory.c). */
static inline int split_extra_pins(struct page *page)
{
	return !PageAnon(page) || PageSwapCache(page) ? thp_nr_pages(page) : 0;
}
static inline bool can_split_huge_page(struct page *page)
{
	return total_mapcount(page) == page_count(page) - split_extra_pins(page) - 1;
}

/* Pins by FOLL_PIN: a THP counts them apart (hpage_pincount_available()), a base page in its refcount. */
static inline bool page_maybe_dma_pinned(struct page *page)
{
	if (PageCompound(page))
		return compound_head(page)->compound_pincount > 0;
	return page->_refcount >= GUP_PIN_COUNTING_BIAS;
}
/* Prepares for the page's mapping to go, for a while: -EBUSY for a page that is pinned, and so must keep its owner.
 * The pte has been cleared, so that fast GUP notices (include/linux/rmap.h, from v5.19 on). */
static inline int page_try_share_anon_rmap(struct page *page)
{
	if (page_maybe_dma_pinned(page))
		return -EBUSY;
	ClearPageAnonExclusive(page);
	return 0;
}
/* mm/gup.c: a reference or a pin for the caller; false for a page whose count is gone. */
static inline bool try_grab_page(struct page *page, unsigned int flags)
{
	struct page *head = compound_head(page);
	if (!(flags & (FOLL_GET | FOLL_PIN)))
		return true;
	if (head->_refcount <= 0)
		return false;
	if (flags & FOLL_GET) {
		head->_refcount++;
	} else if (PageCompound(head)) {
		head->compound_pincount++;
		head->_refcount++;
	} else {
		head->_refcount += GUP_PIN_COUNTING_BIAS;
	}
	return true;
}

static inline void *_Nullable page_rmapping(struct page *page)
{
	return (void *)((unsigned long)compound_head(page)->mapping & ~PAGE_MAPPING_FLAGS);
}
static inline struct anon_vma *_Nullable page_anon_vma(struct page *page)
{
	return PageAnon(page) ? (struct anon_vma *)page_rmapping(page) : NULL;
}
/* The file a page belongs to; NULL for anonymous pages (whose swap cache the callers ask for by entry). */
static inline struct address_space *_Nullable page_file_mapping(struct page *page)
{
	return PageAnon(page) ? NULL : (struct address_space *)compound_head(page)->mapping;
}
static inline void set_page_anon_mapping(struct page *page, struct anon_vma *anon_vma)
{
	page->mapping = (void *)((unsigned long)anon_vma | PAGE_MAPPING_ANON);
}
static inline pgoff_t page_to_pgoff(struct page *page)
{
	return PageTail(page) ? compound_head(page)->index + (pgoff_t)(page - compound_head(page)) : page->index;
}

static inline unsigned long vma_pages(struct vm_area_struct *vma)
{
	return (vma->vm_end - vma->vm_start) >> PAGE_SHIFT;
}
static inline pgoff_t linear_page_index(struct vm_area_struct *vma, unsigned long address)
{
	return ((address - vma->vm_start) >> PAGE_SHIFT) + vma->vm_pgoff;
}
static inline bool vma_is_anonymous(struct vm_area_struct *vma) { return !vma->vm_file; }
/* shmem counts as swap-backed although it is a file. */
static inline bool vma_is_shmem(struct vm_area_struct *vma)
{
	return vma->vm_file && vma->vm_file->kind == MAPPING_SHMEM;
}
/* The hardware bits that vm_flags allow (protection_map[]): private mappings are never writable at once, and
 * what they make is young. */
static inline unsigned long vm_get_page_prot(unsigned long vm_flags)
{
	if (!(vm_flags & (VM_READ | VM_WRITE | VM_EXEC)))
		return _PAGE_PROTNONE | _PAGE_ACCESSED;
	return _PAGE_PRESENT | _PAGE_USER | _PAGE_ACCESSED |
	       ((vm_flags & (VM_WRITE | VM_SHARED)) == (VM_WRITE | VM_SHARED) ? _PAGE_RW : 0);
}
/* A function that returns an address returns a negative errno in the same word (include/linux/err.h). */
static inline bool IS_ERR_VALUE(unsigned long value) { return value >= (unsigned long)-4095; }
static inline unsigned long offset_in_page(unsigned long address) { return address & ~PAGE_MASK; }
/* Whether the first write to a page of the mapping must fault, for page_mkwrite() (mm/mmap.c): the page cache of a
 * disk file counts its dirty pages, shmem does not.  Or for userfaultfd, from v5.19 on, which lets shared vmas be
 * write-protected. */
static inline bool vma_wants_writenotify(struct vm_area_struct *vma)
{
	return (vma->vm_flags & (VM_WRITE | VM_SHARED)) == (VM_WRITE | VM_SHARED) && vma->vm_file &&
	       (vma->vm_file->kind == MAPPING_FILE || (vma->vm_flags & VM_UFFD_WP));
}
/* vma->vm_page_prot, which vma_set_page_prot() keeps in the kernel. */
static inline unsigned long vm_page_prot(struct vm_area_struct *vma)
{
	return vm_get_page_prot(vma_wants_writenotify(vma) ? vma->vm_flags & ~VM_SHARED : vma->vm_flags);
}
static inline bool vma_is_accessible(struct vm_area_struct *vma)
{
	return vma->vm_flags & (VM_READ | VM_WRITE | VM_EXEC);
}
static inline pte_t maybe_mkwrite(pte_t pte, struct vm_area_struct *vma)
{
	return vma->vm_flags & VM_WRITE ? pte_mkwrite(pte) : pte;
}
static inline pmd_t maybe_pmd_mkwrite(pmd_t pmd, struct vm_area_struct *vma)
{
	return vma->vm_flags & VM_WRITE ? pmd_mkwrite(pmd) : pmd;
}
static inline bool is_cow_mapping(unsigned long flags)
{
	return (flags & (VM_SHARED | VM_MAYWRITE)) == VM_MAYWRITE;
}
/* Whether fork() must copy the page now, since a device may write to it. */
static inline bool page_needs_cow_for_dma(struct vm_area_struct *vma, struct page *page)
{
	return is_cow_mapping(vma->vm_flags) && vma->vm_mm->has_pinned && page_maybe_dma_pinned(page);
}
/* Huge pages where madvise() asked for them (include/linux/huge_mm.h, "madvise" in sysfs). */
static inline bool __transparent_hugepage_enabled(struct vm_area_struct *vma)
{
	return (vma->vm_flags & (VM_HUGEPAGE | VM_NOHUGEPAGE)) == VM_HUGEPAGE;
}
/* Whether the huge page at `haddr` fits the vma, and the file's huge pages the addresses. */
static inline bool transhuge_vma_suitable(struct vm_area_struct *vma, unsigned long haddr)
{
	if (!vma_is_anonymous(vma) && (((vma->vm_start >> PAGE_SHIFT) - vma->vm_pgoff) & (HPAGE_PMD_NR() - 1)))
		return false;
	return haddr >= vma->vm_start && haddr + HPAGE_PMD_SIZE <= vma->vm_end;
}
static inline int mm_counter_file(struct page *page)
{
	return PageSwapBacked(page) ? MM_SHMEMPAGES : MM_FILEPAGES;
}
static inline int mm_counter(struct page *page)
{
	return PageAnon(page) ? MM_ANONPAGES : mm_counter_file(page);
}

#pragma clang assume_nonnull end
