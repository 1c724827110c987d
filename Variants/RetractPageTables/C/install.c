/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Makes the file that could be a user's a variant of the family: its function is entered in the table of kernel
 * operations, and calls others through it.
 */
#include <mmdiff.h>
#include "CRetractPageTables.h"

#define mmu_notifier_invalidate_range_start kernel->ops->mmu_notifier_invalidate_range_start
#define mmu_notifier_invalidate_range_end kernel->ops->mmu_notifier_invalidate_range_end
#define pte_free_defer kernel->ops->pte_free_defer

static int retract_page_tables(struct address_space *mapping, pgoff_t pgoff, struct mm_struct *target_mm,
			       unsigned long target_addr, struct page *hpage, struct collapse_control *cc);

#include "retract_page_tables_new.c"

void install_retract_page_tables_new(struct kernel_ops *ops)
{
	ops->retract_page_tables = retract_page_tables;
}
