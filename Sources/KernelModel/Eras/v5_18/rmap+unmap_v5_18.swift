// SPDX-License-Identifier: GPL-2.0-only
// mm/rmap.c of Linux v5.18-rc1: taking a page out of all page tables, for reclaim (try_to_unmap()) and for migration
// and splitting (try_to_migrate()), each with a walk of its own; and batched TLB flushes that count their batches.
//
// The two functions for one vma are public, with a parameter that says whether they drain this CPU's mlock batch:
// the family mlock-drain compares the kernel with and without these drains, and each of its variants is so a line
// instead of a copy.  What the era installs drains.
//
// The kernel's functions take a folio: the head page here.  try_to_unmap() returns nothing there and its callers look
// at page_mapped(): here, as in older eras, it is the result.
// Left out: hugetlb, hardware poison, zone device pages, pte_unused() (s390 only), soft-dirty bits, arch_unmap_one()
// (sparc only), temporary stacks of exec().

import CKernel
import Simulation

func install_rmap_unmap_v5_18(_ ops: kernel_ops) {
    ops.try_to_unmap = try_to_unmap
    ops.try_to_unmap_one = { try_to_unmap_one($0, $1, $2, $3, drained: true) }
    ops.try_to_migrate = try_to_migrate
    ops.try_to_migrate_one = { try_to_migrate_one($0, $1, $2, $3, drained: true) }
    ops.flush_tlb_batched_pending = flush_tlb_batched_pending
}

// MARK: - Batched TLB flushes

/// Linux v5.18-rc1, mm/rmap.c, set_tlb_ubc_flush_pending().  Left out: what is done before the count overflows.
private func set_tlb_ubc_flush_pending(_ mm: mm_struct, _ writable: Bool) {
    let tlb_ubc: UnsafeMutablePointer<tlbflush_unmap_batch> = current.tlb_ubc
    tlb_ubc.pointee.cpumask |= mm.cpu_bitmap
    tlb_ubc.pointee.mms |= 1 << mm.number
    tlb_ubc.pointee.flush_required = true
    mm.tlb_flush_pending_batches += 1
    if writable { tlb_ubc.pointee.writable = true }
}

/// A batch that is made while the flush runs is flushed for the next time.
/// Linux v5.18-rc1, mm/rmap.c, flush_tlb_batched_pending().
private func flush_tlb_batched_pending(_ mm: mm_struct) {
    yield_point("tlb_flush_batched")
    let (pending, flushed) = (mm.tlb_flush_pending_batches, mm.tlb_flush_flushed_batches)
    if pending == flushed { return }
    ops.flush_tlb_mm_range(mm, 0, TASK_SIZE())
    yield_point("tlb_flush_batched")
    if mm.tlb_flush_pending_batches == pending && mm.tlb_flush_flushed_batches == flushed {
        mm.tlb_flush_flushed_batches = pending
    }
}

// MARK: - try_to_unmap()

/// Linux v5.18-rc1, mm/rmap.c, try_to_unmap_one().
///
/// - Parameter drained: with the drain that b74355078b65 has added.
public func try_to_unmap_one(
    _ page: page, _ vma: vm_area_struct, _ address: UInt, _ arg: UnsafeMutableRawPointer?, drained: Bool
) -> Bool {
    let flags = UInt(bitPattern: arg)
    var pvmw = page_vma_mapped_walk(
        page: page, vma: vma, address: address, pmd: nil, pte: nil, ptl: nil,
        flags: flags & TTU_SYNC != 0 ? PVMW_SYNC : 0)
    var ret = true
    if flags & TTU_SPLIT_HUGE_PMD != 0 { ops.split_huge_pmd_address(vma, address, false, page) }

    var range = mmu_notifier_range(
        vma: vma, mm: vma.vm_mm, start: address, end: vma_address_end(page, vma),
        event: MMU_NOTIFY_CLEAR.rawValue)
    ops.mmu_notifier_invalidate_range_start(&range)

    while ops.page_vma_mapped_walk(&pvmw) {
        VM_BUG_ON_PAGE(pvmw.pte == nil, "!pvmw.pte")
        if flags & TTU_IGNORE_MLOCK == 0 {
            yield_point("vm_flags")
            if vma.vm_flags & VM_LOCKED != 0 {
                // An mlock that was missed.
                mlock_vma_page(page, vma, false)
                page_vma_mapped_walk_done(&pvmw)
                ret = false
                break
            }
        }
        let subpage = pte_page(pvmw.pte!.pointee)
        guard unmap_pte(page, subpage, vma, pvmw.address, pvmw.pte!, flags) else {
            page_vma_mapped_walk_done(&pvmw)
            ret = false
            break
        }
        ops.page_remove_rmap(subpage, vma, false)
        if drained { drain_after_munlock(vma, "try_to_unmap_one") }
        ops.put_page(page)
    }
    ops.mmu_notifier_invalidate_range_end(&range)
    return ret
}

