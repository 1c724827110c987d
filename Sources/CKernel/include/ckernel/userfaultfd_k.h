/* SPDX-License-Identifier: GPL-2.0-only */
/* userfaultfd: its interface (include/uapi/linux/userfaultfd.h) and what the rest of mm/ asks about a vma
 * (include/linux/userfaultfd_k.h). */
#pragma once

#include <ckernel/mm.h>

#pragma clang assume_nonnull begin

#define UFFDIO_REGISTER_MODE_MISSING 1UL
#define UFFDIO_REGISTER_MODE_WP 2UL
#define UFFDIO_REGISTER_MODE_MINOR 4UL
#define UFFDIO_COPY_MODE_DONTWAKE 1UL
#define UFFDIO_COPY_MODE_WP 2UL
#define UFFDIO_ZEROPAGE_MODE_DONTWAKE 1UL
#define UFFDIO_CONTINUE_MODE_DONTWAKE 1UL
#define UFFDIO_WRITEPROTECT_MODE_WP 1UL
#define UFFDIO_WRITEPROTECT_MODE_DONTWAKE 2UL
#define UFFD_FEATURE_SIGBUS 0x80U
#define UFFD_FEATURE_INITIALIZED 0x80000000U

/* What mfill_atomic() fills a range with, and how (enum mfill_atomic_mode, MFILL_ATOMIC_WP). */
#define MFILL_ATOMIC_COPY 0U
#define MFILL_ATOMIC_ZEROPAGE 1U
#define MFILL_ATOMIC_CONTINUE 2U
#define MFILL_ATOMIC_MODE_MASK 3U
#define MFILL_ATOMIC_WP 4U

static inline bool userfaultfd_missing(struct vm_area_struct *vma) { return vma->vm_flags & VM_UFFD_MISSING; }
static inline bool userfaultfd_wp(struct vm_area_struct *vma) { return vma->vm_flags & VM_UFFD_WP; }
static inline bool userfaultfd_minor(struct vm_area_struct *vma) { return vma->vm_flags & VM_UFFD_MINOR; }
static inline bool userfaultfd_armed(struct vm_area_struct *vma) { return vma->vm_flags & __VM_UFFD_FLAGS; }
/* vma->vm_userfaultfd_ctx.ctx, which is set exactly if one of the flags is (a BUG_ON() of the kernel). */
static inline struct userfaultfd_ctx *_Nullable vm_userfaultfd_ctx(struct vm_area_struct *vma)
{
	return userfaultfd_armed(vma) ? &vma->vm_mm->userfaultfd : NULL;
}
static inline bool userfaultfd_pte_wp(struct vm_area_struct *vma, pte_t pte)
{
	return userfaultfd_wp(vma) && pte_uffd_wp(pte);
}
static inline bool userfaultfd_huge_pmd_wp(struct vm_area_struct *vma, pmd_t pmd)
{
	return userfaultfd_wp(vma) && pmd_uffd_wp(pmd);
}
static inline bool uffd_disable_fault_around(struct vm_area_struct *vma)
{
	return vma->vm_flags & (VM_UFFD_WP | VM_UFFD_MINOR);
}
static inline bool pte_marker_entry_uffd_wp(swp_entry_t entry)
{
	return is_pte_marker_entry(entry) && (pte_marker_get(entry) & PTE_MARKER_UFFD_WP);
}
static inline bool pte_marker_uffd_wp(pte_t pte)
{
	return is_swap_pte(pte) && pte_marker_entry_uffd_wp(pte_to_swp_entry(pte));
}
/* Write-protected by a bit of the entry or by a marker. */
static inline bool pte_swp_uffd_wp_any(pte_t pte)
{
	return is_swap_pte(pte) && (pte_swp_uffd_wp(pte) || pte_marker_uffd_wp(pte));
}

#pragma clang assume_nonnull end
