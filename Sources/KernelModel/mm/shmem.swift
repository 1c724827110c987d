// SPDX-License-Identifier: GPL-2.0-only
// Files without a disk.  Source: Linux v5.13, mm/shmem.c.
//
// A slot of the page cache holds a page, or the swap entry its page was written to.  shmem+truncate.swift has
// truncation and holes.  Left out: quotas and the accounting of blocks (info->alloced), memory policies and
// replacement for zones, the list of inodes for swapoff, fallocate() of new pages, the shrinker
// for huge pages beyond the end of a file; huge=within_size.

import CKernel
import Simulation

func install_shmem(_ ops: kernel_ops) {
    ops.shmem_fault = shmem_fault
    ops.shmem_writepage = shmem_writepage
    ops.shmem_lock = shmem_lock
    ops.shmem_unlock_mapping = shmem_unlock_mapping
    install_shmem_truncate(ops)
}

/// What shmem_getpage_gfp() does about a hole or the end of the file.
enum sgp_type {
    case SGP_READ, SGP_CACHE, SGP_NOHUGE, SGP_HUGE, SGP_WRITE
    /// From v5.15 on: only what is there, in memory or in swap.
    case SGP_NOALLOC
}

// MARK: - Into and out of the page cache

/// Puts a page where `expected` is: nothing, or a swap entry.
/// Linux v5.13, mm/shmem.c, shmem_add_to_page_cache().
func shmem_add_to_page_cache(
    _ page: page, _ mapping: address_space, _ index: UInt, _ expected: UInt
) -> Int32 {
    let nr = Int(thp_nr_pages(page))
    VM_BUG_ON_PAGE(PageTail(page), "PageTail(page)")
    VM_BUG_ON_PAGE(!PageLocked(page), "!PageLocked(page)")
    VM_BUG_ON_PAGE(!PageSwapBacked(page), "!PageSwapBacked(page)")
    yield_point("page_count")
    page_ref_add(page, Int32(nr))
    page.mapping = address(mapping)
    page.index = index
    spin_lock_irq(mapping.i_pages_lock)
    for n in 0..<nr where mapping.slot(Int(index) + n).pointee != expected {
        spin_unlock_irq(mapping.i_pages_lock)
        page.mapping = nil
        page_ref_sub(page, Int32(nr))
        return -EEXIST
    }
    for n in 0..<nr {
        yield_point("i_pages")
        mapping.slot(Int(index) + n).pointee = entry_of(page)
    }
    if PageTransHuge(page) { mod_node_page_state(Int32(NR_SHMEM_THPS.rawValue), nr) }
    mapping.nrpages += UInt(nr)
    mod_node_page_state(Int32(NR_FILE_PAGES.rawValue), nr)
    mod_node_page_state(Int32(NR_SHMEM.rawValue), nr)
    spin_unlock_irq(mapping.i_pages_lock)
    return 0
}

/// Like delete_from_page_cache(), but leaves a swap entry.
/// Linux v5.13, mm/shmem.c, shmem_delete_from_page_cache(), shmem_replace_entry().
private func shmem_delete_from_page_cache(_ page: page, _ radswap: UInt) {
    let mapping = page_file_mapping(page)!
    let slot = mapping.slot(Int(page.index))
    VM_BUG_ON_PAGE(PageCompound(page), "PageCompound(page)")
    spin_lock_irq(mapping.i_pages_lock)
    let error = slot.pointee != entry_of(page)
    yield_point("i_pages")
    if !error { slot.pointee = radswap }
    page.mapping = nil
    mapping.nrpages &-= 1
    mod_node_page_state(Int32(NR_FILE_PAGES.rawValue), -1)
    mod_node_page_state(Int32(NR_SHMEM.rawValue), -1)
    spin_unlock_irq(mapping.i_pages_lock)
    ops.put_page(page)
    BUG_ON(error, "error")
}

// MARK: - Swap

/// Linux v5.13, mm/shmem.c, shmem_confirm_swap().
private func shmem_confirm_swap(_ mapping: address_space, _ index: UInt, _ swap: swp_entry_t) -> Bool {
    yield_point("i_pages")
    return mapping.slot(Int(index)).pointee == swp_to_radix_entry(swap)
}

