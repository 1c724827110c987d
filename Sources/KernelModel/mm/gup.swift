// SPDX-License-Identifier: GPL-2.0-only
// mm/gup.c of Linux v5.13: pages of user memory for the kernel and for devices; mlock()'s way to populate.
// The lockless walk is in gup+fast.swift, pins for long (FOLL_LONGTERM) in gup+longterm.swift.
//
// Left out: hugetlb, gate pages, device pages, stack expansion (find_extend_vma()).

import CKernel
import Simulation

func install_gup(_ ops: kernel_ops) {
    ops.follow_page = follow_page
    ops.get_user_pages = get_user_pages
    ops.populate_vma_page_range = populate_vma_page_range
    ops.mm_populate = mm_populate
    ops.unpin_user_page = unpin_user_page
    ops.gup_must_unshare = { _, _, _ in false }
    ops.sanity_check_pinned_page = { _ in }
    install_gup_fast(ops)
    install_gup_longterm(ops)
}

// MARK: - References

/// Linux v5.13, mm/gup.c, unpin_user_page().
private func unpin_user_page(_ page: page) {
    ops.sanity_check_pinned_page(page)
    put_compound_head(compound_head(page), FOLL_PIN)
}

/// Linux v5.13, mm/gup.c, put_compound_head(), for one reference.
func put_compound_head(_ head: page, _ flags: UInt32) {
    if flags & FOLL_PIN != 0 {
        yield_point("page_count")
        if PageCompound(head) {
            head.compound_pincount -= 1
        } else {
            VM_BUG_ON_PAGE(head._refcount < GUP_PIN_COUNTING_BIAS, "page_ref_count(page) < refs")
            page_ref_sub(head, GUP_PIN_COUNTING_BIAS - 1)
        }
    }
    ops.put_page(head)
}

// MARK: - Looking a page up

/// Linux v5.13, mm/gup.c, no_page_table().
private func no_page_table(_ vma: vm_area_struct, _ flags: UInt32) -> page? {
    flags & FOLL_DUMP != 0 && vma_is_anonymous(vma) ? ERR_PTR(-Int(EFAULT)) : nil
}

/// Linux v5.13, mm/gup.c, can_follow_write_pte().
private func can_follow_write_pte(_ pte: pte_t, _ flags: UInt32) -> Bool {
    pte_write(pte) || flags & (FOLL_FORCE | FOLL_COW) == FOLL_FORCE | FOLL_COW && pte_dirty(pte)
}

/// Linux v5.13, mm/gup.c, follow_page_pte().
private func follow_page_pte(
    _ vma: vm_area_struct, _ address: UInt, _ pmd: UnsafeMutablePointer<pmd_t>, _ flags: UInt32
) -> page? {
    let mm = vma.vm_mm
    while true {
        if pmd_trans_unstable(pmd) { return no_page_table(vma, flags) }
        guard let (ptep, ptl) = pte_offset_map_lock(mm, pmd, address) else { return no_page_table(vma, flags) }
        let pte = ptep.pointee
        if !pte_present(pte) {
            let migrating = !pte_none(pte) && is_migration_entry(pte_to_swp_entry(pte))
            pte_unmap_unlock(ptep, ptl)
            guard flags & FOLL_MIGRATION != 0 && migrating else {
                return pte_none(pte) ? no_page_table(vma, flags) : nil
            }
            ops.migration_entry_wait(mm, pmd, address)
            continue
        }
        let hinting = flags & FOLL_NUMA != 0 && pte_protnone(pte)
        if hinting || flags & FOLL_WRITE != 0 && !can_follow_write_pte(pte, flags) {
            pte_unmap_unlock(ptep, ptl)
            return nil
        }
        let page = follow_present_pte(vma, pte, flags)
        pte_unmap_unlock(ptep, ptl)
        return page
    }
}

