// SPDX-License-Identifier: GPL-2.0-only
// mm/mmap.c of Linux v5.13, continued: splitting a vma, munmap(2), and the copy of a vma for mremap(2).
//
// Left out: what is said in mmap.swift, high-water marks, userfaultfd events.

import CKernel
import Simulation

func install_mmap_unmap(_ ops: kernel_ops) {
    ops.split_vma = __split_vma
    ops.__do_munmap = __do_munmap
    ops.do_munmap = do_munmap
    ops.unlock_range = unlock_range
    ops.__vm_munmap = __vm_munmap
    // By a closure: Swift gives a function of this name the calling convention of an Objective-C copy.
    ops.copy_vma = { copy_vma($0, $1, $2, $3, $4) }
}

/// Makes two vmas of one: the new one gets the part below `address`, or the part from there on.
/// Linux v5.13, mm/mmap.c, __split_vma(); split_vma() differs in a check against sysctl_max_map_count.
private func __split_vma(_ mm: mm_struct, _ vma: vm_area_struct, _ address: UInt, _ new_below: Bool) -> Int32 {
    guard let new = vm_area_dup(vma) else { return -ENOMEM }
    if new_below {
        new.vm_end = address
    } else {
        new.vm_start = address
        new.vm_pgoff += (address - vma.vm_start) >> UInt(PAGE_SHIFT)
    }
    var error = ops.anon_vma_clone(new, vma)
    if error == 0 {
        if new_below {
            let pgoff = vma.vm_pgoff + (address - new.vm_start) >> UInt(PAGE_SHIFT)
            error = vma_adjust(vma, address, vma.vm_end, pgoff, new)
        } else {
            error = vma_adjust(vma, vma.vm_start, address, vma.vm_pgoff, new)
        }
        if error == 0 { return 0 }
        ops.unlink_anon_vmas(new)
    }
    ops.vm_area_free(new)
    return error
}

// MARK: - munmap(2)

/// Linux v5.13, mm/mmap.c, remove_vma().
func remove_vma(_ vma: vm_area_struct) -> vm_area_struct? {
    let next = vma.vm_next
    might_sleep()
    ops.vm_area_free(vma)
    return next
}

/// Linux v5.13, mm/mmap.c, remove_vma_list().
private func remove_vma_list(_ mm: mm_struct, _ first: vm_area_struct) {
    var next: vm_area_struct? = first
    while let vma = next {
        vm_stat_account(mm, vma.vm_flags, -Int(vma_pages(vma)))
        next = remove_vma(vma)
    }
}

/// Linux v5.13, mm/mmap.c, unmap_region().
private func unmap_region(
    _ mm: mm_struct, _ vma: vm_area_struct, _ prev: vm_area_struct?, _ start: UInt, _ end: UInt
) {
    let next = vma_next(mm, prev)
    ops.lru_add_drain()
    var tlb = mmu_gather_of(mm)
    ops.tlb_gather_mmu(&tlb, mm, false)
    ops.unmap_vmas(&tlb, vma, start, end)
    ops.free_pgtables(&tlb, vma, prev?.vm_end ?? 0, next?.vm_start ?? 0)
    ops.tlb_finish_mmu(&tlb)
}

/// From v6.4 on: waits for faults that hold one of the vmas, and lets none hold one again.
/// Linux v6.5, mm/mmap.c, a part of do_vmi_align_munmap().
private func write_lock_vmas_to_be_unmapped(_ first: vm_area_struct, _ end: UInt) {
    var next: vm_area_struct? = first
    while let vma = next, vma.vm_start < end {
        vma_start_write(vma)
        ops.vma_mark_detached(vma, true)
        next = vma.vm_next
    }
}

/// Takes the vmas that start below `end` off the list of the mm.  False if mmap_lock must not be downgraded,
/// since a stack next to the hole could grow into it.
/// Linux v5.13, mm/mmap.c, detach_vmas_to_be_unmapped().
private func detach_vmas_to_be_unmapped(
    _ mm: mm_struct, _ first: vm_area_struct, _ prev: vm_area_struct?, _ end: UInt
) -> Bool {
    var tail = first
    first.vm_prev = nil
    mm.map_count -= 1
    while let vma = tail.vm_next, vma.vm_start < end {
        mm.map_count -= 1
        tail = vma
    }
    let next = tail.vm_next
    if let prev { prev.vm_next = next } else { mm.mmap = next }
    if let next { next.vm_prev = prev }
    tail.vm_next = nil
    return next == nil || next!.vm_flags & VM_GROWSDOWN == 0
}

