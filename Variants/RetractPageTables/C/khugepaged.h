/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Static functions of Linux v6.5's mm/khugepaged.c that retract_page_tables() calls and no patch of the family
 * changes.
 */
#pragma once

static inline bool hpage_collapse_test_exit(struct mm_struct *mm)
{
	return READ_ONCE(mm->mm_users) == 0;
}

static inline int find_pmd_or_thp_or_none(struct mm_struct *mm, unsigned long address, pmd_t **pmd)
{
	pmd_t pmde;

	*pmd = pmd_offset(mm, address);
	pmde = pmdp_get_lockless(*pmd);
	if (pmd_none(pmde))
		return SCAN_PMD_NONE;
	if (!pmd_present(pmde))
		return SCAN_PMD_NULL;
	if (pmd_trans_huge(pmde))
		return SCAN_PMD_MAPPED;
	return SCAN_SUCCEED;
}
