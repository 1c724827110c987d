// SPDX-License-Identifier: GPL-2.0-only
// The page cache.  Source: Linux v5.13, mm/filemap.c.
//
// The xarray of a file is an array of slots; a huge page fills as many of them, each with its head, as in
// the kernel.  Lookups hold no lock: they take a reference to what they found and look again.
// filemap+fault.swift has the fault handlers, filemap+io.swift read() and write().
// Left out: readahead (only what is asked for is read), shadow entries and workingset, memory cgroups,
// cleancache, errors of I/O.

import CKernel
import Simulation

func install_filemap(_ ops: kernel_ops) {
    ops.find_get_page = find_get_page
    ops.find_lock_page = find_lock_page
    ops.add_to_page_cache_lru = add_to_page_cache_lru
    ops.delete_from_page_cache = delete_from_page_cache
    ops.__delete_from_page_cache = __delete_from_page_cache
    install_filemap_fault(ops)
    install_filemap_io(ops)
}

func entry_of(_ page: page) -> UInt {
    UInt(bitPattern: address(page))
}

func shmem_mapping(_ mapping: address_space) -> Bool {
    mapping.kind == UInt8(MAPPING_SHMEM.rawValue)
}

// MARK: - Lookup

/// What a slot holds: nothing, a page with a reference for the caller, or a value.  A page whose count is
/// frozen is being taken out of the slot or split; that is over when `lock` is free.
/// Linux v5.13, mm/filemap.c, mapping_get_entry().
func mapping_get_entry(_ slot: UnsafeMutablePointer<UInt>, _ lock: spinlock_t) -> UInt {
    rcu_read_lock()
    defer { rcu_read_unlock() }
    while true {
        yield_point("i_pages")
        let entry = slot.pointee
        guard let page = entry_to_page(entry) else {
            guard entry == XA_RETRY_ENTRY else { return entry }
            spin_unlock_wait(lock)
            continue
        }
        yield_point("page_count")
        guard page_cache_get_speculative(page) else {
            spin_unlock_wait(lock)
            continue
        }
        yield_point("i_pages")
        if slot.pointee == entry { return entry }
        ops.put_page(page)
    }
}

func page_cache_entry(_ mapping: address_space, _ index: UInt) -> UInt {
    guard index < UInt(MAX_FILE_PAGES) else { return 0 }
    return mapping_get_entry(mapping.slot(Int(index)), mapping.i_pages_lock)
}

/// Linux v5.13, include/linux/pagemap.h, find_subpage().
func find_subpage(_ head: page, _ index: UInt) -> page {
    page_add(head, Int(index) & (Int(thp_nr_pages(head)) - 1))
}

/// Linux v5.13, include/linux/pagemap.h, find_get_page(): with a reference, unlocked.
private func find_get_page(_ mapping: address_space, _ index: UInt) -> page? {
    pagecache_get_page(mapping, index, 0)
}

/// Linux v5.13, include/linux/pagemap.h, find_lock_page().
private func find_lock_page(_ mapping: address_space, _ index: UInt) -> page? {
    pagecache_get_page(mapping, index, FGP_LOCK)
}

let FGP_LOCK = 0x2
let FGP_CREAT = 0x4
let FGP_FOR_MMAP = 0x40

/// The page at `index` with a reference; nil if there is none, or with FGP_CREAT if memory is short.
/// Linux v5.13, mm/filemap.c, pagecache_get_page().  FGP_ENTRY is find_lock_entry().
func pagecache_get_page(_ mapping: address_space, _ index: UInt, _ fgp_flags: Int) -> page? {
    while true {
        let entry = fgp_flags & FGP_LOCK != 0 ? find_lock_entry(mapping, index) : page_cache_entry(mapping, index)
        if let page = entry_to_page(entry) { return find_subpage(page, index) }
        guard fgp_flags & FGP_CREAT != 0 else { return nil }

        guard let page = ops.alloc_pages(GFP_HIGHUSER_MOVABLE, 0) else { return nil }
        let error = ops.add_to_page_cache_lru(page, mapping, index)
        guard error != 0 else {
            // It comes locked, and a fault locks what it finds itself.
            if fgp_flags & FGP_FOR_MMAP != 0 { unlock_page(page) }
            return page
        }
        ops.put_page(page)
        if error != -EEXIST { return nil }
    }
}

