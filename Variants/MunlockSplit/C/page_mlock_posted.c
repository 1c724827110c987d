/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * page_mlock.posted.c: the same patch as Posted.swift, in C.  The two prove the ABI: no trace and no
 * schedule may tell them apart, so each yield point has the same name in both.
 *
 * Modelled and left out: as in Posted.swift.
 */
#include <mmdiff.h>
#include "CMunlockSplit.h"

static bool page_mlock_one(struct page *page, struct vm_area_struct *vma, unsigned long address,
			   void *unused)
{
	struct page_vma_mapped_walk pvmw = {
		.page = page,
		.vma = vma,
		.address = address,
	};

	/* A vma that is not locked has no pages to lock: on with the walk. */
	if (!(READ_ONCE(vma->vm_flags) & VM_LOCKED))
		return true;

	while (kernel->ops->page_vma_mapped_walk(&pvmw)) {
		/* A huge page mapped by ptes is never mlocked. */
		if (!PageTransCompound(page))
			kernel->ops->mlock_vma_page(page);
		page_vma_mapped_walk_done(&pvmw);

		/* The page is mlocked: nothing more to find. */
		return false;
	}
	return true;
}

static bool page_not_mapped(struct page *page)
{
	return !page_mapped(page);
}

static void page_mlock(struct page *page)
{
	struct rmap_walk_control rwc = {
		.rmap_one = kernel->ops->page_mlock_one,
		.done = page_not_mapped,
		.anon_lock = kernel->ops->page_lock_anon_vma_read,
	};

	VM_BUG_ON_PAGE(!PageLocked(page) || PageLRU(page), page);
	VM_BUG_ON_PAGE(PageCompound(page) && PageDoubleMap(page), page);
	kernel->ops->rmap_walk(page, &rwc);
}

static void __munlock_isolated_page(struct page *page)
{
	if (page_mapcount(page) > 1)
		kernel->ops->page_mlock(page);
	if (!PageMlocked(page))
		count_vm_events(UNEVICTABLE_PGMUNLOCKED, thp_nr_pages(page));
	kernel->ops->putback_lru_page(page);
}

void install_page_mlock_posted(struct kernel_ops *ops)
{
	ops->page_mlock_one = page_mlock_one;
	ops->page_mlock = page_mlock;
	ops->__munlock_isolated_page = __munlock_isolated_page;
}
