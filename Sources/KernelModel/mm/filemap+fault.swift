// SPDX-License-Identifier: GPL-2.0-only
// Faults on files.  Source: Linux v5.13, mm/filemap.c.
//
// A fault that must read from the disk, or wait for a page, drops the mmap_lock and asks its caller to come
// again, where it may.  Left out: readahead and its counters, fatal signals while waiting for the page lock.

import CKernel
import Simulation

func install_filemap_fault(_ ops: kernel_ops) {
    ops.filemap_fault = filemap_fault
    ops.filemap_map_pages = filemap_map_pages
}

// MARK: - vm_ops->fault

/// Linux v5.13, mm/internal.h, maybe_unlock_mmap_for_io(): whether the mmap_lock is dropped now, if it was
/// not before.
func maybe_unlock_mmap_for_io(_ vmf: UnsafeMutablePointer<vm_fault>, _ unlocked: Bool) -> Bool {
    if unlocked { return true }
    let flags = vmf.pointee.flags
    guard flags & FAULT_FLAG_ALLOW_RETRY != 0 && flags & FAULT_FLAG_TRIED == 0 else { return false }
    up_read(vmf.pointee.vma.vm_mm.mmap_lock)
    return true
}

/// Linux v5.13, mm/filemap.c, lock_page_maybe_drop_mmap().
private func lock_page_maybe_drop_mmap(
    _ vmf: UnsafeMutablePointer<vm_fault>, _ page: page, _ unlocked: Bool
) -> Bool {
    if trylock_page(page) { return unlocked }
    let unlocked = maybe_unlock_mmap_for_io(vmf, unlocked)
    lock_page(page)
    return unlocked
}

/// Finds or reads the page: VM_FAULT_LOCKED with vmf->page locked, or VM_FAULT_RETRY with the mmap_lock
/// dropped.
/// Linux v5.13, mm/filemap.c, filemap_fault().
private func filemap_fault(_ vmf: UnsafeMutablePointer<vm_fault>) -> vm_fault_t {
    let mapping = vmf.pointee.vma.vm_file!
    let offset = vmf.pointee.pgoff
    var unlocked = false
    var ret: vm_fault_t = 0

    yield_point("i_size")
    if offset >= mapping.i_size { return VM_FAULT_SIGBUS }

    var page = ops.find_get_page(mapping, offset)
    if page == nil {
        count_vm_events(Int32(PGMAJFAULT.rawValue), 1)
        ret = VM_FAULT_MAJOR
        // do_sync_mmap_readahead(), with nothing read ahead.
        yield_point("vm_flags")
        if vmf.pointee.vma.vm_flags & VM_RAND_READ == 0 { unlocked = maybe_unlock_mmap_for_io(vmf, unlocked) }
        page = pagecache_get_page(mapping, offset, FGP_CREAT | FGP_FOR_MMAP)
    }
    while let found = page {
        unlocked = lock_page_maybe_drop_mmap(vmf, found, unlocked)
        if compound_head(found).mapping != address(mapping) {
            // Truncated meanwhile.
            unlock_page(found)
            ops.put_page(found)
        } else if !PageUptodate(found) {
            unlocked = maybe_unlock_mmap_for_io(vmf, unlocked)
            readpage(mapping, found)
            wait_on_page_locked(found)
            ops.put_page(found)
            if unlocked { return ret | VM_FAULT_RETRY }
        } else {
            return filemap_fault_locked(vmf, mapping, found, unlocked, ret)
        }
        page = pagecache_get_page(mapping, offset, FGP_CREAT | FGP_FOR_MMAP)
    }
    return unlocked ? ret | VM_FAULT_RETRY : VM_FAULT_OOM
}

/// The end of filemap_fault(): a locked, uptodate page of the file.
private func filemap_fault_locked(
    _ vmf: UnsafeMutablePointer<vm_fault>, _ mapping: address_space, _ page: page, _ unlocked: Bool,
    _ ret: vm_fault_t
) -> vm_fault_t {
    let function: StaticString = "filemap_fault"
    if unlocked {
        // The caller finds the vma again, and the page where it is now.
        unlock_page(page, function)
        ops.put_page(page)
        return ret | VM_FAULT_RETRY
    }
    // Truncation stores i_size first, and then takes the page lock.
    yield_point("i_size", function)
    if vmf.pointee.pgoff >= mapping.i_size {
        unlock_page(page, function)
        ops.put_page(page)
        return VM_FAULT_SIGBUS
    }
    vmf.pointee.page = page
    return ret | VM_FAULT_LOCKED
}

// MARK: - vm_ops->map_pages

