/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * page_mlock.fixed with the loop turned round: it ends in its middle.
 */
#include <mmdiff.h>

bool page_mlock_one(struct page *page, struct vm_area_struct *vma, unsigned long address, void *unused)
{
	struct page_vma_mapped_walk pvmw = {
		.page = page,
		.vma = vma,
		.address = address,
	};

	if (!(READ_ONCE(vma->vm_flags) & VM_LOCKED))
		return true;

	for (;;) {
		if (!page_vma_mapped_walk(&pvmw))
			return true;
		if (!(READ_ONCE(vma->vm_flags) & VM_LOCKED))
			continue;
		break;
	}
	mlock_vma_page(page);
	page_vma_mapped_walk_done(&pvmw);
	return false;
}