/// What follow_page_pte() does with the page of a pte, under the page table lock.
private func follow_present_pte(_ vma: vm_area_struct, _ pte: pte_t, _ flags: UInt32) -> page {
    let page = pte_page(pte)
    if !pte_write(pte) && ops.gup_must_unshare(vma, flags, page) { return ERR_PTR(-Int(EMLINK)) }
    yield_point("page_count", "follow_page_pte")
    if !try_grab_page(page, flags) { return ERR_PTR(-Int(ENOMEM)) }
    if flags & FOLL_TOUCH != 0 {
        yield_point("PageDirty", "follow_page_pte")
        if flags & FOLL_WRITE != 0 && !pte_dirty(pte) && !PageDirty(page) { ops.set_page_dirty(page) }
        ops.mark_page_accessed(page)
    }
    // A huge page that is mapped by ptes is never mlocked: other, unlocked, vmas may map the rest of it.
    if flags & FOLL_MLOCK != 0 && vma.vm_flags & VM_LOCKED != 0 && !PageTransCompound(page) {
        yield_point("mapping", "follow_page_pte")
        // A page that is locked is left to reclaim, which will find the VM_LOCKED vma.
        if page.mapping != nil && trylock_page(page, "follow_page_pte") {
            ops.lru_add_drain()
            ops.mlock_vma_page(page)
            unlock_page(page, "follow_page_pte")
        }
    }
    return page
}

/// The page at an address: nil if there is none to be had so, or an error in its place.
/// Linux v5.13, mm/gup.c, follow_page_mask(), follow_pmd_mask().
///
/// - Parameter page_mask: how many pages behind this one the same huge page holds.
private func follow_page_mask(
    _ vma: vm_area_struct, _ address: UInt, _ flags: UInt32, _ page_mask: UnsafeMutablePointer<UInt>
) -> page? {
    let mm = vma.vm_mm
    let pmd = pmd_offset(mm, address)
    page_mask.pointee = 0
    yield_point("pmd")
    var pmdval = pmd.pointee
    if pmd_none(pmdval) { return no_page_table(vma, flags) }
    while !pmd_present(pmdval) {
        if flags & FOLL_MIGRATION == 0 { return no_page_table(vma, flags) }
        ops.pmd_migration_entry_wait(mm, pmd)
        yield_point("pmd")
        pmdval = pmd.pointee
        if pmd_none(pmdval) { return no_page_table(vma, flags) }
    }
    if !pmd_trans_huge(pmdval) { return follow_page_pte(vma, address, pmd, flags) }
    if flags & FOLL_NUMA != 0 && pmd_protnone(pmdval) { return no_page_table(vma, flags) }

    while true {
        let ptl = pmd_lock(mm, pmd)
        if pmd_none(pmd.pointee) {
            spin_unlock(ptl)
            return no_page_table(vma, flags)
        }
        if !pmd_present(pmd.pointee) {
            spin_unlock(ptl)
            if flags & FOLL_MIGRATION == 0 { return no_page_table(vma, flags) }
            ops.pmd_migration_entry_wait(mm, pmd)
            continue
        }
        if !pmd_trans_huge(pmd.pointee) {
            spin_unlock(ptl)
            return follow_page_pte(vma, address, pmd, flags)
        }
        if flags & FOLL_SPLIT_PMD != 0 {
            spin_unlock(ptl)
            ops.split_huge_pmd(vma, pmd, address)
            if ops.pte_alloc(mm, pmd) != 0 { return ERR_PTR(-Int(ENOMEM)) }
            return follow_page_pte(vma, address, pmd, flags)
        }
        let page = ops.follow_trans_huge_pmd(vma, address, pmd, flags)
        spin_unlock(ptl)
        page_mask.pointee = HPAGE_PMD_NR() - 1
        return page
    }
}

/// Linux v5.13, mm/gup.c, follow_page().
private func follow_page(_ vma: vm_area_struct, _ address: UInt, _ flags: UInt32) -> page? {
    var page_mask: UInt = 0
    return follow_page_mask(vma, address, flags, &page_mask)
}

// MARK: - Faulting in

/// Linux v5.13, mm/gup.c, faultin_page().
///
/// - Parameter unshare: from v5.19 on, the page is there, and must become the mm's own.
private func faultin_page(
    _ vma: vm_area_struct, _ address: UInt, _ flags: UnsafeMutablePointer<UInt32>, _ unshare: Bool,
    _ locked: UnsafeMutablePointer<Int32>?
) -> Int32 {
    // mlock2(MLOCK_ONFAULT) marks what is there.
    if flags.pointee & (FOLL_POPULATE | FOLL_MLOCK) == FOLL_MLOCK { return -ENOENT }
    var fault_flags: UInt32 = 0
    if flags.pointee & FOLL_WRITE != 0 { fault_flags |= FAULT_FLAG_WRITE }
    if locked != nil { fault_flags |= FAULT_FLAG_ALLOW_RETRY }
    if flags.pointee & FOLL_TRIED != 0 { fault_flags |= FAULT_FLAG_TRIED }
    if unshare { fault_flags |= FAULT_FLAG_UNSHARE }

    let ret = ops.handle_mm_fault(vma, address, fault_flags)
    if ret & VM_FAULT_ERROR != 0 { return ret & VM_FAULT_OOM != 0 ? -ENOMEM : -EFAULT }
    if ret & VM_FAULT_RETRY != 0 {
        locked?.pointee = 0
        return -EBUSY
    }
    // COW is broken as far as it will be: a read is enough to find the page that a forced write is for.
    if ret & VM_FAULT_WRITE != 0 && vma.vm_flags & VM_WRITE == 0 { flags.pointee |= FOLL_COW }
    return 0
}

