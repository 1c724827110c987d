// SPDX-License-Identifier: GPL-2.0-only
// mm/page_vma_mapped.c of Linux v6.5: where in one vma a page is mapped, by page tables that may vanish.
//
// Left out: what page_vma_mapped.swift names.  The model names a page where v6.5 names a range of pfns.

import CKernel
import Simulation

func install_page_vma_mapped_v6_5(_ ops: kernel_ops) {
    ops.page_vma_mapped_walk = page_vma_mapped_walk
}

private typealias Walk = UnsafeMutablePointer<CKernel.page_vma_mapped_walk>

/// Linux v6.5, mm/page_vma_mapped.c, not_found().
private func not_found(_ pvmw: Walk) -> Bool {
    page_vma_mapped_walk_done(pvmw)
    return false
}

/// Looks the pte up, and takes its lock if it may be the one.  Otherwise `ptl` is the lock of that table, which need
/// not be the one that the pmd leads to by the time it is taken.
/// Linux v6.5, mm/page_vma_mapped.c, map_pte().
private func map_pte(_ pvmw: Walk, _ ptl: inout spinlock_t?) -> Bool {
    let mm = pvmw.pointee.vma.vm_mm
    if pvmw.pointee.flags & PVMW_SYNC != 0 {
        let mapped = pte_offset_map_lock(mm, pvmw.pointee.pmd!, pvmw.pointee.address)
        (pvmw.pointee.pte, pvmw.pointee.ptl) = (mapped?.pte, mapped?.ptl)
        return mapped != nil
    }
    let mapped = pte_offset_map_nolock(mm, pvmw.pointee.pmd!, pvmw.pointee.address)
    (pvmw.pointee.pte, ptl) = (mapped?.pte, mapped?.ptl)
    guard let (pte, lock) = mapped else { return false }
    yield_point("pte")
    if pvmw.pointee.flags & PVMW_MIGRATION != 0 {
        if !is_swap_pte(pte.pointee) { return false }
    } else if !pte_present(pte.pointee) {
        return false
    }
    pvmw.pointee.ptl = lock
    spin_lock(lock)
    return true
}

/// Finds the next place where the vma maps the page, and returns with its page table lock held; false,
/// with no lock held, when there is none.  Linux v6.5, mm/page_vma_mapped.c, page_vma_mapped_walk().
private func page_vma_mapped_walk(_ pvmw: Walk) -> Bool {
    let page = pvmw.pointee.page
    // The only possible pmd mapping was handed out by the last call.
    if pvmw.pointee.pmd != nil && pvmw.pointee.pte == nil { return not_found(pvmw) }
    // Only a huge page has more than one place.
    let end = PageTransCompound(page) ? vma_address_end(page, pvmw.pointee.vma) : pvmw.pointee.address + PAGE_SIZE
    // The last call has returned with the lock held.
    var ptl: spinlock_t?
    var on_pte = pvmw.pointee.pte != nil
    while true {
        if on_pte {
            switch next_pte(pvmw, end, ptl) {
            case .pte: if check_pte(pvmw) { return true }
            case .restart: on_pte = false
            case .end: return not_found(pvmw)
            }
            continue
        }
        if pvmw.pointee.address >= end { return false }
        switch look_at_pmd(pvmw) {
        case .maps_page: return true
        case .maps_other: return not_found(pvmw)
        case .empty: continue
        case .table: break
        }
        if map_pte(pvmw, &ptl) {
            if check_pte(pvmw) { return true }
        } else if pvmw.pointee.pte == nil {
            // The table has gone: look again (restart).
            continue
        }
        on_pte = true
    }
}

/// What a pmd says; with its lock held where it answers for the page.
private enum PmdState { case maps_page, maps_other, empty, table }

/// The part of page_vma_mapped_walk() above the ptes, with check_pmd() and step_forward().
private func look_at_pmd(_ pvmw: Walk) -> PmdState {
    let page = pvmw.pointee.page
    let mm = pvmw.pointee.vma.vm_mm
    let pmd = pmd_offset(mm, pvmw.pointee.address)
    pvmw.pointee.pmd = pmd
    yield_point("pmd", "page_vma_mapped_walk")
    let pmde = pmd.pointee
    if pmd_trans_huge(pmde) || is_pmd_migration_entry(pmde) {
        let ptl = pmd_lock(mm, pmd, "page_vma_mapped_walk")
        pvmw.pointee.ptl = ptl
        let migration = pvmw.pointee.flags & PVMW_MIGRATION != 0
        if !pmd_present(pmd.pointee) {
            let entry = pmd_to_swp_entry(pmd.pointee)
            let found = migration && is_migration_entry(entry) && migration_entry_to_page(entry) === page
            return found ? .maps_page : .maps_other
        }
        if pmd_trans_huge(pmd.pointee) {
            return !migration && pmd_page(pmd.pointee) === page ? .maps_page : .maps_other
        }
        // The huge pmd was split meanwhile: go on with the ptes.
        spin_unlock(ptl, "page_vma_mapped_walk")
        pvmw.pointee.ptl = nil
    } else if !pmd_present(pmde) {
        // zap_huge_pmd() may have cleared the pmd without having lowered the mapcount yet.
        if pvmw.pointee.flags & PVMW_SYNC != 0 && PageTransCompound(page)
            && transhuge_vma_suitable(pvmw.pointee.vma, pvmw.pointee.address & PMD_MASK())
        {
            spin_unlock(pmd_lock(mm, pmd, "page_vma_mapped_walk"), "page_vma_mapped_walk")
        }
        pvmw.pointee.address = (pvmw.pointee.address + PMD_SIZE()) & PMD_MASK()
        return .empty
    }
    return .table
}

/// Where a step from pte to pte has come to.
private enum Step { case pte, restart, end }

/// Steps to the next pte that is not none, and takes the lock `ptl` if none is held: the loop at next_pte in
/// page_vma_mapped_walk().
private func next_pte(_ pvmw: Walk, _ end: UInt, _ ptl: spinlock_t?) -> Step {
    repeat {
        pvmw.pointee.address += PAGE_SIZE
        if pvmw.pointee.address >= end { return .end }
        if pvmw.pointee.address & (PMD_SIZE() - 1) == 0 {
            if let held = pvmw.pointee.ptl {
                spin_unlock(held, "page_vma_mapped_walk")
                pvmw.pointee.ptl = nil
            }
            ops.pte_unmap(pvmw.pointee.pte!)
            pvmw.pointee.pte = nil
            return .restart
        }
        pvmw.pointee.pte! += 1
        if pvmw.pointee.ptl == nil { yield_point("pte", "page_vma_mapped_walk") }
    } while pte_none(pvmw.pointee.pte!.pointee)
    if pvmw.pointee.ptl == nil {
        pvmw.pointee.ptl = ptl
        spin_lock(ptl!, "page_vma_mapped_walk")
    }
    return .pte
}
