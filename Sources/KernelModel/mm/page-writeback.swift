// SPDX-License-Identifier: GPL-2.0-only
// Dirty pages and their way to the disk.  Source: Linux v5.13, mm/page-writeback.c, mm/filemap.c.
//
// Left out: tags in the page cache (a scan looks at PG_dirty and PG_writeback of all pages of the file: it
// finds no fewer), limits and throttling, write clustering, errors.

import CKernel
import Simulation

func install_page_writeback(_ ops: kernel_ops) {
    ops.set_page_dirty = set_page_dirty
    ops.cancel_dirty_page = cancel_dirty_page
    ops.clear_page_dirty_for_io = clear_page_dirty_for_io
    ops.set_page_writeback = set_page_writeback
    ops.end_page_writeback = end_page_writeback
    ops.do_writepages = do_writepages
}

/// Linux v5.13, include/linux/backing-dev.h, mapping_can_writeback(): not for shmem.
func mapping_can_writeback(_ mapping: address_space) -> Bool {
    !shmem_mapping(mapping)
}

// MARK: - PG_dirty

/// Linux v5.13, mm/page-writeback.c, set_page_dirty(), __set_page_dirty_no_writeback(); fs/buffer.c,
/// __set_page_dirty().
private func set_page_dirty(_ page: page) {
    let page = compound_head(page)
    yield_point("mapping")
    let mapping = page_file_mapping(page)
    if mapping != nil || PageSwapCache(page) {
        // It is not for reclaim once it is written, since it is used again.
        if PageReclaim(page) { ClearPageReclaim(page) }
    }
    yield_point("PageDirty")
    guard let mapping, mapping_can_writeback(mapping) else {
        SetPageDirty(page)
        return
    }
    if TestSetPageDirty(page) { return }
    spin_lock_irq(mapping.i_pages_lock)
    // Truncation, which does not need the page to be clean, may have been faster.
    if page.mapping != nil { mod_node_page_state(Int32(NR_FILE_DIRTY.rawValue), 1) }
    spin_unlock_irq(mapping.i_pages_lock)
}

/// Linux v5.13, mm/page-writeback.c, __cancel_dirty_page().
private func cancel_dirty_page(_ page: page) {
    let mapping = page_file_mapping(page)
    yield_point("PageDirty")
    if TestClearPageDirty(page), let mapping, mapping_can_writeback(mapping) {
        mod_node_page_state(Int32(NR_FILE_DIRTY.rawValue), -1)
    }
}

/// Clears PG_dirty of a locked page that is about to be written.  The mappings are write-protected first: a
/// write that comes later faults, and sets the page dirty again.
/// Linux v5.13, mm/page-writeback.c, clear_page_dirty_for_io().
private func clear_page_dirty_for_io(_ page: page) -> Bool {
    VM_BUG_ON_PAGE(!PageLocked(page), "!PageLocked(page)")
    if let mapping = page_file_mapping(page), mapping_can_writeback(mapping) {
        // What a pte knew of writes goes to the page before the page's own bit is cleared.
        if ops.page_mkclean(page) != 0 { ops.set_page_dirty(page) }
        yield_point("PageDirty")
        guard TestClearPageDirty(page) else { return false }
        mod_node_page_state(Int32(NR_FILE_DIRTY.rawValue), -1)
        return true
    }
    yield_point("PageDirty")
    return TestClearPageDirty(page)
}

// MARK: - PG_writeback

/// Linux v5.13, mm/page-writeback.c, __test_set_page_writeback().
private func set_page_writeback(_ page: page) {
    let lock = page_file_mapping(page)?.i_pages_lock ?? kernel.swap_info.cache_lock
    spin_lock_irq(lock)
    yield_point("PageWriteback")
    if !TestSetPageWriteback(page) { mod_node_page_state(Int32(NR_WRITEBACK.rawValue), 1) }
    spin_unlock_irq(lock)
}

/// Linux v5.13, mm/filemap.c, end_page_writeback(); mm/page-writeback.c, test_clear_page_writeback().
private func end_page_writeback(_ page: page) {
    yield_point("PageReclaim")
    if PageReclaim(page) {
        ClearPageReclaim(page)
        ops.rotate_reclaimable_page(page)
    }
    // Writeback has no reference of its own: truncation waits for it, and then frees the page.
    yield_point("page_count")
    get_page(page)
    let lock = page_file_mapping(page)?.i_pages_lock ?? kernel.swap_info.cache_lock
    spin_lock_irq(lock)
    yield_point("PageWriteback")
    BUG_ON(!TestClearPageWriteback(page), "!test_clear_page_writeback(page)")
    mod_node_page_state(Int32(NR_WRITEBACK.rawValue), -1)
    spin_unlock_irq(lock)
    ops.put_page(page)
}

// MARK: - Writing a file

/// Writes the dirty pages of a file and waits for all that are being written.
/// Linux v5.13, mm/filemap.c, filemap_write_and_wait_range(): WB_SYNC_ALL.
private func do_writepages(_ mapping: address_space) -> Int {
    guard mapping_can_writeback(mapping) else { return 0 }
    write_cache_pages(mapping)
    filemap_fdatawait_range(mapping)
    return 0
}

/// Linux v5.13, mm/page-writeback.c, write_cache_pages().
private func write_cache_pages(_ mapping: address_space) {
    let batch = entry_batch_init()
    defer { leaveFrame(batch) }
    var index: UInt = 0
    while find_get_pages_range_tag(mapping, &index, PG_dirty, batch) {
        for n in 0..<Int(batch.nr) { write_cache_page(mapping, entry_to_page(batch.entry(n).pointee)!) }
        entry_batch_release(batch)
    }
}

/// The body of the loop in write_cache_pages().
private func write_cache_page(_ mapping: address_space, _ page: page) {
    let function: StaticString = "write_cache_pages"
    lock_page(page, function)
    // Truncated, or written by somebody else?
    guard page.mapping == address(mapping), PageDirty(page) else {
        unlock_page(page, function)
        return
    }
    wait_on_page_writeback(page, function)
    BUG_ON(PageWriteback(page), "PageWriteback(page)")
    guard ops.clear_page_dirty_for_io(page) else {
        unlock_page(page, function)
        return
    }
    _ = ops.writepage(page)
}

/// Linux v5.13, mm/filemap.c, __filemap_fdatawait_range().
private func filemap_fdatawait_range(_ mapping: address_space) {
    let batch = entry_batch_init()
    defer { leaveFrame(batch) }
    var index: UInt = 0
    while find_get_pages_range_tag(mapping, &index, PG_writeback, batch) {
        for n in 0..<Int(batch.nr) { wait_on_page_writeback(entry_to_page(batch.entry(n).pointee)!) }
        entry_batch_release(batch)
    }
}

/// Pages from `index` on that have the flag, as far as a batch goes, with references; `index` is where to go on.
/// Linux v5.13, mm/filemap.c, find_get_pages_range_tag().
private func find_get_pages_range_tag(
    _ mapping: address_space, _ index: inout UInt, _ flag: pageflags, _ batch: entry_batch
) -> Bool {
    while index < UInt(MAX_FILE_PAGES) {
        let slot = mapping.slot(Int(index))
        index += 1
        yield_point("i_pages")
        guard let page = entry_to_page(slot.pointee), page.flags & 1 << UInt(flag.rawValue) != 0 else { continue }
        let entry = mapping_get_entry(slot, mapping.i_pages_lock)
        if entry_to_page(entry) == nil { continue }
        if !entry_batch_add(batch, entry, index - 1) { break }
    }
    return batch.nr != 0
}