/// The unmapped page, if it was mlocked, is in this CPU's mlock batch now, which holds a reference to it.  Under the
/// page table lock: on the CPU where that was done.
@inline(__always)
func drain_after_munlock(_ vma: vm_area_struct, _ function: StaticString) {
    yield_point("vm_flags", function)
    if vma.vm_flags & VM_LOCKED != 0 { ops.mlock_page_drain(Int32(smp_processor_id())) }
}

/// The part of try_to_unmap_one() that replaces a present pte; false if the page must stay mapped.
private func unmap_pte(
    _ page: page, _ subpage: page, _ vma: vm_area_struct, _ address: UInt, _ pte: UnsafeMutablePointer<pte_t>,
    _ flags: UInt
) -> Bool {
    let pteval: pte_t
    if should_defer_flush(vma.vm_mm, flags) {
        yield_point("pte", "try_to_unmap_one")
        pteval = pte.pointee
        pte.pointee = __pte(0)
        set_tlb_ubc_flush_pending(vma.vm_mm, pte_dirty(pteval))
    } else {
        pteval = ops.ptep_clear_flush(vma, address, pte)
    }
    // From v5.19 on.
    pte_install_uffd_wp_if_needed(vma, address, pte, pteval, "try_to_unmap_one")
    if pte_dirty(pteval) { ops.set_page_dirty(page) }
    if PageAnon(page) { return unmap_anon_pte(page, subpage, vma.vm_mm, address, pte, pteval) }
    // Whoever truncates or frees the page waits for its lock, which the caller holds.
    vma.vm_mm.rss(Int(mm_counter_file(page))).pointee -= 1
    return true
}

/// The anonymous part of unmap_pte(): a swap entry in place of the page, or nothing if it was lazily freed, stayed
/// clean and nobody else refers to it; false if the page must stay mapped.
private func unmap_anon_pte(
    _ page: page, _ subpage: page, _ mm: mm_struct, _ address: UInt, _ pte: UnsafeMutablePointer<pte_t>,
    _ pteval: pte_t
) -> Bool {
    if PageSwapBacked(page) != PageSwapCache(page) {
        ops.mmu_notifier_invalidate_range(mm, address, address + PAGE_SIZE)
        return false
    }
    if !PageSwapBacked(page) {
        // A device may write through a pin: the references first, then the flag.
        yield_point("page_count", "try_to_unmap_one")
        let unreferenced = page_count(page) == 1 + page_mapcount(page)
        yield_point("PageDirty", "try_to_unmap_one")
        if unreferenced && !PageDirty(page) {
            ops.mmu_notifier_invalidate_range(mm, address, address + PAGE_SIZE)
            mm.rss(Int(MM_ANONPAGES.rawValue)).pointee -= 1
            return true
        }
        pte.pointee = pteval
        SetPageSwapBacked(page)
        return false
    }
    let entry = swp_entry_t(val: subpage.private_)
    if ops.swap_duplicate(entry) < 0 {
        pte.pointee = pteval
        return false
    }
    // From v5.19 on.
    let exclusive = PageAnonExclusive(subpage)
    if exclusive && !may_share(subpage, "try_to_unmap_one") {
        ops.swap_free(entry)
        pte.pointee = pteval
        return false
    }
    if list_empty(mm.mmlist) { list_add(mm.mmlist, kernel.mmlist) }
    mm.rss(Int(MM_ANONPAGES.rawValue)).pointee -= 1
    mm.rss(Int(MM_SWAPENTS.rawValue)).pointee += 1
    var swp_pte = swp_entry_to_pte(entry)
    if exclusive { swp_pte = pte_swp_mkexclusive(swp_pte) }
    pte.pointee = pte_uffd_wp(pteval) ? pte_swp_mkuffd_wp(swp_pte) : swp_pte
    ops.mmu_notifier_invalidate_range(mm, address, address + PAGE_SIZE)
    return true
}

