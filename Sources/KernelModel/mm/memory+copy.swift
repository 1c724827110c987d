// SPDX-License-Identifier: GPL-2.0-only
// mm/memory.c of Linux v5.13: fork() copies the page tables of a vma.
//
// Left out: the break for rescheduling after 32 ptes (tables are shorter); swap count continuations (a slot's
// count holds all mms of the model); mmlist, which only swapoff reads.

import CKernel
import Simulation

func install_memory_copy(_ ops: kernel_ops) {
    ops.copy_page_range = copy_page_range
    ops.page_try_dup_anon_rmap = { page, vma in page_needs_cow_for_dma(vma, page) ? -EBUSY : 0 }
}

/// Linux v5.13, mm/memory.c, copy_nonpresent_pte().
private func copy_nonpresent_pte(
    _ dst_vma: vm_area_struct, _ src_vma: vm_area_struct, _ dst_pte: UnsafeMutablePointer<pte_t>,
    _ src_pte: UnsafeMutablePointer<pte_t>, _ address: UInt
) {
    let (dst_mm, src_mm) = (dst_vma.vm_mm, src_vma.vm_mm)
    var pte = src_pte.pointee
    let entry = pte_to_swp_entry(pte)
    if !non_swap_entry(entry) {
        BUG_ON(ops.swap_duplicate(entry) < 0, "swap_duplicate(entry) < 0")
        dst_mm.rss(Int(MM_SWAPENTS.rawValue)).pointee += 1
        // From v5.19 on: the child has it, too.
        if pte_swp_exclusive(pte) {
            pte = pte_swp_clear_exclusive(pte)
            set_pte_at(src_mm, address, src_pte, pte)
        }
    } else if is_migration_entry(entry) {
        dst_mm.rss(Int(mm_counter(migration_entry_to_page(entry)))).pointee += 1
        if !is_readable_migration_entry(entry) && is_cow_mapping(src_vma.vm_flags) {
            pte = swp_entry_to_pte(make_migration_entry_read(entry))
            if pte_swp_uffd_wp(src_pte.pointee) { pte = pte_swp_mkuffd_wp(pte) }
            set_pte_at(src_mm, address, src_pte, pte)
        }
    } else if is_pte_marker_entry(entry) {
        // From v5.19 on.  Without userfaultfd in the child it means nothing (copy_pte_marker()).
        if userfaultfd_wp(dst_vma) { set_pte_at(dst_mm, address, dst_pte, pte) }
        return
    }
    if !userfaultfd_wp(dst_vma) { pte = pte_swp_clear_uffd_wp(pte) }
    set_pte_at(dst_mm, address, dst_pte, pte)
}

/// What became of a pte that is to be copied.
private enum Copied { case done, share, needsPage }

/// Copies the page itself if a device may write to it through the parent.
/// Linux v5.13, mm/memory.c, copy_present_page().
private func copy_present_page(
    _ dst_vma: vm_area_struct, _ src_vma: vm_area_struct, _ dst_pte: UnsafeMutablePointer<pte_t>,
    _ address: UInt, _ page: page, _ prealloc: page?
) -> Copied {
    yield_point("page_count")
    guard ops.page_try_dup_anon_rmap(page, src_vma) != 0 else { return .share }
    guard let new_page = prealloc else { return .needsPage }
    copy_user_highpage(new_page, page)
    SetPageUptodate(new_page)
    ops.page_add_new_anon_rmap(new_page, dst_vma, address, false)
    ops.lru_cache_add_inactive_or_unevictable(new_page, dst_vma)
    dst_vma.vm_mm.rss(Int(mm_counter(new_page))).pointee += 1
    let pte = maybe_mkwrite(pte_mkdirty(mk_pte(new_page, vm_page_prot(dst_vma))), dst_vma)
    set_pte_at(dst_vma.vm_mm, address, dst_pte, pte)
    return .done
}

/// Linux v5.13, mm/memory.c, copy_present_pte().
private func copy_present_pte(
    _ dst_vma: vm_area_struct, _ src_vma: vm_area_struct, _ dst_pte: UnsafeMutablePointer<pte_t>,
    _ src_pte: UnsafeMutablePointer<pte_t>, _ address: UInt, _ prealloc: page?
) -> Copied {
    let (dst_mm, src_mm) = (dst_vma.vm_mm, src_vma.vm_mm)
    let vm_flags = src_vma.vm_flags
    var pte = src_pte.pointee
    let page = pte_page(pte)
    let copied = copy_present_page(dst_vma, src_vma, dst_pte, address, page, prealloc)
    if copied != .share { return copied }
    get_page(page)
    yield_point("mapcount")
    page_dup_rmap(page, false)
    dst_mm.rss(Int(mm_counter(page))).pointee += 1

    if is_cow_mapping(vm_flags) && pte_write(pte) {
        ptep_set_wrprotect(src_mm, address, src_pte)
        pte = pte_wrprotect(pte)
    }
    if vm_flags & VM_SHARED != 0 { pte = pte_mkclean(pte) }
    pte = pte_mkold(pte)
    if !userfaultfd_wp(dst_vma) { pte = pte_clear_uffd_wp(pte) }
    set_pte_at(dst_mm, address, dst_pte, pte)
    return .share
}

