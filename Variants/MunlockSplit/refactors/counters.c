/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * page_mlock.fixed with the two counters of mlock_vma_page() updated in the other order: the page table
 * lock is held, and neither depends on the other.
 */
#include <mmdiff.h>

void mlock_vma_page(struct page *page)
{
	BUG_ON(!PageLocked(page));
	VM_BUG_ON_PAGE(PageTail(page), page);
	VM_BUG_ON_PAGE(PageCompound(page) && PageDoubleMap(page), page);

	if (!TestSetPageMlocked(page)) {
		const int nr_pages = thp_nr_pages(page);

		count_vm_events(UNEVICTABLE_PGMLOCKED, nr_pages);
		mod_zone_page_state(page_zone(page), NR_MLOCK, nr_pages);
		if (!isolate_lru_page(page))
			putback_lru_page(page);
	}
}
