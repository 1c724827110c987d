// SPDX-License-Identifier: GPL-2.0-only
// mm/page_vma_mapped.c of Linux v5.13: where in one vma a page is mapped.
//
// Modelled: pmd- and pte-mapped pages, migration entries of both, PVMW_SYNC.
// Left out: hugetlb (its own page tables), device-private and -exclusive entries (no such memory here),
// the levels above the pmd (folded).

import CKernel
import Simulation

func install_page_vma_mapped(_ ops: kernel_ops) {
    ops.page_vma_mapped_walk = page_vma_mapped_walk
}

/// Drops the page table lock of a walk that ends early.  Linux v5.13, include/linux/rmap.h.
@inline(__always)
public func page_vma_mapped_walk_done(
    _ pvmw: UnsafeMutablePointer<CKernel.page_vma_mapped_walk>, _ function: StaticString = #function
) {
    if let ptl = pvmw.pointee.ptl { spin_unlock(ptl, function) }
}

/// Linux v5.13, mm/page_vma_mapped.c, not_found().
private func not_found(_ pvmw: UnsafeMutablePointer<CKernel.page_vma_mapped_walk>) -> Bool {
    page_vma_mapped_walk_done(pvmw)
    return false
}

/// Linux v5.13, mm/page_vma_mapped.c, map_pte(): the unlocked look at the pte is a race by design.
private func map_pte(_ pvmw: UnsafeMutablePointer<CKernel.page_vma_mapped_walk>) -> Bool {
    let pte = pte_offset_map(pvmw.pointee.pmd!, pvmw.pointee.address)
    pvmw.pointee.pte = pte
    if pvmw.pointee.flags & PVMW_SYNC == 0 {
        yield_point("pte")
        if pvmw.pointee.flags & PVMW_MIGRATION != 0 {
            if !is_swap_pte(pte.pointee) { return false }
        } else if !pte_present(pte.pointee) {
            return false
        }
    }
    let ptl = pte_lockptr(pvmw.pointee.vma.vm_mm, pvmw.pointee.pmd!)
    pvmw.pointee.ptl = ptl
    spin_lock(ptl)
    return true
}

/// Whether the pte maps the page, or one of a huge page's.  Linux v5.13, mm/page_vma_mapped.c, check_pte().
private func check_pte(_ pvmw: UnsafeMutablePointer<CKernel.page_vma_mapped_walk>) -> Bool {
    let pte = pvmw.pointee.pte!.pointee
    noteCost(EVENT_pte_visit, UInt(pvmw.pointee.vma.vm_mm.number), 1)
    let pfn: UInt
    if pvmw.pointee.flags & PVMW_MIGRATION != 0 {
        guard is_swap_pte(pte), is_migration_entry(pte_to_swp_entry(pte)) else { return false }
        pfn = swp_offset(pte_to_swp_entry(pte))
    } else {
        guard pte_present(pte) else { return false }
        pfn = pte_pfn(pte)
    }
    let first = page_to_pfn(pvmw.pointee.page)
    return pfn >= first && pfn < first + UInt(thp_nr_pages(pvmw.pointee.page))
}

/// The end of the page's mapping in the vma.  Linux v5.13, mm/internal.h, vma_address_end().
func vma_address_end(_ page: page, _ vma: vm_area_struct) -> UInt {
    let pgoff = page_to_pgoff(page) + UInt(thp_nr_pages(page))
    let address = vma.vm_start + (pgoff &- vma.vm_pgoff) << UInt(PAGE_SHIFT)
    return address < vma.vm_start || address > vma.vm_end ? vma.vm_end : address
}

