/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * page_mlock.fixed with what is done to a page that was found split out of the walker.
 */
#include <mmdiff.h>

/* Whether the vma is still locked; if so, the page is mlocked and the walk is over. */
static bool mlock_in_vma(struct page_vma_mapped_walk *pvmw)
{
	if (!(READ_ONCE(pvmw->vma->vm_flags) & VM_LOCKED))
		return false;
	mlock_vma_page(pvmw->page);
	page_vma_mapped_walk_done(pvmw);
	return true;
}

bool page_mlock_one(struct page *page, struct vm_area_struct *vma, unsigned long address, void *unused)
{
	struct page_vma_mapped_walk pvmw = {
		.page = page,
		.vma = vma,
		.address = address,
	};

	if (!(READ_ONCE(vma->vm_flags) & VM_LOCKED))
		return true;

	while (page_vma_mapped_walk(&pvmw)) {
		if (mlock_in_vma(&pvmw))
			return false;
	}
	return true;
}
