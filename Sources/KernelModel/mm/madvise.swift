// SPDX-License-Identifier: GPL-2.0-only
// mm/madvise.c of Linux v5.13: madvise(2) on the caller's own mm, the advice that changes vmas or empties
// them.  What is done to single pages is in madvise+pages.swift.
//
// Left out: process_madvise(), memory failure injection, KSM, MADV_DONTDUMP (nothing dumps), userfaultfd
// events, readahead of a disk file by MADV_WILLNEED (it need not come about).

import CKernel
import Simulation

func install_madvise(_ ops: kernel_ops) {
    ops.do_madvise = do_madvise
}

/// Linux v5.13, mm/madvise.c, madvise_need_mmap_write().
private func madvise_need_mmap_write(_ behavior: Int32) -> Bool {
    switch behavior {
    case MADV_REMOVE, MADV_WILLNEED, MADV_DONTNEED, MADV_COLD, MADV_PAGEOUT, MADV_FREE, MADV_COLLAPSE: return false
    default: return true
    }
}

/// Linux v5.13, mm/madvise.c, madvise_behavior_valid().
private func madvise_behavior_valid(_ behavior: Int32) -> Bool {
    switch behavior {
    case MADV_DOFORK, MADV_DONTFORK, MADV_NORMAL, MADV_SEQUENTIAL, MADV_RANDOM, MADV_REMOVE, MADV_WILLNEED,
        MADV_DONTNEED, MADV_FREE, MADV_COLD, MADV_PAGEOUT, MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_WIPEONFORK,
        MADV_KEEPONFORK, MADV_COLLAPSE:
        return true
    default: return false
    }
}

/// The vma's flags after the advice; nil if it cannot be given.  The first part of madvise_behavior(), and
/// hugepage_madvise() of mm/khugepaged.c, whose registration with khugepaged is left to the caller.
private func advised_flags(_ vma: vm_area_struct, _ behavior: Int32) -> UInt? {
    let flags = vma.vm_flags
    switch behavior {
    case MADV_NORMAL: return flags & ~VM_RAND_READ & ~VM_SEQ_READ
    case MADV_SEQUENTIAL: return flags & ~VM_RAND_READ | VM_SEQ_READ
    case MADV_RANDOM: return flags & ~VM_SEQ_READ | VM_RAND_READ
    case MADV_DONTFORK: return flags | VM_DONTCOPY
    case MADV_DOFORK: return flags & VM_IO != 0 ? nil : flags & ~VM_DONTCOPY
    case MADV_WIPEONFORK: return vma.vm_file != nil || flags & VM_SHARED != 0 ? nil : flags | VM_WIPEONFORK
    case MADV_KEEPONFORK: return flags & ~VM_WIPEONFORK
    case MADV_HUGEPAGE: return flags & ~VM_NOHUGEPAGE | VM_HUGEPAGE
    case MADV_NOHUGEPAGE: return flags & ~VM_HUGEPAGE | VM_NOHUGEPAGE
    default: return flags
    }
}

/// Advice that is a flag of the vma.
/// Linux v5.13, mm/madvise.c, madvise_behavior().
private func madvise_behavior(
    _ area: vm_area_struct, _ prev: inout vm_area_struct?, _ start: UInt, _ end: UInt, _ behavior: Int32
) -> Int {
    var vma = area
    let mm = vma.vm_mm
    guard let new_flags = advised_flags(vma, behavior) else { return -Int(EINVAL) }
    if behavior == MADV_HUGEPAGE && ops.khugepaged_enter_vma_merge(vma, new_flags) != 0 { return -Int(EAGAIN) }
    if new_flags == vma.vm_flags {
        prev = vma
        return 0
    }
    let pgoff = vma.vm_pgoff + (start - vma.vm_start) >> UInt(PAGE_SHIFT)
    if let merged = ops.vma_merge(mm, prev, start, end, new_flags, vma.anon_vma, vma.vm_file, pgoff) {
        vma = merged
        prev = vma
    } else {
        prev = vma
        // For lack of memory madvise() says EAGAIN.
        if start != vma.vm_start && ops.split_vma(mm, vma, start, true) != 0 { return -Int(EAGAIN) }
        if end != vma.vm_end && ops.split_vma(mm, vma, end, false) != 0 { return -Int(EAGAIN) }
    }
    vma_start_write(vma)
    yield_point("vm_flags")
    vma.vm_flags = new_flags
    return 0
}

/// Linux v5.13, mm/madvise.c, can_madv_lru_vma().
private func can_madv_lru_vma(_ vma: vm_area_struct) -> Bool {
    vma.vm_flags & (VM_LOCKED | VM_HUGETLB | VM_PFNMAP) == 0
}

/// Linux v5.13, mm/madvise.c, madvise_dontneed_free().
private func madvise_dontneed_free(
    _ vma: vm_area_struct, _ prev: inout vm_area_struct?, _ start: UInt, _ end: UInt, _ behavior: Int32
) -> Int {
    prev = vma
    if !can_madv_lru_vma(vma) { return -Int(EINVAL) }
    if behavior == MADV_FREE { return madvise_free_single_vma(vma, start, end) }
    ops.zap_page_range(vma, start, end - start)
    return 0
}

