// SPDX-License-Identifier: GPL-2.0-only
// mm/mremap.c of Linux v5.18-rc1 and v6.5: moving ptes, huge pmds and whole page tables.
//
// A whole table moves under the rmap locks (97113eb39fa7, v5.14), or else a walk would find it at neither address or
// flush the wrong one.  From v6.5 on (a5be621ee292) page tables may be gone when their ptes are to be moved.
// Left out: moves of whole pmd tables (the level above is folded), soft-dirty.

import CKernel
import Simulation

func install_mremap_move_v5_18(_ ops: kernel_ops) {
    ops.move_page_tables = move_page_tables
}

/// False: there is no page table to move from, or none to move to.  Linux v6.5, mm/mremap.c, move_ptes().
private func move_ptes(
    _ vma: vm_area_struct, _ old_pmd: UnsafeMutablePointer<pmd_t>, _ old_addr: UInt, _ old_end: UInt,
    _ new_vma: vm_area_struct, _ new_pmd: UnsafeMutablePointer<pmd_t>, _ new_addr: UInt, _ need_rmap_locks: Bool
) -> Bool {
    if need_rmap_locks { take_rmap_locks(vma) }
    let moved = move_ptes_locked(vma, old_pmd, old_addr, old_end, new_pmd, new_addr)
    if need_rmap_locks { drop_rmap_locks(vma) }
    return moved
}

/// The part of move_ptes() under the rmap locks, where they are needed.
private func move_ptes_locked(
    _ vma: vm_area_struct, _ old_pmd: UnsafeMutablePointer<pmd_t>, _ old_start: UInt, _ old_end: UInt,
    _ new_pmd: UnsafeMutablePointer<pmd_t>, _ new_start: UInt
) -> Bool {
    let mm = vma.vm_mm
    // mmap_lock for writing keeps two tasks from taking the two locks in opposite orders.
    guard let old = pte_offset_map_lock(mm, old_pmd, old_start, "move_ptes") else { return false }
    guard let new = pte_offset_map_nolock(mm, new_pmd, new_start, "move_ptes") else {
        pte_unmap_unlock(old.pte, old.ptl, "move_ptes")
        return false
    }
    if new.ptl !== old.ptl { spin_lock(new.ptl, subclass: 1, "move_ptes") }
    ops.flush_tlb_batched_pending(mm)
    var force_flush = false
    for index in 0..<Int((old_end - old_start) >> UInt(PAGE_SHIFT)) {
        let offset = UInt(index) << UInt(PAGE_SHIFT)
        noteCost(EVENT_pte_visit, UInt(mm.number), 1)
        if pte_none((old.pte + index).pointee) { continue }
        let pte = ptep_get_and_clear(mm, old_start + offset, old.pte + index, "move_ptes")
        // The TLB is flushed before either lock is dropped: the old one keeps page_mkclean() away, the
        // new one keeps the page while the old translation lives.
        if pte_present(pte) { force_flush = true }
        set_pte_at(mm, new_start + offset, new.pte + index, pte, "move_ptes")
    }
    if force_flush { flush_tlb_range(vma, old_start, old_end) }
    if new.ptl !== old.ptl { spin_unlock(new.ptl, "move_ptes") }
    ops.pte_unmap(new.pte)
    pte_unmap_unlock(old.pte, old.ptl, "move_ptes")
    return true
}

/// Moves a whole page table.  Whether there still is one is not asked: v6.5 assumes that nothing takes a table away
/// while mmap_lock is held for writing.  Linux v6.5, mm/mremap.c, move_normal_pmd().
private func move_normal_pmd(
    _ vma: vm_area_struct, _ old_addr: UInt, _ new_addr: UInt, _ old_pmd: UnsafeMutablePointer<pmd_t>,
    _ new_pmd: UnsafeMutablePointer<pmd_t>
) -> Bool {
    // free_pgtables() has released what was there.
    if !pmd_none(new_pmd.pointee) {
        WARN_ON("WARN_ON_ONCE(!pmd_none(*new_pmd))")
        return false
    }
    let mm = vma.vm_mm
    let old_ptl = pmd_lock(mm, old_pmd)
    let new_ptl = pmd_lockptr(mm, new_pmd)
    if new_ptl !== old_ptl { spin_lock(new_ptl, subclass: 1) }
    let pmd = old_pmd.pointee
    pmd_clear(old_pmd)
    BUG_ON(!pmd_none(new_pmd.pointee), "VM_BUG_ON(!pmd_none(*new_pmd))")
    pmd_populate(mm, new_pmd, pmd_page_table(pmd))
    flush_tlb_range(vma, old_addr, old_addr + PMD_SIZE())
    if new_ptl !== old_ptl { spin_unlock(new_ptl) }
    spin_unlock(old_ptl)
    return true
}

