// SPDX-License-Identifier: GPL-2.0-only
// Taking pages out of a file.  Source: Linux v5.13, mm/truncate.c; fs/open.c for the system calls.
//
// i_size goes first, then the mappings, then the pages, and then the mappings again, since a private one may
// have copied a page meanwhile.  Left out: parts of pages (sizes are in pages), shadow entries, DAX.

import CKernel
import Simulation

func install_truncate(_ ops: kernel_ops) {
    ops.do_truncate = do_truncate
    ops.do_fallocate_punch = do_fallocate_punch
    ops.truncate_inode_pages_range = truncate_inode_pages_range
    ops.truncate_inode_page = truncate_inode_page
    ops.invalidate_mapping_pages = invalidate_mapping_pages
}

// MARK: - System calls

/// Linux v5.13, fs/open.c, do_truncate(); fs/attr.c, notify_change().
private func do_truncate(_ mapping: address_space, _ size: UInt) -> Int {
    if size > UInt(MAX_FILE_PAGES) { return -Int(EFBIG) }
    down_write(mapping.i_rwsem)
    if shmem_mapping(mapping) { shmem_setattr(mapping, size) } else { ext4_setattr(mapping, size) }
    up_write(mapping.i_rwsem)
    return 0
}

/// Punches a hole from page `start` to before page `end`.  The file keeps its size.
/// Linux v5.13, fs/open.c, vfs_fallocate(); fs/ext4/inode.c, ext4_punch_hole(); mm/shmem.c, shmem_fallocate().
private func do_fallocate_punch(_ mapping: address_space, _ start: UInt, _ end: UInt) -> Int {
    if start >= end { return -Int(EINVAL) }
    if end > UInt(MAX_FILE_PAGES) { return -Int(EFBIG) }
    if shmem_mapping(mapping) {
        down_write(mapping.i_rwsem)
        shmem_fallocate_punch(mapping, start, end)
        up_write(mapping.i_rwsem)
        return 0
    }
    // Dirty pages are written before, so that only few turn up once the lock is held.
    _ = ops.do_writepages(mapping)
    down_write(mapping.i_rwsem)
    if start < mapping.i_size { ext4_punch_hole(mapping, start, min(end, mapping.i_size)) }
    up_write(mapping.i_rwsem)
    return 0
}

// MARK: - Files on a disk

/// Linux v5.13, mm/truncate.c, truncate_pagecache().
func truncate_pagecache(_ mapping: address_space, _ newsize: UInt) {
    ops.unmap_mapping_pages(mapping, newsize, 0, true)
    ops.truncate_inode_pages_range(mapping, newsize, UInt.max)
    ops.unmap_mapping_pages(mapping, newsize, 0, true)
}

/// Linux v5.13, mm/truncate.c, truncate_pagecache_range().  Private copies stay.
func truncate_pagecache_range(_ mapping: address_space, _ start: UInt, _ end: UInt) {
    ops.unmap_mapping_pages(mapping, start, end - start, false)
    ops.truncate_inode_pages_range(mapping, start, end)
}

// MARK: - Pages

/// Linux v5.13, mm/truncate.c, truncate_cleanup_page().
private func truncate_cleanup_page(_ page: page) {
    yield_point("page_mapped")
    if page_mapped(page) { ops.unmap_mapping_page(page) }
    ops.cancel_dirty_page(page)
}

/// Linux v5.13, mm/truncate.c, truncate_inode_page().  The page is locked.
private func truncate_inode_page(_ mapping: address_space, _ page: page) -> Int32 {
    VM_BUG_ON_PAGE(PageTail(page), "PageTail(page)")
    if page.mapping != address(mapping) { return -EIO }
    truncate_cleanup_page(page)
    ops.delete_from_page_cache(page)
    return 0
}

/// Removes the pages from `start` to before `end`: first those that need no waiting, then the rest.
/// Linux v5.13, mm/truncate.c, truncate_inode_pages_range().
private func truncate_inode_pages_range(_ mapping: address_space, _ start: UInt, _ end: UInt) {
    let batch = entry_batch_init()
    defer { leaveFrame(batch) }
    var index = start
    while index < end && find_lock_entries(mapping, index, end - 1, batch) {
        index = batch.index(Int(batch.nr) - 1).pointee + 1
        for n in 0..<Int(batch.nr) { truncate_cleanup_page(entry_to_page(batch.entry(n).pointee)!) }
        delete_from_page_cache_batch(mapping, batch)
        for n in 0..<Int(batch.nr) { unlock_page(entry_to_page(batch.entry(n).pointee)!) }
        entry_batch_release(batch)
    }

    index = start
    while index < end {
        guard find_get_entries(mapping, index, end - 1, batch) else {
            if index == start { return }
            // Once more from the start, to make sure that all are gone.
            index = start
            continue
        }
        for n in 0..<Int(batch.nr) {
            index = batch.index(n).pointee
            let page = entry_to_page(batch.entry(n).pointee)!
            lock_page(page)
            wait_on_page_writeback(page)
            _ = ops.truncate_inode_page(mapping, page)
            unlock_page(page)
        }
        entry_batch_release(batch)
        index += 1
    }
}

/// Linux v5.13, mm/filemap.c, delete_from_page_cache_batch().
private func delete_from_page_cache_batch(_ mapping: address_space, _ batch: entry_batch) {
    spin_lock_irq(mapping.i_pages_lock)
    for n in 0..<Int(batch.nr) { ops.__delete_from_page_cache(entry_to_page(batch.entry(n).pointee)!) }
    spin_unlock_irq(mapping.i_pages_lock)
    for n in 0..<Int(batch.nr) { page_cache_free_page(entry_to_page(batch.entry(n).pointee)!) }
}

// MARK: - Invalidation

/// Drops the clean pages that nobody maps, and counts them.  A hint: pages in use stay.
/// Linux v5.13, mm/truncate.c, invalidate_mapping_pages(), __invalidate_mapping_pages().
private func invalidate_mapping_pages(_ mapping: address_space) -> Int {
    let batch = entry_batch_init()
    defer { leaveFrame(batch) }
    var count = 0
    var index: UInt = 0
    while find_lock_entries(mapping, index, UInt.max, batch) {
        for n in 0..<Int(batch.nr) {
            index = batch.index(n).pointee
            guard let page = entry_to_page(batch.entry(n).pointee) else { continue }
            index += UInt(thp_nr_pages(page)) - 1
            let ret = invalidate_inode_page(page)
            unlock_page(page)
            // So reclaim comes to it sooner.
            if ret == 0 { ops.deactivate_file_page(page) }
            count += ret
        }
        entry_batch_release(batch)
        index += 1
    }
    return count
}

/// Linux v5.13, mm/truncate.c, invalidate_inode_page(), invalidate_complete_page().
private func invalidate_inode_page(_ page: page) -> Int {
    guard let mapping = page_file_mapping(page) else { return 0 }
    yield_point("PageDirty")
    if PageDirty(page) || PageWriteback(page) { return 0 }
    yield_point("page_mapped")
    if page_mapped(page) { return 0 }
    return Int(ops.remove_mapping(mapping, page))
}