/// Linux v5.13, mm/madvise.c, madvise_cold(), madvise_pageout().  can_do_pageout() is true: whoever maps a
/// file here may write it.
private func madvise_cold_or_pageout(
    _ vma: vm_area_struct, _ prev: inout vm_area_struct?, _ start: UInt, _ end: UInt, pageout: Bool
) -> Int {
    prev = vma
    if !can_madv_lru_vma(vma) { return -Int(EINVAL) }
    ops.lru_add_drain()
    var tlb = mmu_gather_of(vma.vm_mm)
    ops.tlb_gather_mmu(&tlb, vma.vm_mm, false)
    madvise_cold_or_pageout_page_range(&tlb, vma, start, end, pageout)
    ops.tlb_finish_mmu(&tlb)
    return 0
}

/// Linux v5.13, mm/madvise.c, madvise_willneed().
private func madvise_willneed(
    _ vma: vm_area_struct, _ prev: inout vm_area_struct?, _ start: UInt, _ end: UInt
) -> Int {
    prev = vma
    guard let file = vma.vm_file else {
        swapin_walk_page_range(vma, start, end)
        ops.lru_add_drain()
        return 0
    }
    if file.kind == UInt8(MAPPING_SHMEM.rawValue) {
        force_shm_swapin_readahead(vma, start, end, file)
        return 0
    }
    // Readahead waits for the disk, so the lock is let go, and the vma with it.
    prev = nil
    let mm = current.mm!
    up_read(mm.mmap_lock)
    down_read(mm.mmap_lock)
    return 0
}

/// Punches a hole into the file.
/// Linux v5.13, mm/madvise.c, madvise_remove().
private func madvise_remove(
    _ vma: vm_area_struct, _ prev: inout vm_area_struct?, _ start: UInt, _ end: UInt
) -> Int {
    // mmap_lock is dropped: the vma may go.
    prev = nil
    if vma.vm_flags & VM_LOCKED != 0 { return -Int(EINVAL) }
    guard let file = vma.vm_file else { return -Int(EINVAL) }
    if vma.vm_flags & (VM_SHARED | VM_WRITE) != VM_SHARED | VM_WRITE { return -Int(EACCES) }
    let offset = (start - vma.vm_start) >> UInt(PAGE_SHIFT) + vma.vm_pgoff
    let mm = current.mm!
    up_read(mm.mmap_lock)
    let error = ops.do_fallocate_punch(file, offset, offset + (end - start) >> UInt(PAGE_SHIFT))
    down_read(mm.mmap_lock)
    return error
}

/// Linux v5.13, mm/madvise.c, madvise_vma().
private func madvise_vma(
    _ vma: vm_area_struct, _ prev: inout vm_area_struct?, _ start: UInt, _ end: UInt, _ behavior: Int32
) -> Int {
    switch behavior {
    case MADV_REMOVE: return madvise_remove(vma, &prev, start, end)
    case MADV_WILLNEED: return madvise_willneed(vma, &prev, start, end)
    case MADV_COLD: return madvise_cold_or_pageout(vma, &prev, start, end, pageout: false)
    case MADV_PAGEOUT: return madvise_cold_or_pageout(vma, &prev, start, end, pageout: true)
    case MADV_FREE, MADV_DONTNEED: return madvise_dontneed_free(vma, &prev, start, end, behavior)
    // From v6.1 on.
    case MADV_COLLAPSE: return ops.madvise_collapse(vma, &prev, start, end)
    default: return madvise_behavior(vma, &prev, start, end, behavior)
    }
}

/// Linux v5.13, mm/madvise.c, do_madvise().
private func do_madvise(_ start: UInt, _ length: UInt, _ behavior: Int32) -> Int {
    if !madvise_behavior_valid(behavior) || offset_in_page(start) != 0 { return -Int(EINVAL) }
    let len = PAGE_ALIGN(length)
    let end = start &+ len
    if length != 0 && len == 0 || end < start { return -Int(EINVAL) }
    if end == start { return 0 }
    let mm = current.mm!
    let write = madvise_need_mmap_write(behavior)
    if write { down_write(mm.mmap_lock) } else { down_read(mm.mmap_lock) }
    let error = madvise_range(mm, start, end, behavior)
    if write { mmap_write_unlock(mm) } else { up_read(mm.mmap_lock) }
    return error
}

/// The vmas of the range one by one: the part of do_madvise() under mmap_lock.  Holes are passed over and
/// reported in the end.
private func madvise_range(_ mm: mm_struct, _ first: UInt, _ end: UInt, _ behavior: Int32) -> Int {
    var unmapped_error = 0
    var start = first
    var next = ops.find_vma(mm, start)
    var prev = vma_before(mm, start)
    if let vma = next, start > vma.vm_start { prev = vma }
    while let vma = next {
        if start < vma.vm_start {
            unmapped_error = -Int(ENOMEM)
            start = vma.vm_start
            if start >= end { return -Int(ENOMEM) }
        }
        let part_end = min(vma.vm_end, end)
        let error = madvise_vma(vma, &prev, start, part_end, behavior)
        if error != 0 { return error }
        start = part_end
        if let prev, start < prev.vm_end { start = prev.vm_end }
        if start >= end { return unmapped_error }
        // Without prev mmap_lock was dropped.
        next = prev == nil ? ops.find_vma(mm, start) : prev!.vm_next
    }
    return -Int(ENOMEM)
}
