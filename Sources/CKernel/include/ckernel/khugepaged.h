/* SPDX-License-Identifier: GPL-2.0-only */
/* What khugepaged keeps for itself (mm/khugepaged.c), and how an attempt to collapse a range ends. */
#pragma once

#include <ckernel/mm_types.h>

#pragma clang assume_nonnull begin

/* As v6.5 has it; v5.18-rc1 knows part of it. */
enum scan_result {
	SCAN_FAIL,
	SCAN_SUCCEED,
	SCAN_PMD_NULL,
	SCAN_PMD_NONE,
	SCAN_PMD_MAPPED,
	SCAN_EXCEED_NONE_PTE,
	SCAN_EXCEED_SWAP_PTE,
	SCAN_EXCEED_SHARED_PTE,
	SCAN_PTE_NON_PRESENT,
	SCAN_PTE_UFFD_WP,
	SCAN_PTE_MAPPED_HUGEPAGE,
	SCAN_PAGE_RO,
	SCAN_LACK_REFERENCED_PAGE,
	SCAN_PAGE_NULL,
	SCAN_SCAN_ABORT,
	SCAN_PAGE_COUNT,
	SCAN_PAGE_LRU,
	SCAN_PAGE_LOCK,
	SCAN_PAGE_ANON,
	SCAN_PAGE_COMPOUND,
	SCAN_ANY_PROCESS,
	SCAN_VMA_NULL,
	SCAN_VMA_CHECK,
	SCAN_ADDRESS_RANGE,
	SCAN_DEL_PAGE_LRU,
	SCAN_ALLOC_HUGE_PAGE_FAIL,
	SCAN_CGROUP_CHARGE_FAIL,
	SCAN_TRUNCATED,
	SCAN_PAGE_HAS_PRIVATE,
	SCAN_STORE_FAILED,
	SCAN_COPY_MC,
	SCAN_PAGE_FILLED,
	NR_SCAN_RESULTS
};

#define MAX_NUMNODES 2
#define MAX_PTE_MAPPED_THP 8

/* Lives on the collapser's stack: who collapses, and where the small pages lie. */
struct collapse_control {
	bool is_khugepaged;
	u32 node_load[MAX_NUMNODES];
};

static inline u32 *node_load(struct collapse_control *cc, long nid) { return &cc->node_load[nid]; }

/* An mm that khugepaged looks through, with the addresses at which it has yet to get rid of page tables. */
KERNEL_OBJECT(khugepaged_mm_slot) {
	struct mm_struct *mm;
	struct list_head mm_node; /* in khugepaged_scan.mm_head, which stands for the hash table, too */
	int nr_pte_mapped_thp;
	unsigned long pte_mapped_thp[MAX_PTE_MAPPED_THP];
};

/* khugepaged's cursor. */
KERNEL_OBJECT(khugepaged_scan) {
	struct list_head mm_head;
	struct khugepaged_mm_slot *_Nullable mm_slot;
	unsigned long address;
};

static inline struct khugepaged_mm_slot *mm_slot_of(struct list_head *node)
{
	return container_of(node, struct khugepaged_mm_slot, mm_node);
}

#pragma clang assume_nonnull end
