// SPDX-License-Identifier: GPL-2.0-only
// mm/huge_memory.c of Linux v5.13: transparent huge pages.  This file: the words all of it uses, and
// fork.  huge_memory+fault.swift has the faults, +change.swift what changes a huge pmd or follows it,
// +split_pmd.swift the split of a pmd, +split_page.swift and +deferred.swift that of a page.
//
// Left out everywhere: the huge zero page (as with use_zero_page off in sysfs), memory cgroups, DAX and
// other device memory (vma_is_special_huge()), huge puds, NUMA hinting faults, soft-dirty bits (nothing
// here reads them), the sysfs and debugfs files.

import CKernel
import Simulation

func install_huge_memory(_ ops: kernel_ops) {
    ops.copy_huge_pmd = copy_huge_pmd
    ops.pmd_trans_huge_lock = pmd_trans_huge_lock
    ops.free_transhuge_page = free_transhuge_page
}

/// Base pages of a huge page, for counters.
var hpage_pmd_nr: Int { Int(HPAGE_PMD_NR()) }

/// The pmd lock, if the pmd maps a huge page or will after a migration.
/// Linux v5.13, mm/huge_memory.c, __pmd_trans_huge_lock().
func __pmd_trans_huge_lock(
    _ pmd: UnsafeMutablePointer<pmd_t>, _ vma: vm_area_struct, _ function: StaticString = #function
) -> spinlock_t? {
    let ptl = pmd_lock(vma.vm_mm, pmd, function)
    if is_swap_pmd(pmd.pointee) || pmd_trans_huge(pmd.pointee) { return ptl }
    spin_unlock(ptl, function)
    return nil
}

/// Linux v5.13, include/linux/huge_mm.h, pmd_trans_huge_lock().
private func pmd_trans_huge_lock(_ pmd: UnsafeMutablePointer<pmd_t>, _ vma: vm_area_struct) -> spinlock_t? {
    yield_point("pmd")
    guard is_swap_pmd(pmd.pointee) || pmd_trans_huge(pmd.pointee) else { return nil }
    return __pmd_trans_huge_lock(pmd, vma)
}

/// Shares a huge page with a child, read-only on both sides; -EAGAIN if there is none, or if it had to be
/// split: the ptes are to be copied then.
/// Linux v5.13, mm/huge_memory.c, copy_huge_pmd().
private func copy_huge_pmd(_ dst_vma: vm_area_struct, _ src_vma: vm_area_struct, _ address: UInt) -> Int32 {
    let dst_mm = dst_vma.vm_mm
    let src_mm = src_vma.vm_mm
    let dst_pmd = pmd_offset(dst_mm, address)
    let src_pmd = pmd_offset(src_mm, address)

    // The child's faults find a file's pages again.
    if !vma_is_anonymous(src_vma) { return 0 }

    guard let pgtable = pte_alloc_one(dst_mm) else { return -ENOMEM }

    let dst_ptl = pmd_lock(dst_mm, dst_pmd)
    let src_ptl = pmd_lockptr(src_mm, src_pmd)
    spin_lock(src_ptl, subclass: 1)
    var pmd = src_pmd.pointee

    if is_swap_pmd(pmd) {
        let entry = pmd_to_swp_entry(pmd)
        BUG_ON(!is_pmd_migration_entry(pmd), "!is_pmd_migration_entry(pmd)")
        if !is_readable_migration_entry(entry) {
            pmd = swp_entry_to_pmd(make_migration_entry_read(entry))
            if pmd_swp_uffd_wp(src_pmd.pointee) { pmd = pmd_swp_mkuffd_wp(pmd) }
            set_pmd_at(src_mm, address, src_pmd, pmd)
        }
        if !userfaultfd_wp(dst_vma) { pmd = pmd_swp_clear_uffd_wp(pmd) }
        dst_mm.rss(Int(MM_ANONPAGES.rawValue)).pointee += hpage_pmd_nr
        mm_inc_nr_ptes(dst_mm)
        pgtable_trans_huge_deposit(dst_mm, dst_pmd, pgtable)
        set_pmd_at(dst_mm, address, dst_pmd, pmd)
        spin_unlock(src_ptl)
        spin_unlock(dst_ptl)
        return 0
    }

    if !pmd_trans_huge(pmd) {
        pte_free(dst_mm, pgtable)
        spin_unlock(src_ptl)
        spin_unlock(dst_ptl)
        return -EAGAIN
    }

    let src_page = pmd_page(pmd)
    VM_BUG_ON_PAGE(!PageHead(src_page), "!PageHead(src_page)")

    // A device may write to the page: the parent must keep it, and a huge page is never copied whole.
    yield_point("page_count")
    if ops.page_try_dup_anon_rmap(src_page, src_vma) != 0 {
        pte_free(dst_mm, pgtable)
        spin_unlock(src_ptl)
        spin_unlock(dst_ptl)
        ops.__split_huge_pmd(src_vma, src_pmd, address, false, nil)
        return -EAGAIN
    }

    get_page(src_page)
    yield_point("mapcount")
    page_dup_rmap(src_page, true)
    dst_mm.rss(Int(MM_ANONPAGES.rawValue)).pointee += hpage_pmd_nr
    mm_inc_nr_ptes(dst_mm)
    pgtable_trans_huge_deposit(dst_mm, dst_pmd, pgtable)

    pmdp_set_wrprotect(src_mm, address, src_pmd)
    if !userfaultfd_wp(dst_vma) { pmd = pmd_clear_uffd_wp(pmd) }
    set_pmd_at(dst_mm, address, dst_pmd, pmd_mkold(pmd_wrprotect(pmd)))
    spin_unlock(src_ptl)
    spin_unlock(dst_ptl)
    return 0
}

/// The last reference of a huge page is gone.  Linux v5.13, mm/huge_memory.c, free_transhuge_page().
private func free_transhuge_page(_ page: page) {
    dequeueFromDeferredSplit(page)
    ops.free_compound_page(page)
}