/// Linux v5.13, mm/gup.c, check_vma_flags().
private func check_vma_flags(_ vma: vm_area_struct, _ flags: UInt32) -> Int32 {
    let force = flags & FOLL_FORCE != 0
    if vma.vm_flags & (VM_IO | VM_PFNMAP) != 0 { return -EFAULT }
    if flags & FOLL_WRITE != 0 {
        if vma.vm_flags & VM_WRITE == 0 && !(force && is_cow_mapping(vma.vm_flags)) { return -EFAULT }
    } else if vma.vm_flags & VM_READ == 0 {
        if !force || vma.vm_flags & VM_MAYREAD == 0 { return -EFAULT }
    }
    return 0
}

/// Linux v5.13, mm/gup.c, __get_user_pages().
func __get_user_pages(
    _ mm: mm_struct, _ first: UInt, _ count: UInt, _ flags: UInt32, _ pages: UnsafeMutablePointer<page?>?,
    _ locked: UnsafeMutablePointer<Int32>?
) -> Int {
    let gup_flags = flags & FOLL_FORCE == 0 ? flags | FOLL_NUMA : flags
    var (start, nr_pages, done) = (first, count, 0)
    var vma: vm_area_struct?
    while nr_pages > 0 {
        if vma == nil || start >= vma!.vm_end {
            vma = ops.find_vma(mm, start)
            guard let found = vma, found.vm_start <= start else { return done > 0 ? done : -Int(EFAULT) }
            let error = check_vma_flags(found, gup_flags)
            if error != 0 { return done > 0 ? done : Int(error) }
        }
        var page_mask: UInt = 0
        let ret = get_user_page(vma!, start, gup_flags, pages.map { $0 + done }, &page_mask, locked)
        if ret == -EBUSY { return done }
        if ret != 0 && ret != -ENOENT { return done > 0 ? done : Int(ret) }
        if pages != nil { page_mask = 0 }
        let step = min(1 + (~(start >> UInt(PAGE_SHIFT)) & page_mask), nr_pages)
        done += Int(step)
        start += step * PAGE_SIZE
        nr_pages -= step
    }
    return done
}

/// One round of the loop of __get_user_pages(): -ENOENT for a page that is passed over.
private func get_user_page(
    _ vma: vm_area_struct, _ address: UInt, _ gup_flags: UInt32, _ result: UnsafeMutablePointer<page?>?,
    _ page_mask: UnsafeMutablePointer<UInt>, _ locked: UnsafeMutablePointer<Int32>?
) -> Int32 {
    var flags = gup_flags
    while true {
        if current.fatal_signal || current.interrupted { return -EINTR }
        let page = follow_page_mask(vma, address, flags, page_mask)
        let unshare = page.map { IS_ERR($0) && PTR_ERR($0) == -Int(EMLINK) } ?? false
        if let page, !unshare {
            if IS_ERR(page) { return Int32(PTR_ERR(page)) }
            result?.pointee = page
            return 0
        }
        let error = faultin_page(vma, address, &flags, unshare, locked)
        if error != 0 { return error }
    }
}