/// Unmaps a range under mmap_lock held for writing.  Returns 1 if it was downgraded.
/// Linux v5.13, mm/mmap.c, __do_munmap().
private func __do_munmap(_ mm: mm_struct, _ start: UInt, _ length: UInt, _ downgrade: Bool) -> Int32 {
    if offset_in_page(start) != 0 || start > TASK_SIZE() || length > TASK_SIZE() - start { return -EINVAL }
    let len = PAGE_ALIGN(length)
    let end = start + len
    if len == 0 { return -EINVAL }
    guard let first = find_vma_intersection(mm, start, end) else { return 0 }
    var prev = first.vm_prev
    // The first error is returned before anything is unmapped; a split that was done is harmless.
    if start > first.vm_start {
        let error = ops.split_vma(mm, first, start, false)
        if error != 0 { return error }
        prev = first
    }
    if let last = ops.find_vma(mm, end), end > last.vm_start {
        let error = ops.split_vma(mm, last, end, true)
        if error != 0 { return error }
    }
    let vma = vma_next(mm, prev)!
    if mm.locked_vm != 0 { ops.unlock_range(vma, end) }
    write_lock_vmas_to_be_unmapped(vma, end)
    let downgraded = detach_vmas_to_be_unmapped(mm, vma, prev, end) && downgrade
    if downgraded { mmap_write_downgrade(mm) }
    unmap_region(mm, vma, prev, start, end)
    remove_vma_list(mm, vma)
    return downgraded ? 1 : 0
}

/// The part of __do_munmap() that munlocks vmas before they are detached.
private func unlock_range(_ start: vm_area_struct, _ limit: UInt) {
    let mm = start.vm_mm
    var next: vm_area_struct? = start
    while let locked = next, locked.vm_start < limit {
        if locked.vm_flags & VM_LOCKED != 0 {
            mm.locked_vm &-= vma_pages(locked)
            munlock_vma_pages_all(locked)
        }
        next = locked.vm_next
    }
}

/// Linux v5.13, mm/internal.h, munlock_vma_pages_all().
func munlock_vma_pages_all(_ vma: vm_area_struct) {
    ops.munlock_vma_pages_range(vma, vma.vm_start, vma.vm_end)
}

/// Linux v5.13, mm/mmap.c, do_munmap().
private func do_munmap(_ mm: mm_struct, _ start: UInt, _ len: UInt) -> Int32 {
    ops.__do_munmap(mm, start, len, false)
}

/// munmap(2), which lets mmap_lock be downgraded.
/// Linux v5.13, mm/mmap.c, __vm_munmap().
private func __vm_munmap(_ start: UInt, _ len: UInt, _ downgrade: Bool) -> Int {
    let mm = current.mm!
    down_write(mm.mmap_lock)
    let result = ops.__do_munmap(mm, start, len, downgrade)
    if result == 1 {
        up_read(mm.mmap_lock)
        return 0
    }
    mmap_write_unlock(mm)
    return Int(result)
}

// MARK: - For mremap(2)

/// A vma for the pages of `*vmap` at another address, merged with its new neighbours if possible; `*vmap`
/// follows if it was one of them.  With `need_rmap_locks` rmap walks may meet the new place first.
/// Linux v5.13, mm/mmap.c, copy_vma().
private func copy_vma(
    _ vmap: UnsafeMutablePointer<vm_area_struct>, _ address: UInt, _ len: UInt, _ offset: UInt,
    _ need_rmap_locks: UnsafeMutablePointer<Bool>
) -> vm_area_struct? {
    let vma = vmap.pointee
    let vma_start = vma.vm_start
    let mm = vma.vm_mm
    // Without pages the offset may follow the address: that makes merging more likely.
    let unfaulted = vma_is_anonymous(vma) && vma.anon_vma == nil
    let pgoff = unfaulted ? address >> UInt(PAGE_SHIFT) : offset
    var prev: vm_area_struct?
    if !find_vma_links(mm, address, address + len, &prev) { return nil }
    if let merged = ops.vma_merge(
        mm, prev, address, address + len, vma.vm_flags, vma.anon_vma, vma.vm_file, pgoff)
    {
        if vma_start >= merged.vm_start && vma_start < merged.vm_end {
            BUG_ON(!unfaulted, "VM_BUG_ON_VMA(faulted_in_anon_vma)")
            vmap.pointee = merged
        }
        need_rmap_locks.pointee = merged.vm_pgoff <= vmap.pointee.vm_pgoff
        return merged
    }
    guard let new = vm_area_dup(vma) else { return nil }
    new.vm_start = address
    new.vm_end = address + len
    new.vm_pgoff = pgoff
    if ops.anon_vma_clone(new, vma) != 0 {
        ops.vm_area_free(new)
        return nil
    }
    vma_start_write(new)
    vma_link(mm, new, prev)
    need_rmap_locks.pointee = false
    return new
}
