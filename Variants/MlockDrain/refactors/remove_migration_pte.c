/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * remove_migration_pte() of drained in C, and what the other files here rewrite.
 */
#include <mmdiff.h>

bool remove_migration_pte(struct page *page, struct vm_area_struct *vma, unsigned long address, void *arg)
{
	struct page *old = arg;
	struct page_vma_mapped_walk pvmw = {
		.page = old,
		.vma = vma,
		.address = address,
		.flags = PVMW_SYNC | PVMW_MIGRATION,
	};

	while (page_vma_mapped_walk(&pvmw)) {
		struct page *new = page;
		swp_entry_t entry;
		pte_t pte;

		if (PageTransHuge(page))
			new = page + linear_page_index(vma, pvmw.address) - old->index;

		/* A PMD-mapped huge page's entry. */
		if (!pvmw.pte) {
			VM_BUG_ON_PAGE(!PageTransCompound(page), page);
			remove_migration_pmd(&pvmw, new);
			continue;
		}

		get_page(page);
		/* Permissions may have changed since the entry was made. */
		mmdiff_yield("vm_page_prot");
		pte = pte_mkold(mk_pte(new, vm_page_prot(vma)));
		entry = pte_to_swp_entry(*pvmw.pte);
		if (is_write_migration_entry(entry))
			pte = maybe_mkwrite(pte, vma);
		else if (pte_swp_uffd_wp(*pvmw.pte))
			pte = pte_mkuffd_wp(pte);

		if (PageAnon(page))
			do_page_add_anon_rmap(new, vma, pvmw.address, false, !is_readable_migration_entry(entry));
		else
			page_add_file_rmap(new, vma, false);
		set_pte_at(vma->vm_mm, pvmw.address, pvmw.pte, pte);
		if (READ_ONCE(vma->vm_flags) & VM_LOCKED)
			mlock_page_drain_local();
	}
	return true;
}
