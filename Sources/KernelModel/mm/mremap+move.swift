// SPDX-License-Identifier: GPL-2.0-only
// mm/mremap.c of Linux v5.13, continued: moving ptes, huge pmds and whole page tables.
//
// Modelled: CONFIG_HAVE_MOVE_PMD.  Left out: moves of whole pmd tables (the level above is folded),
// soft-dirty.

import CKernel
import Simulation

func install_mremap_move(_ ops: kernel_ops) {
    ops.move_page_tables = move_page_tables
}

/// Linux v5.13, mm/mremap.c, take_rmap_locks().
func take_rmap_locks(_ vma: vm_area_struct) {
    if let mapping = vma.vm_file { down_write(mapping.i_mmap_rwsem) }
    if let anon_vma = vma.anon_vma { down_write(anon_vma.root.rwsem) }
}

/// Linux v5.13, mm/mremap.c, drop_rmap_locks().
func drop_rmap_locks(_ vma: vm_area_struct) {
    if let anon_vma = vma.anon_vma { up_write(anon_vma.root.rwsem) }
    if let mapping = vma.vm_file { up_write(mapping.i_mmap_rwsem) }
}

/// With `need_rmap_locks` the order of the two vmas in rmap walks is not known to let each walk see the
/// old pte or the new one, so walks are kept out.
/// Linux v5.13, mm/mremap.c, move_ptes().
private func move_ptes(
    _ vma: vm_area_struct, _ old_pmd: UnsafeMutablePointer<pmd_t>, _ old_start: UInt, _ old_end: UInt,
    _ new_vma: vm_area_struct, _ new_pmd: UnsafeMutablePointer<pmd_t>, _ new_start: UInt,
    _ need_rmap_locks: Bool
) {
    let mm = vma.vm_mm
    if need_rmap_locks { take_rmap_locks(vma) }
    // mmap_lock for writing keeps two tasks from taking the two locks in opposite orders.
    var (old_pte, old_ptl) = pte_offset_map_lock(mm, old_pmd, old_start)!
    var new_pte = pte_offset_map(new_pmd, new_start)
    let new_ptl = pte_lockptr(mm, new_pmd)
    if new_ptl !== old_ptl { spin_lock(new_ptl, subclass: 1) }
    ops.flush_tlb_batched_pending(mm)
    var force_flush = false
    var (old_addr, new_addr) = (old_start, new_start)
    while old_addr < old_end {
        noteCost(EVENT_pte_visit, UInt(mm.number), 1)
        if !pte_none(old_pte.pointee) {
            let pte = ptep_get_and_clear(mm, old_addr, old_pte)
            // The TLB is flushed before either lock is dropped: the old one keeps page_mkclean() away, the
            // new one keeps the page while the old translation lives.
            if pte_present(pte) { force_flush = true }
            set_pte_at(mm, new_addr, new_pte, pte)
        }
        old_pte += 1
        new_pte += 1
        old_addr += PAGE_SIZE
        new_addr += PAGE_SIZE
    }
    if force_flush { flush_tlb_range(vma, old_start, old_end) }
    if new_ptl !== old_ptl { spin_unlock(new_ptl) }
    pte_unmap_unlock(old_pte - 1, old_ptl)
    if need_rmap_locks { drop_rmap_locks(vma) }
}

/// Moves a whole page table.
/// Linux v5.13, mm/mremap.c, move_normal_pmd().
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
    set_pmd_at(mm, new_addr, new_pmd, pmd)
    flush_tlb_range(vma, old_addr, old_addr + PMD_SIZE())
    if new_ptl !== old_ptl { spin_unlock(new_ptl) }
    spin_unlock(old_ptl)
    return true
}

/// Moves what a pmd leads to in one go.
/// Linux v5.13, mm/mremap.c, move_pgt_entry().
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

/// How far both addresses stay within one pmd.
/// Linux v5.13, mm/mremap.c, get_extent() of NORMAL_PMD.
func get_extent(_ old_addr: UInt, _ old_end: UInt, _ new_addr: UInt) -> UInt {
    let old_rest = (old_addr + PMD_SIZE()) & PMD_MASK() - old_addr
    let new_rest = (new_addr + PMD_SIZE()) & PMD_MASK() - new_addr
    return min(old_rest, old_end - old_addr, new_rest)
}

/// Returns how much of `len` was moved before memory for a page table ran out.
/// Linux v5.13, mm/mremap.c, move_page_tables().
private func move_page_tables(
    _ vma: vm_area_struct, _ old_start: UInt, _ new_vma: vm_area_struct, _ new_start: UInt, _ len: UInt,
    _ need_rmap_locks: Bool
) -> UInt {
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
        && move_pgt_entry(huge: false, vma, old_addr, new_addr, old_pmd, new_pmd, need_rmap_locks)
    {
        return true
    }
    if ops.pte_alloc(new_vma.vm_mm, new_pmd) != 0 { return false }
    move_ptes(vma, old_pmd, old_addr, old_addr + extent, new_vma, new_pmd, new_addr, need_rmap_locks)
    return true
}