/// page_try_share_anon_rmap(), from v5.19 on: false for an exclusive page that is pinned.
private func may_share(_ page: page, _ function: StaticString) -> Bool {
    yield_point("page_maybe_dma_pinned", function)
    return page_try_share_anon_rmap(page) == 0
}

/// Takes the page out of all page tables; true if nothing maps it any more.
/// Linux v5.18-rc1, mm/rmap.c, try_to_unmap().
private func try_to_unmap(_ page: page, _ flags: UInt) -> Bool {
    var rwc = rmap_walk_control(
        arg: UnsafeMutableRawPointer(bitPattern: flags), rmap_one: ops.try_to_unmap_one, done: page_not_mapped,
        anon_lock: ops.page_lock_anon_vma_read, invalid_vma: nil)
    if flags & TTU_RMAP_LOCKED != 0 {
        ops.rmap_walk_locked(page, &rwc)
    } else {
        ops.rmap_walk(page, &rwc)
    }
    yield_point("page_mapped")
    return !page_mapped(page)
}

// MARK: - try_to_migrate()

/// Linux v5.18-rc1, mm/rmap.c, try_to_migrate_one().
///
/// - Parameter drained: with the drain that b74355078b65 has added.
public func try_to_migrate_one(
    _ page: page, _ vma: vm_area_struct, _ address: UInt, _ arg: UnsafeMutableRawPointer?, drained: Bool
) -> Bool {
    let mm = vma.vm_mm
    let flags = UInt(bitPattern: arg)
    // zap_pte_range() may have cleared a pte without having lowered the mapcount yet: TTU_SYNC waits for it.
    var pvmw = page_vma_mapped_walk(
        page: page, vma: vma, address: address, pmd: nil, pte: nil, ptl: nil,
        flags: flags & TTU_SYNC != 0 ? PVMW_SYNC : 0)
    // Only unmap_page() asks for that, to freeze the page.
    if flags & TTU_SPLIT_HUGE_PMD != 0 { ops.split_huge_pmd_address(vma, address, true, page) }

    var range = mmu_notifier_range(
        vma: vma, mm: mm, start: address, end: vma_address_end(page, vma), event: MMU_NOTIFY_CLEAR.rawValue)
    ops.mmu_notifier_invalidate_range_start(&range)
    var ret = true

    while ops.page_vma_mapped_walk(&pvmw) {
        guard let pte = pvmw.pte else {
            if ops.set_pmd_migration_entry(&pvmw, page) == 0 { continue }
            page_vma_mapped_walk_done(&pvmw)
            ret = false
            break
        }
        let subpage = pte_page(pte.pointee)
        let pteval = ops.ptep_clear_flush(vma, pvmw.address, pte)
        if pte_dirty(pteval) { ops.set_page_dirty(page) }
        // From v5.19 on.
        let exclusive = PageAnon(page) && PageAnonExclusive(subpage)
        if exclusive && !may_share(subpage, "try_to_migrate_one") {
            pte.pointee = pteval
            page_vma_mapped_walk_done(&pvmw)
            ret = false
            break
        }
        var entry = swp_entry_to_pte(make_migration_entry_for(subpage, pte_write(pteval), exclusive))
        if pte_uffd_wp(pteval) { entry = pte_swp_mkuffd_wp(entry) }
        pte.pointee = entry

        ops.page_remove_rmap(subpage, vma, false)
        if drained { drain_after_munlock(vma, "try_to_migrate_one") }
        ops.put_page(page)
    }
    ops.mmu_notifier_invalidate_range_end(&range)
    return ret
}

/// Replaces all mappings of the page by migration entries.  Linux v5.18-rc1, mm/rmap.c, try_to_migrate().
private func try_to_migrate(_ page: page, _ flags: UInt) {
    if flags & ~(TTU_RMAP_LOCKED | TTU_SPLIT_HUGE_PMD | TTU_SYNC) != 0 {
        WARN_ON("flags & ~(TTU_RMAP_LOCKED | TTU_SPLIT_HUGE_PMD | TTU_SYNC)")
        return
    }
    var rwc = rmap_walk_control(
        arg: UnsafeMutableRawPointer(bitPattern: flags), rmap_one: ops.try_to_migrate_one, done: page_not_mapped,
        anon_lock: ops.page_lock_anon_vma_read, invalid_vma: nil)
    if flags & TTU_RMAP_LOCKED != 0 {
        ops.rmap_walk_locked(page, &rwc)
    } else {
        ops.rmap_walk(page, &rwc)
    }
}
