// SPDX-License-Identifier: GPL-2.0-only
// read() and write() of files on a disk, a page at a time.  Source: Linux v5.13, mm/filemap.c.
//
// Left out: parts of pages (a page's content is one token), direct I/O, throttling of dirty pages.

import CKernel
import Simulation

/// What a read returns at the end of a file, which a hole full of zeros is not.
public let READ_END_OF_FILE = -Int(ENODATA)

func install_filemap_io(_ ops: kernel_ops) {
    ops.generic_file_read = generic_file_read
    ops.generic_file_write = generic_file_write
}

// MARK: - read()

/// The content of a page of the file.
/// Linux v5.13, mm/filemap.c, generic_file_read_iter(), filemap_read(); mm/shmem.c for shmem.
private func generic_file_read(_ mapping: address_space, _ index: UInt) -> Int {
    if shmem_mapping(mapping) { return shmem_file_read(mapping, index) }
    while true {
        yield_point("i_size")
        if index >= mapping.i_size { return READ_END_OF_FILE }
        guard let page = filemap_get_page(mapping, index) else { continue }
        if IS_ERR(page) { return PTR_ERR(page) }
        // i_size counts only once the page is known to be uptodate, or a page that was zeroed beyond the
        // end of the file could be taken for data.
        yield_point("i_size")
        if index >= mapping.i_size {
            ops.put_page(page)
            return READ_END_OF_FILE
        }
        ops.mark_page_accessed(page)
        yield_point("contents")
        let token = page.contents
        ops.put_page(page)
        return Int(truncatingIfNeeded: token & UInt64(Int.max))
    }
}

/// An uptodate page with a reference, or an error; nil (AOP_TRUNCATED_PAGE) if the caller must try again.
/// Linux v5.13, mm/filemap.c, filemap_get_pages().
private func filemap_get_page(_ mapping: address_space, _ index: UInt) -> page? {
    guard let page = ops.find_get_page(mapping, index) else { return filemap_create_page(mapping, index) }
    yield_point("PageUptodate")
    if PageUptodate(page) { return page }
    return filemap_update_page(mapping, page)
}

/// Linux v5.13, mm/filemap.c, filemap_create_page().
private func filemap_create_page(_ mapping: address_space, _ index: UInt) -> page? {
    guard let page = ops.alloc_pages(GFP_HIGHUSER_MOVABLE, 0) else { return ERR_PTR(-Int(ENOMEM)) }
    let error = ops.add_to_page_cache_lru(page, mapping, index)
    if error != 0 {
        ops.put_page(page)
        return error == -EEXIST ? nil : ERR_PTR(Int(error))
    }
    return filemap_read_page(mapping, page)
}

/// Linux v5.13, mm/filemap.c, filemap_update_page().
private func filemap_update_page(_ mapping: address_space, _ page: page) -> page? {
    guard trylock_page(page) else {
        put_and_wait_on_page_locked(page)
        return nil
    }
    if page.mapping == nil {
        unlock_page(page)
        ops.put_page(page)
        return nil
    }
    if PageUptodate(page) {
        unlock_page(page)
        return page
    }
    return filemap_read_page(mapping, page)
}

/// Linux v5.13, mm/filemap.c, filemap_read_page().
private func filemap_read_page(_ mapping: address_space, _ page: page) -> page? {
    readpage(mapping, page)
    wait_on_page_locked(page)
    yield_point("PageUptodate")
    if PageUptodate(page) { return page }
    ops.put_page(page)
    return nil
}

// MARK: - write()

/// Linux v5.13, mm/filemap.c, generic_file_write_iter().
private func generic_file_write(_ mapping: address_space, _ index: UInt, _ token: UInt64) -> Int {
    if index >= UInt(MAX_FILE_PAGES) { return -Int(EFBIG) }
    down_write(mapping.i_rwsem)
    let ret =
        shmem_mapping(mapping)
        ? shmem_perform_write(mapping, index, token) : generic_perform_write(mapping, index, token)
    up_write(mapping.i_rwsem)
    return ret
}

/// Linux v5.13, mm/filemap.c, generic_perform_write(), grab_cache_page_write_begin(); fs/buffer.c,
/// generic_write_end().  A whole page is written, so none is read before.
private func generic_perform_write(_ mapping: address_space, _ index: UInt, _ token: UInt64) -> Int {
    guard let page = pagecache_get_page(mapping, index, FGP_LOCK | FGP_CREAT) else { return -Int(ENOMEM) }
    yield_point("contents")
    page.contents = token
    SetPageUptodate(page)
    ops.set_page_dirty(page)
    yield_point("i_size")
    if index + 1 > mapping.i_size { mapping.i_size = index + 1 }
    unlock_page(page)
    ops.put_page(page)
    return Int(PAGE_SIZE)
}
