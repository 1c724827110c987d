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
///
/// It is a macro's worth of code in C as well, so the yield point has the caller's name.
@inline(__always)
public func page_vma_mapped_walk_done(
    _ pvmw: UnsafeMutablePointer<CKernel.page_vma_mapped_walk>, _ function: StaticString = #function
) {
    if let pte = pvmw.pointee.pte { ops.pte_unmap(pte) }
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
func check_pte(_ pvmw: UnsafeMutablePointer<CKernel.page_vma_mapped_walk>) -> Bool {
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

/// Where a step of the walk has come to: a pte, the pmd itself (both with the lock held), or the end.
private enum Place { case pte, pmd, end }

/// Finds the next place where the vma maps the page, and returns with its page table lock held; false,
/// with no lock held, when there is none.  Linux v5.13, mm/page_vma_mapped.c, page_vma_mapped_walk().
private func page_vma_mapped_walk(_ pvmw: UnsafeMutablePointer<CKernel.page_vma_mapped_walk>) -> Bool {
    let page = pvmw.pointee.page
    // The only possible pmd mapping was handed out by the last call.
    if pvmw.pointee.pmd != nil && pvmw.pointee.pte == nil { return not_found(pvmw) }
    // Only a huge page has more than one place.
    let end =
        PageTransCompound(page) ? vma_address_end(page, pvmw.pointee.vma) : pvmw.pointee.address + PAGE_SIZE
    var place = pvmw.pointee.pte == nil ? enter_page_table(pvmw, end) : next_pte(pvmw, end)
    while place == .pte {
        if check_pte(pvmw) { return true }
        place = next_pte(pvmw, end)
    }
    return place == .pmd
}

/// From the pmd to the first pte that may map the page, or to the end of the walk if the pmd itself answers.
/// A huge page that is mapped by ptes may lie in two page tables, of which the first may be gone.
private func enter_page_table(_ pvmw: UnsafeMutablePointer<CKernel.page_vma_mapped_walk>, _ end: UInt) -> Place {
    let mm = pvmw.pointee.vma.vm_mm
    let page = pvmw.pointee.page
    repeat {
        let pmd = pmd_offset(mm, pvmw.pointee.address)
        pvmw.pointee.pmd = pmd
        yield_point("pmd", "page_vma_mapped_walk")
        let pmde = pmd.pointee
        if pmd_trans_huge(pmde) || is_pmd_migration_entry(pmde) {
            let ptl = pmd_lock(mm, pmd, "page_vma_mapped_walk")
            pvmw.pointee.ptl = ptl
            if pmd_trans_huge(pmd.pointee) || !pmd_present(pmd.pointee) {
                if pmd_maps(pmd.pointee, page, pvmw.pointee.flags) { return .pmd }
                _ = not_found(pvmw)
                return .end
            }
            // The huge pmd was split meanwhile: go on with the ptes.
            spin_unlock(ptl, "page_vma_mapped_walk")
            pvmw.pointee.ptl = nil
        } else if !pmd_present(pmde) {
            // zap_huge_pmd() may have cleared the pmd without having lowered the mapcount yet.
            if pvmw.pointee.flags & PVMW_SYNC != 0 && PageTransCompound(page) {
                spin_unlock(pmd_lock(mm, pmd, "page_vma_mapped_walk"), "page_vma_mapped_walk")
            }
            pvmw.pointee.address = (pvmw.pointee.address + PMD_SIZE()) & PMD_MASK()
            continue
        }
        return map_pte(pvmw) ? .pte : next_pte(pvmw, end)
    } while pvmw.pointee.address < end
    return .end
}

/// Whether a huge pmd, or a migration entry in its place, is the page's.
private func pmd_maps(_ pmd: pmd_t, _ page: page, _ flags: UInt) -> Bool {
    let migration = flags & PVMW_MIGRATION != 0
    if pmd_trans_huge(pmd) { return !migration && pmd_page(pmd) === page }
    return migration && is_pmd_migration_entry(pmd) && migration_entry_to_page(pmd_to_swp_entry(pmd)) === page
}

/// Steps to the next pte that is not none, and takes the lock.
private func next_pte(_ pvmw: UnsafeMutablePointer<CKernel.page_vma_mapped_walk>, _ end: UInt) -> Place {
    repeat {
        pvmw.pointee.address += PAGE_SIZE
        if pvmw.pointee.address >= end {
            _ = not_found(pvmw)
            return .end
        }
        if pvmw.pointee.address & (PMD_SIZE() - 1) == 0 {
            page_vma_mapped_walk_done(pvmw)
            pvmw.pointee.ptl = nil
            pvmw.pointee.pte = nil
            return enter_page_table(pvmw, end)
        }
        pvmw.pointee.pte! += 1
        if pvmw.pointee.ptl == nil {
            if pvmw.pointee.flags & PVMW_SYNC != 0 {
                lock_pte(pvmw)
            } else {
                yield_point("pte", "page_vma_mapped_walk")
            }
        }
    } while pte_none(pvmw.pointee.pte!.pointee)
    if pvmw.pointee.ptl == nil { lock_pte(pvmw) }
    return .pte
}

private func lock_pte(_ pvmw: UnsafeMutablePointer<CKernel.page_vma_mapped_walk>) {
    let ptl = pte_lockptr(pvmw.pointee.vma.vm_mm, pvmw.pointee.pmd!)
    pvmw.pointee.ptl = ptl
    spin_lock(ptl, "page_vma_mapped_walk")
}