/// Linux v5.13, mm/gup.c, __get_user_pages_locked().
///
/// - Parameter locked: 1; 0 afterwards if mmap_lock was given up on the way.  nil: it is kept.
func __get_user_pages_locked(
    _ mm: mm_struct, _ first: UInt, _ count: UInt, _ gup_flags: UInt32, _ result: UnsafeMutablePointer<page?>?,
    _ locked: UnsafeMutablePointer<Int32>?
) -> Int {
    var flags = gup_flags
    if flags & FOLL_PIN != 0 { mm.has_pinned = true }
    if result != nil && flags & FOLL_PIN == 0 { flags |= FOLL_GET }
    guard let locked else { return __get_user_pages(mm, first, count, flags, result, nil) }

    var (start, nr_pages, pages, pages_done) = (first, count, result, 0)
    var lock_dropped = false
    while true {
        let ret = __get_user_pages(mm, start, nr_pages, flags, pages, locked)
        if ret > 0 {
            nr_pages -= UInt(ret)
            pages_done += ret
        }
        if locked.pointee != 0 || nr_pages == 0 {
            if pages_done == 0 { pages_done = ret }
            break
        }
        // The lock was given up for one page: that page once more, without giving it up again.
        pages = pages.map { $0 + max(ret, 0) }
        start += UInt(max(ret, 0)) << UInt(PAGE_SHIFT)
        lock_dropped = true
        let again = retry_user_page(mm, start, flags, pages, locked)
        if again != 1 {
            if pages_done == 0 { pages_done = again }
            break
        }
        pages_done += 1
        nr_pages -= 1
        if nr_pages == 0 { break }
        pages = pages.map { $0 + 1 }
        start += PAGE_SIZE
    }
    if lock_dropped && locked.pointee != 0 {
        up_read(mm.mmap_lock)
        locked.pointee = 0
    }
    return pages_done
}

private func retry_user_page(
    _ mm: mm_struct, _ start: UInt, _ flags: UInt32, _ pages: UnsafeMutablePointer<page?>?,
    _ locked: UnsafeMutablePointer<Int32>
) -> Int {
    while true {
        if current.fatal_signal || current.interrupted { return -Int(EINTR) }
        down_read(mm.mmap_lock)
        locked.pointee = 1
        let ret = __get_user_pages(mm, start, 1, flags | FOLL_TRIED, pages, locked)
        if locked.pointee != 0 { return ret }
    }
}

/// Linux v5.13, mm/gup.c, get_user_pages_remote(), pin_user_pages_remote(), __get_user_pages_remote().  The caller
/// holds mmap_lock.
private func get_user_pages(
    _ mm: mm_struct, _ start: UInt, _ nr: UInt, _ flags: UInt32, _ pages: UnsafeMutablePointer<page?>?
) -> Int {
    __gup_longterm_locked(mm, start, nr, flags | FOLL_TOUCH, pages)
}

// MARK: - Populating

/// Linux v5.13, mm/gup.c, populate_vma_page_range().
private func populate_vma_page_range(
    _ vma: vm_area_struct, _ start: UInt, _ end: UInt, _ locked: UnsafeMutablePointer<Int32>?
) -> Int {
    VM_BUG_ON_PAGE(start < vma.vm_start || end > vma.vm_end, "start < vma->vm_start || end > vma->vm_end")
    var gup_flags = FOLL_TOUCH | FOLL_POPULATE | FOLL_MLOCK
    if vma.vm_flags & VM_LOCKONFAULT != 0 { gup_flags &= ~FOLL_POPULATE }
    // Break COW now, but do not dirty shared pages for nothing.
    if vma.vm_flags & (VM_WRITE | VM_SHARED) == VM_WRITE { gup_flags |= FOLL_WRITE }
    // Everything but PROT_NONE is populated.
    if vma_is_accessible(vma) { gup_flags |= FOLL_FORCE }
    return __get_user_pages(vma.vm_mm, start, (end - start) >> UInt(PAGE_SHIFT), gup_flags, nil, locked)
}

/// Linux v5.13, mm/gup.c, __mm_populate().
private func mm_populate(_ start: UInt, _ len: UInt, _ ignore_errors: Bool) -> Int32 {
    let mm = current.mm!
    let end = start + len
    var locked: Int32 = 0
    var vma: vm_area_struct?
    var nstart = start
    var ret = 0
    while nstart < end {
        if locked == 0 {
            locked = 1
            down_read(mm.mmap_lock)
            vma = ops.find_vma(mm, nstart)
        } else if nstart >= vma!.vm_end {
            vma = vma!.vm_next
        }
        guard let found = vma, found.vm_start < end else { break }
        var nend = min(end, found.vm_end)
        if found.vm_flags & (VM_IO | VM_PFNMAP) == 0 {
            nstart = max(nstart, found.vm_start)
            let populated = ops.populate_vma_page_range(found, nstart, nend, &locked)
            if populated >= 0 {
                nend = nstart + UInt(populated) * PAGE_SIZE
            } else if !ignore_errors {
                ret = populated
                break
            }
        }
        nstart = nend
    }
    if locked != 0 { up_read(mm.mmap_lock) }
    return Int32(ret)
}