/// Moves a locked page, which reclaim wants to write, from the page cache to the swap cache, and writes it.
/// Linux v5.13, mm/shmem.c, shmem_writepage().
private func shmem_writepage(_ page: page) -> Int32 {
    VM_BUG_ON_PAGE(PageCompound(page), "PageCompound(page)")
    BUG_ON(!PageLocked(page) || page.mapping == nil, "!PageLocked(page) || !page->mapping")
    let mapping = page_file_mapping(page)!
    yield_point("as_flags")
    guard mapping.as_flags & AS_UNEVICTABLE == 0, kernel.swap_info.max > 1 else { return shmem_redirty(page) }
    if !PageUptodate(page) {
        page.contents = 0
        SetPageUptodate(page)
    }
    let swap = ops.get_swap_page(page)
    if swap.val == 0 { return shmem_redirty(page) }
    if ops.add_to_swap_cache(page, swap) != 0 {
        ops.put_swap_page(page, swap)
        return shmem_redirty(page)
    }
    mapping.nr_swapped += 1
    ops.swap_shmem_alloc(swap)
    shmem_delete_from_page_cache(page, swp_to_radix_entry(swap))
    BUG_ON(page_mapped(page), "page_mapped(page)")
    ops.swap_writepage(page)
    return 0
}

private func shmem_redirty(_ page: page) -> Int32 {
    ops.set_page_dirty(page)
    return AOP_WRITEPAGE_ACTIVATE
}

/// Brings a page back from swap: locked and with a reference, or an error.
/// Linux v5.13, mm/shmem.c, shmem_swapin_page().
private func shmem_swapin_page(
    _ mapping: address_space, _ index: UInt, _ radswap: UInt, _ sgp: sgp_type,
    _ fault_type: UnsafeMutablePointer<vm_fault_t>?
) -> page {
    let swap = radix_to_swp_entry(radswap)
    var found = ops.lookup_swap_cache(swap)
    if found == nil {
        if let fault_type {
            fault_type.pointee |= VM_FAULT_MAJOR
            count_vm_events(Int32(PGMAJFAULT.rawValue), 1)
        }
        found = ops.swapin_readahead(swap)
    }
    guard let page = found else {
        return ERR_PTR(shmem_confirm_swap(mapping, index, swap) ? -Int(ENOMEM) : -Int(EEXIST))
    }
    // Only the lock keeps the page what it is.
    lock_page(page)
    if !PageSwapCache(page) || page.private_ != swap.val || !shmem_confirm_swap(mapping, index, swap) {
        return shmem_swapin_failed(page, -Int(EEXIST))
    }
    if !PageUptodate(page) { return shmem_swapin_failed(page, -Int(EIO)) }
    wait_on_page_writeback(page)
    let error = shmem_add_to_page_cache(page, mapping, index, radswap)
    if error != 0 { return shmem_swapin_failed(page, Int(error)) }
    mapping.nr_swapped &-= 1
    if sgp == .SGP_WRITE { ops.mark_page_accessed(page) }
    ops.delete_from_swap_cache(page)
    ops.set_page_dirty(page)
    ops.swap_free(swap)
    return page
}

private func shmem_swapin_failed(_ page: page, _ error: Int) -> page {
    unlock_page(page)
    ops.put_page(page)
    return ERR_PTR(error)
}

// MARK: - Finding or making a page

/// Linux v5.13, mm/shmem.c, shmem_alloc_and_acct_page(), shmem_alloc_hugepage(), shmem_alloc_page().
private func shmem_alloc_page(
    _ mapping: address_space, _ index: UInt, _ vma: vm_area_struct?, huge: Bool
) -> page? {
    if huge {
        let hindex = index & ~(HPAGE_PMD_NR() - 1)
        for n in 0..<HPAGE_PMD_NR() {
            yield_point("i_pages")
            if mapping.slot(Int(hindex + n)).pointee != 0 { return nil }
        }
    }
    let page = huge ? alloc_hugepage_vma(vma_thp_gfp_mask(vma)) : ops.alloc_pages(GFP_HIGHUSER_MOVABLE, 0)
    guard let page else { return nil }
    __SetPageLocked(page)
    SetPageSwapBacked(page)
    return page
}

