/* SPDX-License-Identifier: GPL-2.0-only */
/* Secondary MMUs and the notifications they get (include/linux/mmu_notifier.h). */
#pragma once

#include <ckernel/mm_types.h>

#pragma clang assume_nonnull begin

enum mmu_notifier_event {
	MMU_NOTIFY_UNMAP,
	MMU_NOTIFY_CLEAR,
	MMU_NOTIFY_PROTECTION_VMA,
	MMU_NOTIFY_PROTECTION_PAGE,
	MMU_NOTIFY_SOFT_DIRTY,
	MMU_NOTIFY_RELEASE,
	MMU_NOTIFY_MIGRATE,
};

/* Lives on the caller's stack. */
struct mmu_notifier_range {
	struct vm_area_struct *_Nullable vma;
	struct mm_struct *mm;
	unsigned long start, end;
	unsigned int event; /* enum mmu_notifier_event */
};

/* One translation that a secondary MMU holds. */
struct secondary_mmu_entry {
	unsigned long address; /* 0: free */
	unsigned long pfn;
	u8 write, young, dirty, pinned;
};

#define SECONDARY_MMU_ENTRIES 4

/* A device that mirrors an mm: drops entries on invalidate_range_start(), takes faults through GUP and
 * retries them when an invalidation ran meanwhile (as KVM and HMM users do). */
KERNEL_OBJECT(secondary_mmu) {
	spinlock_t lock;
	struct mm_struct *_Nullable mm;
	unsigned long invalidate_seq;
	unsigned long invalidate_in_progress;
	struct secondary_mmu_entry entries[SECONDARY_MMU_ENTRIES];
};

/* A translation that an IOMMU has cached; none if pte is 0. */
struct iotlb_entry {
	unsigned long address;
	pte_t pte;
};

#define IOTLB_ENTRIES 4

/* Shared virtual addressing: an IOMMU that walks the CPU's own page tables for a device
 * (drivers/iommu/intel/svm.c), with its caches of translations and of page tables. */
KERNEL_OBJECT(intel_svm) {
	struct mm_struct *_Nullable mm; /* NULL: the device cannot reach it any more */
	struct iotlb_entry iotlb[IOTLB_ENTRIES];
	struct page_table *_Nullable paging_structures[MAX_PTRS_PER_PMD]; /* what pmds led to */
};

#pragma clang assume_nonnull end
