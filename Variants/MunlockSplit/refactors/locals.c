/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * page_mlock.fixed with what is read once kept in locals, and fields assigned one by one.
 */
#include <mmdiff.h>

bool page_mlock_one(struct page *page, struct vm_area_struct *vma, unsigned long address, void *unused)
{
	struct page_vma_mapped_walk pvmw = { 0 };
	unsigned long vm_flags = READ_ONCE(vma->vm_flags);

	if (!(vm_flags & VM_LOCKED))
		return true;

	pvmw.address = address;
	pvmw.vma = vma;
	pvmw.page = page;
	while (page_vma_mapped_walk(&pvmw)) {
		vm_flags = READ_ONCE(vma->vm_flags);
		if (vm_flags & VM_LOCKED) {
			mlock_vma_page(page);
			page_vma_mapped_walk_done(&pvmw);
			return false;
		}
	}
	return true;
}

void __munlock_isolated_page(struct page *page)
{
	const int mapcount = page_mapcount(page);
	bool mlocked;

	if (mapcount > 1)
		page_mlock(page);
	mlocked = PageMlocked(page);
	if (!mlocked)
		count_vm_events(UNEVICTABLE_PGMUNLOCKED, thp_nr_pages(page));
	putback_lru_page(page);
}