/// The entry at `index`: a page is locked, and has a reference.
/// Linux v5.13, mm/filemap.c, pagecache_get_page() with FGP_ENTRY | FGP_HEAD | FGP_LOCK.
func find_lock_entry(_ mapping: address_space, _ index: UInt) -> UInt {
    while true {
        let entry = page_cache_entry(mapping, index)
        guard let page = entry_to_page(entry) else { return entry }
        lock_page(page)
        if page.mapping == address(mapping) {
            VM_BUG_ON_PAGE(!thp_contains(page, index), "!thp_contains(page, index)")
            return entry
        }
        // Truncated meanwhile.
        unlock_page(page)
        ops.put_page(page)
    }
}

/// Linux v5.13, include/linux/mm.h, thp_contains().
func thp_contains(_ head: page, _ index: UInt) -> Bool {
    head.index == index & ~(UInt(thp_nr_pages(head)) - 1)
}

// MARK: - Insertion

/// Puts a new page into the page cache, where it stays locked, and onto the LRU.
/// Linux v5.13, mm/filemap.c, add_to_page_cache_lru().
private func add_to_page_cache_lru(_ page: page, _ mapping: address_space, _ index: UInt) -> Int32 {
    __SetPageLocked(page)
    let error = __add_to_page_cache_locked(page, mapping, index)
    if error != 0 {
        __ClearPageLocked(page)
        return error
    }
    ops.lru_cache_add(page)
    return 0
}

/// Linux v5.13, mm/filemap.c, __add_to_page_cache_locked().
private func __add_to_page_cache_locked(_ page: page, _ mapping: address_space, _ index: UInt) -> Int32 {
    VM_BUG_ON_PAGE(!PageLocked(page), "!PageLocked(page)")
    VM_BUG_ON_PAGE(PageSwapBacked(page), "PageSwapBacked(page)")
    let slot = mapping.slot(Int(index))
    get_page(page)
    page.mapping = address(mapping)
    page.index = index
    spin_lock_irq(mapping.i_pages_lock)
    guard slot.pointee == 0 else {
        spin_unlock_irq(mapping.i_pages_lock)
        page.mapping = nil
        ops.put_page(page)
        return -EEXIST
    }
    yield_point("i_pages")
    slot.pointee = entry_of(page)
    mapping.nrpages += 1
    mod_node_page_state(Int32(NR_FILE_PAGES.rawValue), 1)
    spin_unlock_irq(mapping.i_pages_lock)
    return 0
}

// MARK: - Removal

/// Linux v5.13, mm/filemap.c, delete_from_page_cache().  The page is locked.
private func delete_from_page_cache(_ page: page) {
    BUG_ON(!PageLocked(page), "!PageLocked(page)")
    BUG_ON(page.mapping == nil, "!page->mapping")
    let mapping = page_file_mapping(page)!
    spin_lock_irq(mapping.i_pages_lock)
    ops.__delete_from_page_cache(page)
    spin_unlock_irq(mapping.i_pages_lock)
    page_cache_free_page(page)
}

/// Linux v5.13, mm/filemap.c, page_cache_free_page(): the page cache's references go.
func page_cache_free_page(_ page: page) {
    guard PageTransHuge(page) else {
        ops.put_page(page)
        return
    }
    yield_point("page_count")
    page_ref_sub(page, thp_nr_pages(page))
    VM_BUG_ON_PAGE(page_count(page) <= 0, "page_count(page) <= 0")
}

/// Linux v5.13, mm/filemap.c, __delete_from_page_cache(), page_cache_delete().  i_pages_lock is held.
private func __delete_from_page_cache(_ page: page) {
    BUG_ON(page.mapping == nil, "!page->mapping")
    let mapping = page_file_mapping(page)!
    let nr = Int(thp_nr_pages(page))
    unaccount_page_cache_page(mapping, page)
    for n in 0..<nr {
        yield_point("i_pages")
        mapping.slot(Int(page.index) + n).pointee = 0
    }
    // Lookups test it under the page lock, which is held.  The index stays.
    page.mapping = nil
    mapping.nrpages &-= UInt(nr)
}