/// Linux v5.13, mm/filemap.c, filemap_map_pmd(): whether the pmd is not for ptes (any more).  Consumes the
/// page's lock and reference then.
private func filemap_map_pmd(_ vmf: UnsafeMutablePointer<vm_fault>, _ page: page) -> Bool {
    let mm = vmf.pointee.vma.vm_mm
    let pmd = vmf.pointee.pmd

    yield_point("pmd")
    if pmd_trans_huge(pmd.pointee) {
        unlock_page(page)
        ops.put_page(page)
        return true
    }
    if pmd_none(pmd.pointee) && PageTransHuge(page) {
        if ops.do_set_pmd(vmf, page) == 0 {
            // The mapping has the reference now.
            unlock_page(page)
            return true
        }
    }
    yield_point("pmd")
    if pmd_none(pmd.pointee) {
        let ptl = pmd_lock(mm, pmd)
        if pmd_none(pmd.pointee) {
            // Who found the pmd in use a moment ago has allocated none, and may find it empty now (9aa1345d66b8).
            BUG_ON(vmf.pointee.prealloc_pte == nil, "!vmf->prealloc_pte")
            let table = vmf.pointee.prealloc_pte!
            mm_inc_nr_ptes(mm)
            pmd_populate(mm, pmd, table)
            vmf.pointee.prealloc_pte = nil
        }
        spin_unlock(ptl)
    }
    // See handle_pte_fault(): a huge page may be there, or the pmd be empty again.
    if pmd_trans_unstable(pmd) {
        unlock_page(page)
        ops.put_page(page)
        return true
    }
    return false
}

/// The page at `index`, locked and with a reference, if that takes no waiting and no reading.
/// Linux v5.13, mm/filemap.c, next_uptodate_page(), one step of its loop.
private func next_uptodate_page(_ mapping: address_space, _ index: UInt) -> page? {
    let slot = mapping.slot(Int(index))
    yield_point("i_pages")
    if slot.pointee == XA_RETRY_ENTRY { spin_unlock_wait(mapping.i_pages_lock) }
    let entry = slot.pointee
    guard let page = entry_to_page(entry) else { return nil }
    yield_point("PageLocked")
    if PageLocked(page) { return nil }
    yield_point("page_count")
    guard page_cache_get_speculative(page) else { return nil }
    // Has the page moved, or been split?
    yield_point("i_pages")
    if slot.pointee == entry && PageUptodate(page) && trylock_page(page) {
        yield_point("i_size")
        if page.mapping == address(mapping) && PageUptodate(page) && index < mapping.i_size { return page }
        unlock_page(page)
    }
    ops.put_page(page)
    return nil
}

/// Maps the pages from `start_pgoff` to `end_pgoff` that are in the page cache, around a read fault.
/// Linux v5.13, mm/filemap.c, filemap_map_pages().
private func filemap_map_pages(
    _ vmf: UnsafeMutablePointer<vm_fault>, _ start_pgoff: UInt, _ end_pgoff: UInt
) -> vm_fault_t {
    let vma = vmf.pointee.vma
    let mapping = vma.vm_file!
    let end = min(end_pgoff, UInt(MAX_FILE_PAGES) - 1)
    var ret: vm_fault_t = 0
    var index = start_pgoff
    var head: page?

    rcu_read_lock()
    defer { rcu_read_unlock() }
    while index <= end {
        head = next_uptodate_page(mapping, index)
        if head != nil { break }
        index += 1
    }
    guard let first = head else { return 0 }
    if filemap_map_pmd(vmf, first) { return VM_FAULT_NOPAGE }

    let start_address = vma.vm_start + (start_pgoff - vma.vm_pgoff) << UInt(PAGE_SHIFT)
    guard let (start_pte, ptl) = pte_offset_map_lock(vma.vm_mm, vmf.pointee.pmd, start_address) else {
        unlock_page(first)
        ops.put_page(first)
        return 0
    }
    vmf.pointee.ptl = ptl
    while index <= end {
        if let head {
            let offset = index - start_pgoff
            let address = start_address + offset << UInt(PAGE_SHIFT)
            let pte = start_pte + Int(offset)
            vmf.pointee.pte = pte
            if pte_none(pte.pointee) {
                // That is the fault itself.
                if vmf.pointee.address == address { ret = VM_FAULT_NOPAGE }
                ops.do_set_pte(vmf, find_subpage(head, index), address)
                unlock_page(head)
            } else {
                unlock_page(head)
                ops.put_page(head)
            }
        }
        index += 1
        head = index <= end ? next_uptodate_page(mapping, index) : nil
    }
    pte_unmap_unlock(start_pte, ptl)
    return ret
}