/// The page at `index`: locked and with a reference; an error; or nil for a hole and SGP_READ, or if userfaultfd has
/// dealt with the fault, as `fault_type` says.
/// Linux v5.13, mm/shmem.c, shmem_getpage_gfp().
func shmem_getpage_gfp(
    _ mapping: address_space, _ index: UInt, _ sgp: sgp_type, _ vma: vm_area_struct? = nil,
    _ fault_type: UnsafeMutablePointer<vm_fault_t>? = nil, _ vmf: UnsafeMutablePointer<vm_fault>? = nil
) -> page? {
    while true {
        yield_point("i_size")
        if sgp != .SGP_WRITE && index >= mapping.i_size { return ERR_PTR(-Int(EINVAL)) }

        let entry = find_lock_entry(mapping, index)
        if entry != 0, let vma, userfaultfd_minor(vma) {
            if let page = entry_to_page(entry) {
                unlock_page(page)
                ops.put_page(page)
            }
            fault_type!.pointee = ops.handle_userfault(vmf!, VM_UFFD_MINOR)
            return nil
        }
        if xa_is_value(entry) {
            let page = shmem_swapin_page(mapping, index, entry, sgp, fault_type)
            if IS_ERR(page) && PTR_ERR(page) == -Int(EEXIST) { continue }
            return page
        }
        if let page = entry_to_page(entry) {
            if sgp == .SGP_WRITE { ops.mark_page_accessed(page) }
            // Every page of the cache is uptodate here, but while write() fills it under this lock.
            return find_subpage(page, index)
        }
        if sgp == .SGP_READ { return nil }
        if sgp == .SGP_NOALLOC { return ERR_PTR(-Int(ENOENT)) }
        if let vma, userfaultfd_missing(vma) {
            fault_type!.pointee = ops.handle_userfault(vmf!, VM_UFFD_MISSING)
            return nil
        }
        let page = shmem_new_page(mapping, index, sgp, vma)
        if IS_ERR(page) && PTR_ERR(page) == -Int(EEXIST) { continue }
        return page
    }
}

/// The part of shmem_getpage_gfp() that fills a hole.
private func shmem_new_page(
    _ mapping: address_space, _ index: UInt, _ sgp: sgp_type, _ vma: vm_area_struct?
) -> page {
    let function: StaticString = "shmem_getpage_gfp"
    if shmem_may_be_huge(mapping, sgp), let page = shmem_alloc_page(mapping, index, vma, huge: true) {
        let error = shmem_insert_page(page, mapping, index, sgp)
        if error == 0 { return shmem_finish_page(page, mapping, index, sgp) }
        unlock_page(page, function)
        ops.put_page(page)
    }
    guard let page = shmem_alloc_page(mapping, index, vma, huge: false) else { return ERR_PTR(-Int(ENOMEM)) }
    let error = shmem_insert_page(page, mapping, index, sgp)
    if error == 0 { return shmem_finish_page(page, mapping, index, sgp) }
    unlock_page(page, function)
    ops.put_page(page)
    return ERR_PTR(Int(error))
}

/// The part of shmem_getpage_gfp() that looks at the mount's huge= option.
private func shmem_may_be_huge(_ mapping: address_space, _ sgp: sgp_type) -> Bool {
    mapping.huge && sgp != .SGP_NOHUGE && (!mapping.huge_advise || sgp == .SGP_HUGE)
}

private func shmem_insert_page(_ page: page, _ mapping: address_space, _ index: UInt, _ sgp: sgp_type) -> Int32 {
    if sgp == .SGP_WRITE { SetPageReferenced(page) }
    let hindex = index & ~(UInt(thp_nr_pages(page)) - 1)
    let error = shmem_add_to_page_cache(page, mapping, hindex, 0)
    if error == 0 { ops.lru_cache_add(page) }
    return error
}

/// The labels clear and out of shmem_getpage_gfp().
private func shmem_finish_page(_ page: page, _ mapping: address_space, _ index: UInt, _ sgp: sgp_type) -> page {
    let function: StaticString = "shmem_getpage_gfp"
    if sgp != .SGP_WRITE && !PageUptodate(page) {
        for n in 0..<Int(thp_nr_pages(page)) { page_add(page, n).contents = 0 }
        SetPageUptodate(page)
    }
    // Truncated since it was looked at?
    yield_point("i_size", function)
    if sgp != .SGP_WRITE && index >= mapping.i_size {
        ClearPageDirty(page)
        ops.delete_from_page_cache(page)
        unlock_page(page, function)
        ops.put_page(page)
        return ERR_PTR(-Int(EINVAL))
    }
    return find_subpage(page, index)
}

// MARK: - Faults