/// Linux v5.13, mm/filemap.c, unaccount_page_cache_page().
private func unaccount_page_cache_page(_ mapping: address_space, _ page: page) {
    VM_BUG_ON_PAGE(PageTail(page), "PageTail(page)")
    VM_BUG_ON_PAGE(page_mapped(page), "page_mapped(page)")
    let nr = Int(thp_nr_pages(page))
    mod_node_page_state(Int32(NR_FILE_PAGES.rawValue), -nr)
    if PageSwapBacked(page) {
        mod_node_page_state(Int32(NR_SHMEM.rawValue), -nr)
        if PageTransHuge(page) { mod_node_page_state(Int32(NR_SHMEM_THPS.rawValue), -nr) }
    }
    // Written or cleaned by now: what is dirty still is lost.
    if PageDirty(page) && mapping_can_writeback(mapping) {
        mod_node_page_state(Int32(NR_FILE_DIRTY.rawValue), -nr)
    }
}

// MARK: - Ranges

/// The entries from `start` to `end`, both included, as far as a batch goes: pages locked and with a
/// reference.  Pages that are locked by others, written, or only partly in the range are passed over.
/// Linux v5.13, mm/filemap.c, find_lock_entries().
func find_lock_entries(_ mapping: address_space, _ start: UInt, _ end: UInt, _ batch: entry_batch) -> Bool {
    var index = start
    while index <= end && index < UInt(MAX_FILE_PAGES) {
        let entry = page_cache_entry(mapping, index)
        defer { index += 1 }
        guard let page = entry_to_page(entry) else {
            if entry != 0 && !entry_batch_add(batch, entry, index) { break }
            continue
        }
        let last = page.index + UInt(thp_nr_pages(page)) - 1
        let found = page.index >= start && last <= end && trylock_for_range(page, mapping)
        if !found { ops.put_page(page) }
        if found && !entry_batch_add(batch, entry, index) { break }
        index = max(index, last)
    }
    return batch.nr != 0
}

private func trylock_for_range(_ page: page, _ mapping: address_space) -> Bool {
    let function: StaticString = "find_lock_entries"
    guard trylock_page(page, function) else { return false }
    yield_point("PageWriteback", function)
    if page.mapping == address(mapping) && !PageWriteback(page) { return true }
    unlock_page(page, function)
    return false
}

/// The entries from `start` to `end`, both included, as far as a batch goes: pages with a reference.  A part
/// of a huge page ends the batch, as the caller may take the whole.
/// Linux v5.13, mm/filemap.c, find_get_entries().
func find_get_entries(_ mapping: address_space, _ start: UInt, _ end: UInt, _ batch: entry_batch) -> Bool {
    var index = start
    while index <= end && index < UInt(MAX_FILE_PAGES) {
        let entry = page_cache_entry(mapping, index)
        if let page = entry_to_page(entry), PageTransHuge(page) {
            _ = entry_batch_add(batch, entry_of(find_subpage(page, index)), index)
            break
        }
        if entry != 0 && !entry_batch_add(batch, entry, index) { break }
        index += 1
    }
    return batch.nr != 0
}

/// Adds an entry; false when the batch is full then (pagevec_add()).
func entry_batch_add(_ batch: entry_batch, _ entry: UInt, _ index: UInt) -> Bool {
    batch.entry(Int(batch.nr)).pointee = entry
    batch.index(Int(batch.nr)).pointee = index
    batch.nr += 1
    return batch.nr < kernel.pagevec_size
}

/// Puts the pages of a batch and empties it.
/// Linux v5.13, mm/swap.c, pagevec_remove_exceptionals(), __pagevec_release().
func entry_batch_release(_ batch: entry_batch) {
    var nr = 0
    for n in 0..<Int(batch.nr) where entry_to_page(batch.entry(n).pointee) != nil {
        batch.entry(nr).pointee = batch.entry(n).pointee
        nr += 1
    }
    batch.nr = 0
    guard nr > 0 else { return }
    if batch.lru_drained == 0 {
        ops.lru_add_drain()
        batch.lru_drained = 1
    }
    let pages = UnsafeMutableRawPointer(batch.entry(0)).assumingMemoryBound(to: page?.self)
    ops.release_pages(pages, Int32(nr))
}
