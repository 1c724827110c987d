// SPDX-License-Identifier: GPL-2.0-only
// Truncation of files without a disk, and holes in them.  Source: Linux v5.13, mm/shmem.c.
// Left out: parts of pages; what shmem.swift leaves out.

import CKernel
import Simulation

func install_shmem_truncate(_ ops: kernel_ops) {
    ops.shmem_truncate_range = shmem_truncate_range
}

// MARK: - Pages and swap entries

/// Removes a swap entry from its slot and frees it; false if the slot holds something else by now.
/// Linux v5.13, mm/shmem.c, shmem_free_swap().
private func shmem_free_swap(_ mapping: address_space, _ index: UInt, _ radswap: UInt) -> Bool {
    let slot = mapping.slot(Int(index))
    spin_lock_irq(mapping.i_pages_lock)
    let found = slot.pointee == radswap
    yield_point("i_pages")
    if found { slot.pointee = 0 }
    spin_unlock_irq(mapping.i_pages_lock)
    if found {
        ops.free_swap_and_cache(radix_to_swp_entry(radswap))
        mapping.nr_swapped &-= 1
    }
    return found
}

/// Whether the page can be removed as it is, or could be made so by splitting.
/// Linux v5.13, mm/shmem.c, shmem_punch_compound().
private func shmem_punch_compound(_ page: page, _ start: UInt, _ end: UInt) -> Bool {
    yield_point("PageTransCompound")
    if !PageTransCompound(page) { return true }
    // One that lies within the range goes as a whole.
    if PageHead(page) && page.index >= start && page.index + HPAGE_PMD_NR() <= end { return true }
    return ops.split_huge_page_to_list(page, nil) >= 0
}

/// Removes pages and swap entries from `start` to before `end` (UInt.max: all that follow).
/// Linux v5.13, mm/shmem.c, shmem_undo_range(), shmem_truncate_range().
private func shmem_truncate_range(_ mapping: address_space, _ start: UInt, _ end: UInt) {
    let batch = entry_batch_init()
    defer { leaveFrame(batch) }
    shmem_undo_free_range(mapping, start, end, batch)
    if start >= end { return }

    var start = start
    var index = start
    while index < end {
        guard find_get_entries(mapping, index, end - 1, batch) else {
            // A hole punch is content; truncation makes sure that all are gone.
            if index == start || end != UInt.max { return }
            index = start
            continue
        }
        for n in 0..<Int(batch.nr) {
            index = batch.index(n).pointee
            let entry = batch.entry(n).pointee
            guard let page = entry_to_page(entry) else {
                if shmem_free_swap(mapping, index, entry) { continue }
                // A page has replaced it.
                index &-= 1
                break
            }
            if !shmem_undo_page(mapping, page, index, &start, end) {
                // A swap entry has replaced it.
                index &-= 1
                break
            }
        }
        entry_batch_release(batch)
        index &+= 1
    }
}

/// The first pass of shmem_undo_range(): what needs no waiting and no splitting.
private func shmem_undo_free_range(_ mapping: address_space, _ start: UInt, _ end: UInt, _ batch: entry_batch) {
    let function: StaticString = "shmem_undo_range"
    var index = start
    while index < end && find_lock_entries(mapping, index, end - 1, batch) {
        for n in 0..<Int(batch.nr) {
            index = batch.index(n).pointee
            let entry = batch.entry(n).pointee
            guard let page = entry_to_page(entry) else {
                _ = shmem_free_swap(mapping, index, entry)
                continue
            }
            index += UInt(thp_nr_pages(page)) - 1
            _ = ops.truncate_inode_page(mapping, page)
            unlock_page(page, function)
        }
        entry_batch_release(batch)
        index += 1
    }
}

/// The second pass's step for a page; false if it has gone to swap.
private func shmem_undo_page(
    _ mapping: address_space, _ page: page, _ index: UInt, _ start: inout UInt, _ end: UInt
) -> Bool {
    let function: StaticString = "shmem_undo_range"
    lock_page(page, function)
    if page_file_mapping(page) !== mapping {
        unlock_page(page, function)
        return false
    }
    VM_BUG_ON_PAGE(PageWriteback(page), "PageWriteback(page)")
    if shmem_punch_compound(page, start, end) {
        _ = ops.truncate_inode_page(mapping, page)
    } else {
        // Wiped at least, and passed over from now on.
        yield_point("contents", function)
        page.contents = 0
        ops.set_page_dirty(page)
        if index < (start + HPAGE_PMD_NR() - 1) & ~(HPAGE_PMD_NR() - 1) { start = index + 1 }
    }
    unlock_page(page, function)
    return true
}

// MARK: - Size and holes, with i_rwsem held

/// Linux v5.13, mm/shmem.c, shmem_setattr(), the part for ATTR_SIZE.
func shmem_setattr(_ mapping: address_space, _ newsize: UInt) {
    let oldsize = mapping.i_size
    yield_point("i_size")
    mapping.i_size = newsize
    if newsize > oldsize { return }
    if oldsize > newsize { ops.unmap_mapping_pages(mapping, newsize, 0, true) }
    ops.shmem_truncate_range(mapping, newsize, UInt.max)
    // Private mappings may have copied pages meanwhile.
    if oldsize > newsize { ops.unmap_mapping_pages(mapping, newsize, 0, true) }
}

/// Linux v5.13, mm/shmem.c, shmem_fallocate() with FALLOC_FL_PUNCH_HOLE.  Private copies stay.
func shmem_fallocate_punch(_ mapping: address_space, _ start: UInt, _ end: UInt) {
    yield_point("i_private")
    mapping.nr_fallocs += 1
    mapping.falloc = mapping.nr_fallocs << 16 | start << 8 | end
    ops.unmap_mapping_pages(mapping, start, end - start, false)
    ops.shmem_truncate_range(mapping, start, end)
    yield_point("i_private")
    mapping.falloc = 0
}

/// Whether a hole punch that runs as `falloc` says makes a fault at `index` wait.
func shmem_falloc_covers(_ falloc: UInt, _ index: UInt) -> Bool {
    falloc != 0 && index >= falloc >> 8 & 0xff && index < falloc & 0xff
}
