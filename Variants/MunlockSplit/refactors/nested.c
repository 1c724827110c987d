/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * page_mlock.fixed with each early return turned into an if around the rest.
 */
#include <mmdiff.h>

bool page_mlock_one(struct page *page, struct vm_area_struct *vma, unsigned long address, void *unused)
{
	bool more = true;

	if (READ_ONCE(vma->vm_flags) & VM_LOCKED) {
		struct page_vma_mapped_walk pvmw = {
			.page = page,
			.vma = vma,
			.address = address,
		};

		while (more && page_vma_mapped_walk(&pvmw)) {
			if (READ_ONCE(vma->vm_flags) & VM_LOCKED) {
				mlock_vma_page(page);
				page_vma_mapped_walk_done(&pvmw);
				more = false;
			}
		}
	}
	return more;
}

static bool page_not_mapped(struct page *page)
{
	return !page_mapped(page);
}

void page_mlock(struct page *page)
{
	VM_BUG_ON_PAGE(!PageLocked(page) || PageLRU(page), page);
	VM_BUG_ON_PAGE(PageCompound(page) && PageDoubleMap(page), page);

	if (!(PageTransCompound(page) && PageAnon(page))) {
		struct rmap_walk_control rwc = {
			.rmap_one = kernel->ops->page_mlock_one,
			.done = page_not_mapped,
			.anon_lock = page_lock_anon_vma_read,
		};

		rmap_walk(page, &rwc);
	}
}
