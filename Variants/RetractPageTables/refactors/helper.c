/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * new with the body of the loop split out.
 */
#include <mmdiff.h>
#include "../C/khugepaged.h"

/* The page table of one vma. */
static void retract_page_table(struct vm_area_struct *vma, pgoff_t pgoff)
{
	const unsigned long addr = vma->vm_start + ((pgoff - vma->vm_pgoff) << PAGE_SHIFT);
	struct mm_struct *mm = vma->vm_mm;
	struct mmu_notifier_range range;
	pmd_t *pmd, pgt_pmd;
	spinlock_t *pml, *ptl;
	bool skipped_uffd;

	if (READ_ONCE(vma->anon_vma))
		return;
	if (addr & ~HPAGE_PMD_MASK || vma->vm_end < addr + HPAGE_PMD_SIZE)
		return;
	if (find_pmd_or_thp_or_none(mm, addr, &pmd) != SCAN_SUCCEED)
		return;
	if (hpage_collapse_test_exit(mm))
		return;
	mmdiff_yield("vm_flags");
	if (userfaultfd_wp(vma))
		return;

	mmu_notifier_range_init(&range, MMU_NOTIFY_CLEAR, 0, mm, addr, addr + HPAGE_PMD_SIZE);
	mmu_notifier_invalidate_range_start(&range);
	pml = pmd_lock(mm, pmd);
	ptl = pte_lockptr(mm, pmd);
	if (ptl != pml)
		spin_lock_nested(ptl, SINGLE_DEPTH_NESTING);
	skipped_uffd = vma->anon_vma || userfaultfd_wp(vma);
	if (!skipped_uffd)
		pgt_pmd = pmdp_collapse_flush(vma, addr, pmd);
	if (ptl != pml)
		spin_unlock(ptl);
	spin_unlock(pml);
	mmu_notifier_invalidate_range_end(&range);

	if (!skipped_uffd) {
		mm_dec_nr_ptes(mm);
		pte_free_defer(mm, pmd_pgtable(pgt_pmd));
	}
}

int retract_page_tables(struct address_space *mapping, pgoff_t pgoff, struct mm_struct *target_mm,
			unsigned long target_addr, struct page *hpage, struct collapse_control *cc)
{
	struct vm_area_struct *vma;

	i_mmap_lock_read(mapping);
	vma_interval_tree_foreach(vma, &mapping->i_mmap, pgoff, pgoff)
		retract_page_table(vma, pgoff);
	i_mmap_unlock_read(mapping);
	return cc->is_khugepaged ? SCAN_SUCCEED : SCAN_PTE_MAPPED_HUGEPAGE;
}
