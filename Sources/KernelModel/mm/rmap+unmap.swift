// SPDX-License-Identifier: GPL-2.0-only
// mm/rmap.c of Linux v5.13: taking a page out of all page tables, for reclaim, migration and splitting,
// with its batched TLB flushes.
//
// Left out: hugetlb, hardware poison, zone device pages, pte_unused() (s390 only), soft-dirty bits (nothing
// here reads them), arch_unmap_one() (sparc only).

import CKernel
import Simulation

func install_rmap_unmap(_ ops: kernel_ops) {
    ops.try_to_unmap = try_to_unmap
    ops.try_to_unmap_one = try_to_unmap_one
    ops.try_to_unmap_flush = try_to_unmap_flush
    ops.try_to_unmap_flush_dirty = try_to_unmap_flush_dirty
    ops.flush_tlb_batched_pending = flush_tlb_batched_pending
}

// MARK: - Batched TLB flushes

/// Linux v5.13, mm/rmap.c, try_to_unmap_flush().
private func try_to_unmap_flush() {
    let tlb_ubc: UnsafeMutablePointer<tlbflush_unmap_batch> = current.tlb_ubc
    if !tlb_ubc.pointee.flush_required { return }
    ops.arch_tlbbatch_flush(tlb_ubc)
    tlb_ubc.pointee = tlbflush_unmap_batch(cpumask: 0, flush_required: false, writable: false, mms: 0)
}

/// Flushes if a pte that was cleared had been dirty.  Linux v5.13, mm/rmap.c, try_to_unmap_flush_dirty().
private func try_to_unmap_flush_dirty() {
    if current.tlb_ubc.pointee.writable { ops.try_to_unmap_flush() }
}

/// Linux v5.13, mm/rmap.c, set_tlb_ubc_flush_pending().
private func set_tlb_ubc_flush_pending(_ mm: mm_struct, _ writable: Bool) {
    let tlb_ubc: UnsafeMutablePointer<tlbflush_unmap_batch> = current.tlb_ubc
    tlb_ubc.pointee.cpumask |= mm.cpu_bitmap
    tlb_ubc.pointee.mms |= 1 << mm.number
    tlb_ubc.pointee.flush_required = true
    mm.tlb_flush_batched = true
    if writable { tlb_ubc.pointee.writable = true }
}

/// Reclaim may defer the flush if another CPU would have to be interrupted for it.
/// Linux v5.13, mm/rmap.c, should_defer_flush().
func should_defer_flush(_ mm: mm_struct, _ flags: UInt) -> Bool {
    if flags & TTU_BATCH_FLUSH == 0 { return false }
    preempt_disable()
    let other = mm.cpu_bitmap & ~(1 << current.cpu) != 0
    preempt_enable()
    return other
}

/// Waits out a flush that reclaim deferred, before ptes of the mm are changed with an eye on them only.
/// Linux v5.13, mm/rmap.c, flush_tlb_batched_pending().
private func flush_tlb_batched_pending(_ mm: mm_struct) {
    yield_point("tlb_flush_batched")
    if mm.tlb_flush_batched {
        ops.flush_tlb_mm_range(mm, 0, TASK_SIZE())
        mm.tlb_flush_batched = false
    }
}

// MARK: - try_to_unmap()

/// What became of one mapping.
private enum Unmapped { case done, stop }

/// Linux v5.13, mm/rmap.c, try_to_unmap_one().
private func try_to_unmap_one(
    _ page: page, _ vma: vm_area_struct, _ address: UInt, _ arg: UnsafeMutableRawPointer?
) -> Bool {
    let mm = vma.vm_mm
    let flags = UInt(bitPattern: arg)
    var pvmw = page_vma_mapped_walk(
        page: page, vma: vma, address: address, pmd: nil, pte: nil, ptl: nil,
        flags: flags & TTU_SYNC != 0 ? PVMW_SYNC : 0)
    var ret = true

    if flags & TTU_MUNLOCK != 0 {
        // Munlock has nothing to gain from a vma that is not locked.
        yield_point("vm_flags")
        if vma.vm_flags & VM_LOCKED == 0 { return true }
    }

    if flags & TTU_SPLIT_HUGE_PMD != 0 {
        ops.split_huge_pmd_address(vma, address, flags & TTU_SPLIT_FREEZE != 0, page)
    }

    var range = mmu_notifier_range(
        vma: vma, mm: mm, start: address, end: vma_address_end(page, vma), event: MMU_NOTIFY_CLEAR.rawValue)
    ops.mmu_notifier_invalidate_range_start(&range)

    while ops.page_vma_mapped_walk(&pvmw) {
        if pvmw.pte == nil && flags & TTU_MIGRATION != 0 {
            _ = ops.set_pmd_migration_entry(&pvmw, page)
            continue
        }
        if flags & TTU_IGNORE_MLOCK == 0 {
            yield_point("vm_flags")
            if vma.vm_flags & VM_LOCKED != 0 {
                // A huge page mapped by ptes is never mlocked.
                if !PageTransCompound(page) { ops.mlock_vma_page(page) }
                ret = false
                page_vma_mapped_walk_done(&pvmw)
                break
            }
            if flags & TTU_MUNLOCK != 0 { continue }
        }
        VM_BUG_ON_PAGE(pvmw.pte == nil, "!pvmw.pte")
        if unmap_pte(page, vma, pvmw.address, pvmw.pte!, flags) == .stop {
            ret = false
            page_vma_mapped_walk_done(&pvmw)
            break
        }
    }
    ops.mmu_notifier_invalidate_range_end(&range)
    return ret
}