/// Finds the next place where the vma maps the page, and returns with its page table lock held; false,
/// with no lock held, when there is none.  Linux v5.13, mm/page_vma_mapped.c, page_vma_mapped_walk().
private func page_vma_mapped_walk(_ pvmw: UnsafeMutablePointer<CKernel.page_vma_mapped_walk>) -> Bool {
    let page = pvmw.pointee.page
    // The only possible pmd mapping was handed out by the last call.
    if pvmw.pointee.pmd != nil && pvmw.pointee.pte == nil { return not_found(pvmw) }
    let end = vma_address_end(page, pvmw.pointee.vma)
    if pvmw.pointee.pte == nil {
        switch enter_page_table(pvmw) {
        case .found: return true
        case .notFound: return false
        case .table: break
        }
    } else if !next_pte(pvmw, end) {
        return false
    }
    while true {
        if pvmw.pointee.ptl != nil && check_pte(pvmw) { return true }
        if !next_pte(pvmw, end) { return false }
    }
}

private enum Entered { case found, notFound, table }

/// From the pmd to the page table, or to the end of the walk if the pmd itself answers.
private func enter_page_table(_ pvmw: UnsafeMutablePointer<CKernel.page_vma_mapped_walk>) -> Entered {
    let mm = pvmw.pointee.vma.vm_mm
    let pmd = pmd_offset(mm, pvmw.pointee.address)
    pvmw.pointee.pmd = pmd
    yield_point("pmd", "page_vma_mapped_walk")
    let pmde = pmd.pointee
    if pmd_trans_huge(pmde) || is_pmd_migration_entry(pmde) {
        let ptl = pmd_lockptr(mm, pmd)
        pvmw.pointee.ptl = ptl
        spin_lock(ptl, "page_vma_mapped_walk")
        if pmd_trans_huge(pmd.pointee) {
            let wanted = pvmw.pointee.flags & PVMW_MIGRATION == 0 && pmd_page(pmd.pointee) === pvmw.pointee.page
            return wanted ? .found : not_found(pvmw) ? .found : .notFound
        }
        if !pmd_present(pmd.pointee) {
            let wanted =
                pvmw.pointee.flags & PVMW_MIGRATION != 0 && is_pmd_migration_entry(pmd.pointee)
                && migration_entry_to_page(pmd_to_swp_entry(pmd.pointee)) === pvmw.pointee.page
            return wanted ? .found : not_found(pvmw) ? .found : .notFound
        }
        // The huge pmd was split meanwhile: go on with the ptes.
        spin_unlock(ptl, "page_vma_mapped_walk")
        pvmw.pointee.ptl = nil
    } else if !pmd_present(pmde) {
        // zap_huge_pmd() may have cleared the pmd without having lowered the mapcount yet.
        if pvmw.pointee.flags & PVMW_SYNC != 0 && PageTransCompound(pvmw.pointee.page) {
            let ptl = pmd_lockptr(mm, pmd)
            spin_lock(ptl, "page_vma_mapped_walk")
            spin_unlock(ptl, "page_vma_mapped_walk")
        }
        return .notFound
    }
    _ = map_pte(pvmw)
    return .table
}

/// Steps to the next pte of a huge page that is not none, and takes the lock; false at the end.
private func next_pte(_ pvmw: UnsafeMutablePointer<CKernel.page_vma_mapped_walk>, _ end: UInt) -> Bool {
    // Only a huge page has more than one place.
    guard PageTransHuge(pvmw.pointee.page) else { return not_found(pvmw) }
    repeat {
        pvmw.pointee.address += PAGE_SIZE
        if pvmw.pointee.address >= end { return not_found(pvmw) }
        if pvmw.pointee.address & (PMD_SIZE() - 1) == 0 {
            page_vma_mapped_walk_done(pvmw, "page_vma_mapped_walk")
            pvmw.pointee.ptl = nil
            pvmw.pointee.pte = nil
            switch enter_page_table(pvmw) {
            case .found: return true
            case .notFound: return false
            case .table: return true
            }
        }
        pvmw.pointee.pte! += 1
    } while pte_none(pvmw.pointee.pte!.pointee)
    if pvmw.pointee.ptl == nil {
        let ptl = pte_lockptr(pvmw.pointee.vma.vm_mm, pvmw.pointee.pmd!)
        pvmw.pointee.ptl = ptl
        spin_lock(ptl, "page_vma_mapped_walk")
    }
    return true
}
