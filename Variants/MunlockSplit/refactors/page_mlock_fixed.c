/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * page_mlock.fixed in C: the same as Fixed.swift, and what the other files here rewrite.
 */
#include <mmdiff.h>

bool page_mlock_one(struct page *page, struct vm_area_struct *vma, unsigned long address, void *unused)
{
	struct page_vma_mapped_walk pvmw = {
		.page = page,
		.vma = vma,
		.address = address,
	};

	/* A vma that is not locked has no pages to lock: on with the walk. */
	if (!(READ_ONCE(vma->vm_flags) & VM_LOCKED))
		return true;

	while (page_vma_mapped_walk(&pvmw)) {
		if (READ_ONCE(vma->vm_flags) & VM_LOCKED) {
			/* Nobody asks for an anonymous huge page, nor for one mapped by pmd and ptes at once. */
			mlock_vma_page(page);
			page_vma_mapped_walk_done(&pvmw);
			return false;
		}
	}
	return true;
}

static bool page_not_mapped(struct page *page)
{
	return !page_mapped(page);
}

void page_mlock(struct page *page)
{
	struct rmap_walk_control rwc = {
		.rmap_one = kernel->ops->page_mlock_one,
		.done = page_not_mapped,
		.anon_lock = page_lock_anon_vma_read,
	};

	VM_BUG_ON_PAGE(!PageLocked(page) || PageLRU(page), page);
	VM_BUG_ON_PAGE(PageCompound(page) && PageDoubleMap(page), page);

	/* An anonymous huge page is only mlocked while it is mapped once. */
	if (PageTransCompound(page) && PageAnon(page))
		return;
	rmap_walk(page, &rwc);
}

void __munlock_isolated_page(struct page *page)
{
	/* Mapped once, the mapping is ours: there is nobody to ask. */
	if (page_mapcount(page) > 1)
		page_mlock(page);
	if (!PageMlocked(page))
		count_vm_events(UNEVICTABLE_PGMUNLOCKED, thp_nr_pages(page));
	putback_lru_page(page);
}
