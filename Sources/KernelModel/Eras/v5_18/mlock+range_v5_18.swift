// SPDX-License-Identifier: GPL-2.0-only
// mm/mlock.c of Linux v5.18-rc1, continued: mlock and munlock of what a range maps, by a walk of its page tables.
//
// Left out: hugetlb, gate, DAX and secretmem vmas (none here).

import CKernel
import Simulation

func install_mlock_range_v5_18(_ ops: kernel_ops) {
    ops.mlock_fixup = mlock_fixup
}

private func mlock_or_munlock(_ page: page, _ vma: vm_area_struct) {
    if vma.vm_flags & VM_LOCKED != 0 { ops.mlock_page(page) } else { ops.munlock_page(page) }
}

/// What the pmd maps; false if the walk must look at the pmd again.
/// Linux v5.18-rc1, mm/mlock.c, mlock_pte_range().
private func mlock_pte_range(
    _ vma: vm_area_struct, _ pmd: UnsafeMutablePointer<pmd_t>, _ start: UInt, _ end: UInt
) -> Bool {
    if let ptl = ops.pmd_trans_huge_lock(pmd, vma) {
        if pmd_present(pmd.pointee) { mlock_or_munlock(pmd_page(pmd.pointee), vma) }
        spin_unlock(ptl)
        might_sleep()
        return true
    }
    // From v6.5 on: a table that has gone, or a huge page that truncation has just unmapped.
    guard let (first, ptl) = pte_offset_map_lock(vma.vm_mm, pmd, start) else { return false }
    var pte = first
    for _ in stride(from: start, to: end, by: Int(PAGE_SIZE)) {
        if pte_present(pte.pointee) {
            let page = pte_page(pte.pointee)
            if !PageTransCompound(page) { mlock_or_munlock(page, vma) }
        }
        pte += 1
    }
    pte_unmap_unlock(first, ptl)
    might_sleep()
    return true
}

/// Linux v5.18-rc1, mm/pagewalk.c, walk_page_range(), with mlock_pte_range() as its pmd_entry().
private func walk_page_range(_ vma: vm_area_struct, _ start: UInt, _ end: UInt) {
    var address = start
    while address < end {
        let pmd = pmd_offset(vma.vm_mm, address)
        let next = pmd_addr_end(address, end)
        yield_point("pmd")
        if pmd_none(pmd.pointee) || mlock_pte_range(vma, pmd, address, next) { address = next }
    }
}

/// Sets the flags of a vma that becomes VM_LOCKED, or was, and mlocks or munlocks what it maps.
///
/// The walk counts each page that is mapped; so rmap, which maps a page again or finds one that was missed, must
/// not count it too as long as VM_IO is there (see mlock_vma_page()).
/// Linux v5.18-rc1, mm/mlock.c, mlock_vma_pages_range().
private func mlock_vma_pages_range(_ vma: vm_area_struct, _ start: UInt, _ end: UInt, _ newflags: UInt) {
    vma_start_write(vma)
    yield_point("vm_flags")
    vma.vm_flags = newflags & VM_LOCKED != 0 ? newflags | VM_IO : newflags
    ops.lru_add_drain()
    walk_page_range(vma, start, end)
    ops.lru_add_drain()
    if newflags & VM_LOCKED != 0 {
        yield_point("vm_flags")
        vma.vm_flags = newflags & ~VM_IO
    }
}

/// Changes VM_LOCKED of a part of one vma, splitting and merging as needed; `prev` follows.
/// Linux v5.18-rc1, mm/mlock.c, mlock_fixup().
private func mlock_fixup(
    _ area: vm_area_struct, _ prev: UnsafeMutablePointer<vm_area_struct?>, _ start: UInt, _ end: UInt,
    _ newflags: UInt
) -> Int32 {
    var vma = area
    let mm = vma.vm_mm
    let oldflags = vma.vm_flags
    defer { prev.pointee = vma }
    if newflags == oldflags || oldflags & VM_SPECIAL != 0 { return 0 }
    let pgoff = vma.vm_pgoff + (start - vma.vm_start) >> UInt(PAGE_SHIFT)
    if let merged = ops.vma_merge(mm, prev.pointee, start, end, newflags, vma.anon_vma, vma.vm_file, pgoff) {
        vma = merged
    } else {
        if start != vma.vm_start {
            let ret = ops.split_vma(mm, vma, start, true)
            if ret != 0 { return ret }
        }
        if end != vma.vm_end {
            let ret = ops.split_vma(mm, vma, end, false)
            if ret != 0 { return ret }
        }
    }
    let nr_pages = (end - start) >> UInt(PAGE_SHIFT)
    if newflags & VM_LOCKED == 0 {
        mm.locked_vm &-= nr_pages
    } else if oldflags & VM_LOCKED == 0 {
        mm.locked_vm += nr_pages
    }
    // A page unmapped just after VM_LOCKED is set comes back when the range is populated.
    if newflags & oldflags & VM_LOCKED != 0 {
        // Its pages are counted already.
        vma_start_write(vma)
        yield_point("vm_flags")
        vma.vm_flags = newflags
    } else {
        mlock_vma_pages_range(vma, start, end, newflags)
    }
    return 0
}
