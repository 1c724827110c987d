/* SPDX-License-Identifier: GPL-2.0-only */
/* What khugepaged keeps for itself (mm/khugepaged.c), and how an attempt to collapse a range ends. */
#pragma once

#include <ckernel/mm_types.h>

#pragma clang assume_nonnull begin

/* enum scan_result, as integer macros because functions return int.  As v6.5 has it; v5.18-rc1 knows part of it. */
#define SCAN_FAIL 0
#define SCAN_SUCCEED 1
#define SCAN_PMD_NULL 2
#define SCAN_PMD_NONE 3
#define SCAN_PMD_MAPPED 4
#define SCAN_EXCEED_NONE_PTE 5
#define SCAN_EXCEED_SWAP_PTE 6
#define SCAN_EXCEED_SHARED_PTE 7
#define SCAN_PTE_NON_PRESENT 8
#define SCAN_PTE_UFFD_WP 9
#define SCAN_PTE_MAPPED_HUGEPAGE 10
#define SCAN_PAGE_RO 11
#define SCAN_LACK_REFERENCED_PAGE 12
#define SCAN_PAGE_NULL 13
#define SCAN_SCAN_ABORT 14
#define SCAN_PAGE_COUNT 15
#define SCAN_PAGE_LRU 16
#define SCAN_PAGE_LOCK 17
#define SCAN_PAGE_ANON 18
#define SCAN_PAGE_COMPOUND 19
#define SCAN_ANY_PROCESS 20
#define SCAN_VMA_NULL 21
#define SCAN_VMA_CHECK 22
#define SCAN_ADDRESS_RANGE 23
#define SCAN_DEL_PAGE_LRU 24
#define SCAN_ALLOC_HUGE_PAGE_FAIL 25
#define SCAN_CGROUP_CHARGE_FAIL 26
#define SCAN_TRUNCATED 27
#define SCAN_PAGE_HAS_PRIVATE 28
#define SCAN_STORE_FAILED 29
#define SCAN_COPY_MC 30
#define SCAN_PAGE_FILLED 31

#define MAX_NUMNODES 2
#define MAX_PTE_MAPPED_THP 8

/* Lives on the collapser's stack: who collapses, and where the small pages lie.  In v5.18-rc1 khugepaged alone
 * collapses: the counts are a static array, the huge page is a local variable of khugepaged_do_scan(). */
struct collapse_control {
	bool is_khugepaged;
	u32 node_load[MAX_NUMNODES];
	struct page *_Nullable hpage; /* v5.18-rc1: of an attempt, freed after it if it was not used */
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
	int last_target_node; /* v5.18-rc1: khugepaged_find_target_node()'s memory */
};

static inline struct khugepaged_mm_slot *mm_slot_of(struct list_head *node)
{
	return container_of(node, struct khugepaged_mm_slot, mm_node);
}

#pragma clang assume_nonnull end
