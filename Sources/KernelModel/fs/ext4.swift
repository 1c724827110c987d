// SPDX-License-Identifier: GPL-2.0-only
// What files on a disk add to the page cache: how pages are read and written, and the lock that keeps faults
// from holes while blocks are freed.  Source: Linux v5.13, fs/ext4, fs/mpage.c.
//
// Left out: blocks and their allocation, the journal, errors.  I/O ends before the function that started it
// returns, as on a RAM disk; the waits for it are there for the other tasks.

import CKernel
import Simulation

func install_ext4(_ ops: kernel_ops) {
    ops.ext4_filemap_fault = ext4_filemap_fault
    ops.ext4_page_mkwrite = ext4_page_mkwrite
    ops.writepage = ext4_writepage
}

// MARK: - Faults

/// Linux v5.13, fs/ext4/inode.c, ext4_filemap_fault().
private func ext4_filemap_fault(_ vmf: UnsafeMutablePointer<vm_fault>) -> vm_fault_t {
    let mapping = vmf.pointee.vma.vm_file!
    down_read(mapping.i_mmap_sem)
    let ret = ops.filemap_fault(vmf)
    up_read(mapping.i_mmap_sem)
    return ret
}

/// Before the first write to a page through a mapping: the page is dirty from here on.
/// Linux v5.13, fs/ext4/inode.c, ext4_page_mkwrite(); fs/buffer.c, block_page_mkwrite().
private func ext4_page_mkwrite(_ vmf: UnsafeMutablePointer<vm_fault>) -> vm_fault_t {
    let mapping = vmf.pointee.vma.vm_file!
    let page = vmf.pointee.page!
    down_read(mapping.i_mmap_sem)
    defer { up_read(mapping.i_mmap_sem) }
    lock_page(page)
    yield_point("i_size")
    if page.mapping != address(mapping) || page.index > mapping.i_size {
        // Truncated meanwhile.
        unlock_page(page)
        return VM_FAULT_NOPAGE
    }
    ops.set_page_dirty(page)
    return VM_FAULT_LOCKED
}

// MARK: - I/O

/// Fills a locked page from the disk, which unlocks it.
/// Linux v5.13, fs/ext4/inode.c, ext4_readpage(); fs/mpage.c, mpage_end_io().
func readpage(_ mapping: address_space, _ page: page) {
    yield_point("bio")
    page.contents = mapping.disk(Int(page.index)).pointee
    SetPageUptodate(page)
    unlock_page(page)
}

/// Writes a locked, clean page to the disk and unlocks it.
/// Linux v5.13, fs/ext4/inode.c, ext4_writepage(); fs/buffer.c, __block_write_full_page().
private func ext4_writepage(_ page: page) -> Int32 {
    BUG_ON(!PageLocked(page) || page.mapping == nil, "!PageLocked(page) || !page->mapping")
    let mapping = page_file_mapping(page)!
    yield_point("i_size")
    if page.index >= mapping.i_size {
        // Truncation is about to free it.
        unlock_page(page)
        return 0
    }
    let index = Int(page.index)
    BUG_ON(PageWriteback(page), "PageWriteback(page)")
    ops.set_page_writeback(page)
    unlock_page(page)
    yield_point("bio")
    mapping.disk(index).pointee = page.contents
    ops.end_page_writeback(page)
    return 0
}

// MARK: - Size and holes, with i_rwsem held

/// Linux v5.13, fs/ext4/inode.c, ext4_setattr(), the part for ATTR_SIZE.
func ext4_setattr(_ mapping: address_space, _ size: UInt) {
    down_write(mapping.i_mmap_sem)
    yield_point("i_size")
    mapping.i_size = size
    truncate_pagecache(mapping, size)
    free_blocks(mapping, size, UInt(MAX_FILE_PAGES))
    up_write(mapping.i_mmap_sem)
}

/// Linux v5.13, fs/ext4/inode.c, ext4_punch_hole(), from the taking of i_mmap_sem on.
func ext4_punch_hole(_ mapping: address_space, _ start: UInt, _ end: UInt) {
    down_write(mapping.i_mmap_sem)
    truncate_pagecache_range(mapping, start, end)
    free_blocks(mapping, start, end)
    up_write(mapping.i_mmap_sem)
}

/// Linux v5.13, fs/ext4/extents.c, ext4_ext_remove_space(): the range reads as zeros.
private func free_blocks(_ mapping: address_space, _ start: UInt, _ end: UInt) {
    yield_point("bio")
    for index in start..<end { mapping.disk(Int(index)).pointee = 0 }
}