/// Linux v5.13, mm/memory.c, copy_pte_range().
private func copy_pte_range(
    _ dst_vma: vm_area_struct, _ src_vma: vm_area_struct, _ dst_pmd: UnsafeMutablePointer<pmd_t>,
    _ src_pmd: UnsafeMutablePointer<pmd_t>, _ start: UInt, _ end: UInt
) -> Int32 {
    let (dst_mm, src_mm) = (dst_vma.vm_mm, src_vma.vm_mm)
    var address = start
    var prealloc: page?
    while address != end {
        guard let dst = pte_alloc_map_lock(dst_mm, dst_pmd, address) else {
            if let unused = prealloc { ops.put_page(unused) }
            return -ENOMEM
        }
        var dst_pte = dst.pte
        guard let src = pte_offset_map_nolock(src_mm, src_pmd, address) else {
            // From v6.5 on: what was there can be found again by faults.
            pte_unmap_unlock(dst.pte, dst.ptl)
            break
        }
        var src_pte = src.pte
        spin_lock(src.ptl, subclass: 1)
        var needs_page = false
        while address != end {
            noteCost(EVENT_pte_visit, UInt(src_mm.number) << 32 | address >> UInt(PAGE_SHIFT), 1)
            if pte_none(src_pte.pointee) {
                // Nothing to copy.
            } else if !pte_present(src_pte.pointee) {
                copy_nonpresent_pte(dst_vma, src_vma, dst_pte, src_pte, address)
            } else {
                let copied = copy_present_pte(dst_vma, src_vma, dst_pte, src_pte, address, prealloc)
                if copied == .needsPage {
                    needs_page = true
                    break
                }
                // A page is for the address it was allocated for.
                if copied == .share, let unused = prealloc { ops.put_page(unused) }
                prealloc = nil
            }
            dst_pte += 1
            src_pte += 1
            address += PAGE_SIZE
        }
        pte_unmap_unlock(src.pte, src.ptl)
        pte_unmap_unlock(dst.pte, dst.ptl)
        if needs_page {
            // Without the locks, and then once more.
            prealloc = ops.alloc_pages(GFP_HIGHUSER_MOVABLE, 0)
            if prealloc == nil { return -ENOMEM }
        }
    }
    if let unused = prealloc { ops.put_page(unused) }
    return 0
}

/// Linux v5.13, mm/memory.c, copy_pmd_range().
private func copy_pmd_range(_ dst_vma: vm_area_struct, _ src_vma: vm_area_struct) -> Int32 {
    var address = src_vma.vm_start
    while address != src_vma.vm_end {
        let next = pmd_addr_end(address, src_vma.vm_end)
        let error = copy_pmd(dst_vma, src_vma, address, next)
        if error != 0 { return error }
        address = next
    }
    return 0
}

/// One round of the loop of copy_pmd_range().
private func copy_pmd(_ dst_vma: vm_area_struct, _ src_vma: vm_area_struct, _ address: UInt, _ next: UInt) -> Int32 {
    let src_pmd = pmd_offset(src_vma.vm_mm, address)
    let dst_pmd = pmd_offset(dst_vma.vm_mm, address)
    yield_point("pmd", "copy_pmd_range")
    if is_swap_pmd(src_pmd.pointee) || pmd_trans_huge(src_pmd.pointee) {
        BUG_ON(next - address != PMD_SIZE(), "next-addr != HPAGE_PMD_SIZE")
        let error = ops.copy_huge_pmd(dst_vma, src_vma, address)
        if error == -ENOMEM { return error }
        if error == 0 { return 0 }
    }
    if pmd_none(src_pmd.pointee) { return 0 }
    return copy_pte_range(dst_vma, src_vma, dst_pmd, src_pmd, address, next)
}

/// Linux v5.13, mm/memory.c, copy_page_range().  The caller holds the parent's mmap_lock for writing, and flushes
/// its TLBs when all vmas are done.
private func copy_page_range(_ dst_vma: vm_area_struct, _ src_vma: vm_area_struct) -> Int32 {
    // Faults find what is not anonymous again.
    if src_vma.anon_vma == nil { return 0 }
    let src_mm = src_vma.vm_mm
    guard is_cow_mapping(src_vma.vm_flags) else { return copy_pmd_range(dst_vma, src_vma) }

    var range = mmu_notifier_range(
        vma: src_vma, mm: src_mm, start: src_vma.vm_start, end: src_vma.vm_end,
        event: MMU_NOTIFY_PROTECTION_PAGE.rawValue)
    ops.mmu_notifier_invalidate_range_start(&range)
    yield_point("write_protect_seq")
    src_mm.write_protect_seq += 1
    let error = copy_pmd_range(dst_vma, src_vma)
    yield_point("write_protect_seq")
    src_mm.write_protect_seq += 1
    ops.mmu_notifier_invalidate_range_end(&range)
    return error
}
