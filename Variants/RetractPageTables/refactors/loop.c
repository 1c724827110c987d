/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * new with the loop over the vmas written out.
 */
#include <mmdiff.h>
#include "../C/khugepaged.h"

int retract_page_tables(struct address_space *mapping, pgoff_t pgoff, struct mm_struct *target_mm,
			unsigned long target_addr, struct page *hpage, struct collapse_control *cc)
{
	struct vm_area_struct *vma;

	i_mmap_lock_read(mapping);
	vma = vma_interval_tree_iter_first(&mapping->i_mmap, pgoff, pgoff);
	while (vma) {
		struct mmu_notifier_range range;
		struct mm_struct *mm;
		unsigned long addr;
		pmd_t *pmd, pgt_pmd;
		spinlock_t *pml;
		spinlock_t *ptl;
		bool skipped_uffd = false;

		/* Private mappings that were written to would be split soon. */
		if (READ_ONCE(vma->anon_vma))
			goto next;

		addr = vma->vm_start + ((pgoff - vma->vm_pgoff) << PAGE_SHIFT);
		if (addr & ~HPAGE_PMD_MASK || vma->vm_end < addr + HPAGE_PMD_SIZE)
			goto next;

		mm = vma->vm_mm;
		if (find_pmd_or_thp_or_none(mm, addr, &pmd) != SCAN_SUCCEED)
			goto next;

		if (hpage_collapse_test_exit(mm))
			goto next;

		/* There may be markers in the table. */
		mmdiff_yield("vm_flags");
		if (userfaultfd_wp(vma))
			goto next;

		/* The ptes were notified of when they went; now it is about the pmd. */
		mmu_notifier_range_init(&range, MMU_NOTIFY_CLEAR, 0, mm, addr, addr + HPAGE_PMD_SIZE);
		mmu_notifier_invalidate_range_start(&range);

		pml = pmd_lock(mm, pmd);
		ptl = pte_lockptr(mm, pmd);
		if (ptl != pml)
			spin_lock_nested(ptl, SINGLE_DEPTH_NESTING);

		/*
		 * The page lock keeps faults out, but not userfaultfd, which needs nothing but this lock:
		 * it may have inserted pages or markers after the first looks.
		 */
		if (unlikely(vma->anon_vma || userfaultfd_wp(vma)))
			skipped_uffd = true;
		else
			pgt_pmd = pmdp_collapse_flush(vma, addr, pmd);

		if (ptl != pml)
			spin_unlock(ptl);
		spin_unlock(pml);

		mmu_notifier_invalidate_range_end(&range);

		if (!skipped_uffd) {
			mm_dec_nr_ptes(mm);
			pte_free_defer(mm, pmd_pgtable(pgt_pmd));
		}
next:
		vma = vma_interval_tree_iter_next(vma, &mapping->i_mmap, pgoff, pgoff);
	}
	i_mmap_unlock_read(mapping);

	/* The end of collapse_file(): MADV_COLLAPSE goes on with collapse_pte_mapped_thp(). */
	return cc->is_khugepaged ? SCAN_SUCCEED : SCAN_PTE_MAPPED_HUGEPAGE;
}