/// Moves what a pmd leads to in one go.  Linux v6.5, mm/mremap.c, move_pgt_entry().
private func move_pgt_entry(
    huge: Bool, _ vma: vm_area_struct, _ old_addr: UInt, _ new_addr: UInt,
    _ old_pmd: UnsafeMutablePointer<pmd_t>, _ new_pmd: UnsafeMutablePointer<pmd_t>, _ need_rmap_locks: Bool
) -> Bool {
    if need_rmap_locks { take_rmap_locks(vma) }
    let moved =
        huge
        ? ops.move_huge_pmd(vma, old_addr, new_addr, old_pmd, new_pmd)
        : move_normal_pmd(vma, old_addr, new_addr, old_pmd, new_pmd)
    if need_rmap_locks { drop_rmap_locks(vma) }
    return moved
}

/// Returns how much of `len` was moved before memory for a page table ran out.
/// Linux v6.5, mm/mremap.c, move_page_tables().
private func move_page_tables(
    _ vma: vm_area_struct, _ old_start: UInt, _ new_vma: vm_area_struct, _ new_start: UInt, _ len: UInt,
    _ need_rmap_locks: Bool
) -> UInt {
    if len == 0 { return 0 }
    let mm = vma.vm_mm
    let old_end = old_start + len
    var (old_addr, new_addr) = (old_start, new_start)
    var range = mmu_notifier_range(
        vma: vma, mm: mm, start: old_start, end: old_end, event: MMU_NOTIFY_UNMAP.rawValue)
    ops.mmu_notifier_invalidate_range_start(&range)
    while old_addr < old_end {
        let extent = get_extent(old_addr, old_end, new_addr)
        if !move_pmd(vma, old_addr, new_vma, new_addr, extent, need_rmap_locks) { break }
        old_addr += extent
        new_addr += extent
    }
    ops.mmu_notifier_invalidate_range_end(&range)
    return len + old_addr - old_end
}

/// Moves what lies within one pmd: the body of move_page_tables()'s loop.  False if memory ran out.
private func move_pmd(
    _ vma: vm_area_struct, _ old_addr: UInt, _ new_vma: vm_area_struct, _ new_addr: UInt, _ extent: UInt,
    _ need_rmap_locks: Bool
) -> Bool {
    let old_pmd = pmd_offset(vma.vm_mm, old_addr)
    let new_pmd = pmd_offset(vma.vm_mm, new_addr)
    yield_point("pmd", "move_page_tables")
    if pmd_none(old_pmd.pointee) { return true }
    BUG_ON(pmd_trans_huge(new_pmd.pointee), "VM_BUG_ON(pmd_trans_huge(*pmd))", "alloc_new_pmd")
    while true {
        yield_point("pmd", "move_page_tables")
        if is_swap_pmd(old_pmd.pointee) || pmd_trans_huge(old_pmd.pointee) {
            if extent == PMD_SIZE()
                && move_pgt_entry(huge: true, vma, old_addr, new_addr, old_pmd, new_pmd, need_rmap_locks)
            {
                return true
            }
            ops.split_huge_pmd(vma, old_pmd, old_addr)
            if pmd_trans_unstable(old_pmd, "move_page_tables") { return true }
        } else if extent == PMD_SIZE()
            && move_pgt_entry(huge: false, vma, old_addr, new_addr, old_pmd, new_pmd, true)
        {
            return true
        }
        // From v6.5 on: a huge pmd of a file is empty after its split.
        if pmd_none(old_pmd.pointee) { return true }
        if ops.pte_alloc(new_vma.vm_mm, new_pmd) != 0 { return false }
        if move_ptes(
            vma, old_pmd, old_addr, old_addr + extent, new_vma, new_pmd, new_addr, need_rmap_locks)
        {
            return true
        }
    }
}