/// Linux v5.13, mm/shmem.c, shmem_fault().
private func shmem_fault(_ vmf: UnsafeMutablePointer<vm_fault>) -> vm_fault_t {
    let vma = vmf.pointee.vma
    let mapping = vma.vm_file!
    // So that a hole punch comes to an end: faults would fill the hole behind it again and again.
    yield_point("i_private")
    let falloc = mapping.falloc
    if shmem_falloc_covers(falloc, vmf.pointee.pgoff) {
        let unlocked = maybe_unlock_mmap_for_io(vmf, false)
        might_sleep()
        waitForChange(of: mapping.falloc_word, from: falloc, "i_private")
        return unlocked ? VM_FAULT_RETRY : VM_FAULT_NOPAGE
    }
    yield_point("vm_flags")
    var sgp = sgp_type.SGP_CACHE
    if vma.vm_flags & VM_NOHUGEPAGE != 0 {
        sgp = .SGP_NOHUGE
    } else if vma.vm_flags & VM_HUGEPAGE != 0 {
        sgp = .SGP_HUGE
    }
    var ret = VM_FAULT_LOCKED
    guard let page = shmem_getpage_gfp(mapping, vmf.pointee.pgoff, sgp, vma, &ret, vmf) else { return ret }
    if IS_ERR(page) { return PTR_ERR(page) == -Int(ENOMEM) ? VM_FAULT_OOM : VM_FAULT_SIGBUS }
    vmf.pointee.page = page
    return ret
}

// MARK: - SHM_LOCK

/// Linux v5.13, mm/shmem.c, shmem_lock().
private func shmem_lock(_ mapping: address_space, _ lock: Bool) {
    yield_point("as_flags")
    if lock { mapping.as_flags |= AS_UNEVICTABLE } else { mapping.as_flags &= ~AS_UNEVICTABLE }
}

/// Brings back to the evictable lists what SHM_LOCK kept from them.
/// Linux v5.13, mm/shmem.c, shmem_unlock_mapping().
private func shmem_unlock_mapping(_ mapping: address_space) {
    let pvec = pagevec_init()
    let batch = entry_batch_init()
    defer { leaveFrame(pvec) }
    var index: UInt = 0
    while true {
        // Somebody else may SHM_LOCK it again.
        yield_point("as_flags")
        if mapping.as_flags & AS_UNEVICTABLE != 0 { return }
        guard pagevec_lookup(pvec, batch, mapping, &index) else { return }
        ops.check_move_unevictable_pages(pvec)
        pagevec_reinit(pvec)
        entry_batch_release(batch)
    }
}

/// Pages from `index` on, as far as a batch goes, in `pvec`, with references that `batch` keeps.
/// Linux v5.13, mm/swap.c, pagevec_lookup(); mm/filemap.c, find_get_pages_range().
private func pagevec_lookup(
    _ pvec: pagevec, _ batch: entry_batch, _ mapping: address_space, _ index: inout UInt
) -> Bool {
    while index < UInt(MAX_FILE_PAGES) {
        let entry = page_cache_entry(mapping, index)
        index += 1
        guard let head = entry_to_page(entry) else { continue }
        let page = find_subpage(head, index - 1)
        _ = pagevec_add(pvec, page)
        if !entry_batch_add(batch, entry_of(page), index - 1) { break }
    }
    return batch.nr != 0
}

// MARK: - read() and write()

/// Linux v5.13, mm/shmem.c, shmem_file_read_iter().
func shmem_file_read(_ mapping: address_space, _ index: UInt) -> Int {
    yield_point("i_size")
    if index >= mapping.i_size { return READ_END_OF_FILE }
    let page = shmem_getpage_gfp(mapping, index, .SGP_READ)
    if let page, IS_ERR(page) { return PTR_ERR(page) == -Int(EINVAL) ? READ_END_OF_FILE : PTR_ERR(page) }
    if let page { unlock_page(page) }
    yield_point("i_size")
    let end = index >= mapping.i_size
    guard let page else { return end ? READ_END_OF_FILE : 0 }
    if end {
        ops.put_page(page)
        return READ_END_OF_FILE
    }
    ops.mark_page_accessed(page)
    yield_point("contents")
    let token = page.contents
    ops.put_page(page)
    return Int(truncatingIfNeeded: token & UInt64(Int.max))
}

/// Linux v5.13, mm/filemap.c, generic_perform_write(); mm/shmem.c, shmem_write_begin(), shmem_write_end().
func shmem_perform_write(_ mapping: address_space, _ index: UInt, _ token: UInt64) -> Int {
    let page = shmem_getpage_gfp(mapping, index, .SGP_WRITE)!
    if IS_ERR(page) { return PTR_ERR(page) }
    yield_point("contents")
    page.contents = token
    yield_point("i_size")
    if index + 1 > mapping.i_size { mapping.i_size = index + 1 }
    if !PageUptodate(page) {
        let head = compound_head(page)
        for n in 0..<Int(thp_nr_pages(head)) where page_add(head, n) !== page { page_add(head, n).contents = 0 }
        SetPageUptodate(head)
    }
    ops.set_page_dirty(page)
    unlock_page(page)
    ops.put_page(page)
    return Int(PAGE_SIZE)
}