/// Replaces one present pte by what `flags` ask for, under its page table lock.
private func unmap_pte(
    _ page: page, _ vma: vm_area_struct, _ address: UInt, _ pte: UnsafeMutablePointer<pte_t>, _ flags: UInt
) -> Unmapped {
    let mm = vma.vm_mm
    let subpage = pte_page(pte.pointee)
    let pteval: pte_t
    if should_defer_flush(mm, flags) {
        yield_point("pte", "try_to_unmap_one")
        pteval = pte.pointee
        pte.pointee = __pte(0)
        set_tlb_ubc_flush_pending(mm, pte_dirty(pteval))
    } else {
        pteval = ops.ptep_clear_flush(vma, address, pte)
    }
    pte_install_uffd_wp_if_needed(vma, address, pte, pteval, "try_to_unmap_one")
    if pte_dirty(pteval) { ops.set_page_dirty(page) }

    if flags & (TTU_MIGRATION | TTU_SPLIT_FREEZE) != 0 {
        let entry = swp_entry_to_pte(make_migration_entry(subpage, pte_write(pteval)))
        pte.pointee = pte_uffd_wp(pteval) ? pte_swp_mkuffd_wp(entry) : entry
    } else if PageAnon(page) {
        guard unmap_anon_pte(page, subpage, vma, address, pte, pteval) else { return .stop }
    } else {
        // Whoever truncates or frees the page waits for its lock, which the caller holds.
        mm.rss(Int(mm_counter_file(page))).pointee -= 1
    }
    ops.page_remove_rmap(subpage, vma, false)
    ops.put_page(page)
    return .done
}

/// The anonymous part of unmap_pte(): a swap entry in place of the page, or nothing if it was lazily
/// freed and stayed clean; false if the page must stay mapped.
private func unmap_anon_pte(
    _ page: page, _ subpage: page, _ vma: vm_area_struct, _ address: UInt, _ pte: UnsafeMutablePointer<pte_t>,
    _ pteval: pte_t
) -> Bool {
    let mm = vma.vm_mm
    if PageSwapBacked(page) != PageSwapCache(page) {
        ops.mmu_notifier_invalidate_range(mm, address, address + PAGE_SIZE)
        return false
    }
    if !PageSwapBacked(page) {
        yield_point("PageDirty", "try_to_unmap_one")
        if !PageDirty(page) {
            ops.mmu_notifier_invalidate_range(mm, address, address + PAGE_SIZE)
            mm.rss(Int(MM_ANONPAGES.rawValue)).pointee -= 1
            return true
        }
        // Written to since MADV_FREE: it stays.
        pte.pointee = pteval
        SetPageSwapBacked(page)
        return false
    }
    let entry = swp_entry_t(val: subpage.private_)
    if ops.swap_duplicate(entry) < 0 {
        pte.pointee = pteval
        return false
    }
    if list_empty(mm.mmlist) { list_add(mm.mmlist, kernel.mmlist) }
    mm.rss(Int(MM_ANONPAGES.rawValue)).pointee -= 1
    mm.rss(Int(MM_SWAPENTS.rawValue)).pointee += 1
    let swp_pte = swp_entry_to_pte(entry)
    pte.pointee = pte_uffd_wp(pteval) ? pte_swp_mkuffd_wp(swp_pte) : swp_pte
    ops.mmu_notifier_invalidate_range(mm, address, address + PAGE_SIZE)
    return true
}

/// Takes the page out of all page tables; true if nothing maps it any more.
/// Linux v5.13, mm/rmap.c, try_to_unmap().
private func try_to_unmap(_ page: page, _ flags: UInt) -> Bool {
    var rwc = rmap_walk_control(
        arg: UnsafeMutableRawPointer(bitPattern: flags), rmap_one: ops.try_to_unmap_one, done: page_not_mapped,
        anon_lock: ops.page_lock_anon_vma_read, invalid_vma: nil)
    if flags & TTU_RMAP_LOCKED != 0 {
        ops.rmap_walk_locked(page, &rwc)
    } else {
        ops.rmap_walk(page, &rwc)
    }
    yield_point("mapcount")
    return page_mapcount(page) == 0
}
