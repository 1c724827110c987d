/* SPDX-License-Identifier: GPL-2.0-only */
/* Reverse mapping (include/linux/rmap.h): flags of try_to_unmap(), the walks and their arguments. */
#pragma once

#include <ckernel/swap.h>

#pragma clang assume_nonnull begin

/* enum ttu_flags, as integer macros because they are or-ed. */
#define TTU_MIGRATION 0x1UL
#define TTU_MUNLOCK 0x2UL
#define TTU_SPLIT_HUGE_PMD 0x4UL
#define TTU_IGNORE_MLOCK 0x8UL
#define TTU_SYNC 0x10UL
#define TTU_IGNORE_HWPOISON 0x20UL
#define TTU_BATCH_FLUSH 0x40UL
#define TTU_RMAP_LOCKED 0x80UL
#define TTU_SPLIT_FREEZE 0x100UL

#define PVMW_SYNC 0x1UL
#define PVMW_MIGRATION 0x2UL

/* Lives on the walker's stack. */
struct page_vma_mapped_walk {
	struct page *page;
	struct vm_area_struct *vma;
	unsigned long address;
	pmd_t *_Nullable pmd;
	pte_t *_Nullable pte;
	spinlock_t *_Nullable ptl;
	unsigned long flags;
};

/* Lives on the walker's stack.  The callbacks are the kernel's; arg goes to each of them. */
struct rmap_walk_control {
	void *_Nullable arg;
	/* false: stop the walk */
	bool (*rmap_one)(struct page *page, struct vm_area_struct *vma, unsigned long address,
			 void *_Nullable arg);
	bool (*_Nullable done)(struct page *page);
	struct anon_vma *_Nullable (*_Nullable anon_lock)(struct page *page);
	bool (*_Nullable invalid_vma)(struct vm_area_struct *vma, void *_Nullable arg);
};

static inline struct anon_vma_chain *avc_of_same_vma(struct list_head *node)
{
	return container_of(node, struct anon_vma_chain, same_vma);
}
static inline struct anon_vma_chain *avc_of_rb(struct list_head *node)
{
	return container_of(node, struct anon_vma_chain, rb);
}
static inline struct vm_area_struct *vma_of_shared(struct list_head *node)
{
	return container_of(node, struct vm_area_struct, shared);
}

/* Walks of address_space.i_mmap, a sorted list: see KernelModel/mm/interval_tree.swift. */
static inline struct vm_area_struct *_Nullable vma_of_interval(struct list_head *node, struct list_head *root,
							       unsigned long start, unsigned long last)
{
	for (; node != root; node = node->next) {
		struct vm_area_struct *vma = vma_of_shared(node);
		if (vma->vm_pgoff > last)
			return NULL;
		if (vma->vm_pgoff + ((vma->vm_end - vma->vm_start) >> PAGE_SHIFT) - 1 >= start)
			return vma;
	}
	return NULL;
}
static inline struct vm_area_struct *_Nullable vma_interval_tree_iter_first(struct list_head *root,
									    unsigned long start, unsigned long last)
{
	return vma_of_interval(root->next, root, start, last);
}
/* The kernel's takes no root: its trees end by themselves. */
static inline struct vm_area_struct *_Nullable vma_interval_tree_iter_next(struct vm_area_struct *vma,
									   struct list_head *root,
									   unsigned long start, unsigned long last)
{
	return vma_of_interval(vma->shared.next, root, start, last);
}
#define vma_interval_tree_foreach(vma, root, start, last)                 \
	for (vma = vma_interval_tree_iter_first(root, start, last); vma; \
	     vma = vma_interval_tree_iter_next(vma, root, start, last))

#pragma clang assume_nonnull end
