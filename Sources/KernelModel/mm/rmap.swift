// SPDX-License-Identifier: GPL-2.0-only
// mm/rmap.c of Linux v5.13: the walks over all mappings of a page, and what asks them: page_referenced(),
// page_mkclean(), try_to_munlock().
//
// The other parts of mm/rmap.c: rmap+anon_vma.swift, rmap+count.swift (page_add_*_rmap() and
// page_remove_rmap()), rmap+unmap.swift (try_to_unmap()).
// Left out: KSM (its own walk; there are no KSM pages), memory cgroups, temporary stacks of exec().

import CKernel
import Simulation

func install_rmap(_ ops: kernel_ops) {
    ops.rmap_walk = rmap_walk
    ops.rmap_walk_locked = rmap_walk_locked
    ops.page_address_in_vma = page_address_in_vma
    ops.page_referenced = page_referenced
    ops.page_referenced_one = page_referenced_one
    ops.page_mkclean = page_mkclean
    ops.page_mkclean_one = page_mkclean_one
    ops.try_to_munlock = try_to_munlock
}

// MARK: - Walks

/// Where the page would be in the vma by its index, ~0 if outside.  Linux v5.13, mm/internal.h, vma_address().
func vma_address(_ page: page, _ vma: vm_area_struct) -> UInt {
    let pgoff = page_to_pgoff(page)
    if pgoff >= vma.vm_pgoff {
        let address = vma.vm_start + (pgoff - vma.vm_pgoff) << UInt(PAGE_SHIFT)
        return address < vma.vm_start || address >= vma.vm_end ? UInt.max : address
    }
    // A huge page may begin before the vma does.
    if PageHead(page) && pgoff + UInt(thp_nr_pages(page)) - 1 >= vma.vm_pgoff { return vma.vm_start }
    return UInt.max
}

/// Linux v5.13, mm/rmap.c, page_address_in_vma().
private func page_address_in_vma(_ page: page, _ vma: vm_area_struct) -> UInt {
    if PageAnon(page) {
        guard let anon_vma = page_anon_vma(page), let own = vma.anon_vma, own.root === anon_vma.root else {
            return UInt.max
        }
    } else {
        guard let file = vma.vm_file, file === page_file_mapping(page) else { return UInt.max }
    }
    return vma_address(page, vma)
}

/// Linux v5.13, mm/rmap.c, rmap_walk().
public func rmap_walk(_ page: page, _ rwc: UnsafeMutablePointer<rmap_walk_control>) {
    if PageAnon(page) {
        rmap_walk_anon(page, rwc, locked: false)
    } else {
        rmap_walk_file(page, rwc, locked: false)
    }
}

/// By a caller that holds the anon_vma's or the mapping's lock.  Linux v5.13, mm/rmap.c, rmap_walk_locked().
private func rmap_walk_locked(_ page: page, _ rwc: UnsafeMutablePointer<rmap_walk_control>) {
    if PageAnon(page) {
        rmap_walk_anon(page, rwc, locked: true)
    } else {
        rmap_walk_file(page, rwc, locked: true)
    }
}

/// Linux v5.13, mm/rmap.c, rmap_walk_anon_lock().
private func rmap_walk_anon_lock(_ page: page, _ rwc: UnsafeMutablePointer<rmap_walk_control>) -> anon_vma? {
    if let anon_lock = rwc.pointee.anon_lock { return anon_lock(page) }
    guard let anon_vma = page_anon_vma(page) else { return nil }
    down_read(anon_vma.root.rwsem)
    return anon_vma
}

/// Linux v5.13, mm/rmap.c, rmap_walk_anon().
private func rmap_walk_anon(_ page: page, _ rwc: UnsafeMutablePointer<rmap_walk_control>, locked: Bool) {
    guard let anon_vma = locked ? page_anon_vma(page) : rmap_walk_anon_lock(page, rwc) else {
        VM_BUG_ON_PAGE(locked, "!anon_vma", "rmap_walk_anon")
        return
    }
    let first = page_to_pgoff(page)
    let last = first + UInt(thp_nr_pages(page)) - 1
    var avc = anon_vma_interval_tree_first(anon_vma, first, last)
    while let mapping = avc {
        let vma = mapping.vma
        let address = vma_address(page, vma)
        VM_BUG_ON_PAGE(address == UInt.max, "address == -EFAULT", "rmap_walk_anon")
        if !visit(page, vma, address, rwc) { break }
        avc = anon_vma_interval_tree_next(anon_vma, mapping, first, last)
    }
    if !locked { ops.page_unlock_anon_vma_read(anon_vma) }
}

/// Linux v5.13, mm/rmap.c, rmap_walk_file().
private func rmap_walk_file(_ page: page, _ rwc: UnsafeMutablePointer<rmap_walk_control>, locked: Bool) {
    // The page lock keeps page.mapping stable: the mapping cannot go away.
    VM_BUG_ON_PAGE(!PageLocked(page), "!PageLocked(page)", "rmap_walk_file")
    guard let mapping = page_file_mapping(page) else { return }
    let first = page_to_pgoff(page)
    let last = first + UInt(thp_nr_pages(page)) - 1
    if !locked { down_read(mapping.i_mmap_rwsem, "rmap_walk_file") }
    var next = vma_interval_tree_first(mapping, first, last)
    while let vma = next {
        let address = vma_address(page, vma)
        VM_BUG_ON_PAGE(address == UInt.max, "address == -EFAULT", "rmap_walk_file")
        if !visit(page, vma, address, rwc) { break }
        next = vma_interval_tree_next(mapping, vma, first, last)
    }
    if !locked { up_read(mapping.i_mmap_rwsem, "rmap_walk_file") }
}

/// One vma of a walk; false to end it.
@inline(__always)
private func visit(
    _ page: page, _ vma: vm_area_struct, _ address: UInt, _ rwc: UnsafeMutablePointer<rmap_walk_control>
) -> Bool {
    noteCost(EVENT_vma_visit, UInt(vma.vm_mm.number), 1)
    if let invalid_vma = rwc.pointee.invalid_vma, invalid_vma(vma, rwc.pointee.arg) { return true }
    if !rwc.pointee.rmap_one(page, vma, address, rwc.pointee.arg) { return false }
    if let done = rwc.pointee.done, done(page) { return false }
    return true
}

/// Linux v5.13, mm/rmap.c, page_not_mapped().
public func page_not_mapped(_ page: page) -> Bool {
    yield_point("page_mapped")
    return !page_mapped(page)
}

// MARK: - page_referenced()

/// Linux v5.13, mm/rmap.c, struct page_referenced_arg.
struct page_referenced_arg {
    var mapcount: Int32
    var referenced: Int32 = 0
    var vm_flags: UInt = 0
}

/// Linux v5.13, mm/rmap.c, page_referenced_one().  Left out: the idle page flags.
private func page_referenced_one(
    _ page: page, _ vma: vm_area_struct, _ address: UInt, _ arg: UnsafeMutableRawPointer?
) -> Bool {
    let pra = arg!.assumingMemoryBound(to: page_referenced_arg.self)
    var pvmw = page_vma_mapped_walk(
        page: page, vma: vma, address: address, pmd: nil, pte: nil, ptl: nil, flags: 0)
    var referenced: Int32 = 0
    while ops.page_vma_mapped_walk(&pvmw) {
        yield_point("vm_flags")
        if vma.vm_flags & VM_LOCKED != 0 {
            page_vma_mapped_walk_done(&pvmw)
            pra.pointee.vm_flags |= VM_LOCKED
            return false
        }
        if let pte = pvmw.pte {
            // A young mapping that is read in sequence does not keep its page.
            if ptep_clear_flush_young_notify(vma, pvmw.address, pte), vma.vm_flags & VM_SEQ_READ == 0 {
                referenced += 1
            }
        } else if pmdp_clear_flush_young_notify(vma, pvmw.address, pvmw.pmd!) {
            referenced += 1
        }
        pra.pointee.mapcount -= 1
    }
    if referenced != 0 {
        pra.pointee.referenced += 1
        pra.pointee.vm_flags |= vma.vm_flags
    }
    return pra.pointee.mapcount != 0
}

/// Linux v5.13, include/linux/mmu_notifier.h, ptep_clear_flush_young_notify().
func ptep_clear_flush_young_notify(
    _ vma: vm_area_struct, _ address: UInt, _ pte: UnsafeMutablePointer<pte_t>
) -> Bool {
    let young = ops.ptep_clear_flush_young(vma, address, pte)
    return ops.mmu_notifier_clear_flush_young(vma.vm_mm, address, address + PAGE_SIZE) || young
}

/// Linux v5.13, include/linux/mmu_notifier.h, pmdp_clear_flush_young_notify().
func pmdp_clear_flush_young_notify(
    _ vma: vm_area_struct, _ address: UInt, _ pmd: UnsafeMutablePointer<pmd_t>
) -> Bool {
    let young = pmdp_clear_flush_young(vma, address, pmd)
    return ops.mmu_notifier_clear_flush_young(vma.vm_mm, address, address + PMD_SIZE()) || young
}

/// In how many mappings the page was referenced since it was last asked.
/// Linux v5.13, mm/rmap.c, page_referenced().
private func page_referenced(_ page: page, _ is_locked: Int32, _ vm_flags: UnsafeMutablePointer<UInt>) -> Int32 {
    vm_flags.pointee = 0
    yield_point("mapcount")
    var pra = page_referenced_arg(mapcount: total_mapcount(page))
    if pra.mapcount == 0 || page_rmapping(page) == nil { return 0 }
    var we_locked = false
    if is_locked == 0 && !PageAnon(page) {
        we_locked = trylock_page(page)
        if !we_locked { return 1 }
    }
    withUnsafeMutablePointer(to: &pra) { pra in
        var rwc = rmap_walk_control(
            arg: pra, rmap_one: ops.page_referenced_one, done: nil, anon_lock: ops.page_lock_anon_vma_read,
            invalid_vma: nil)
        ops.rmap_walk(page, &rwc)
    }
    vm_flags.pointee = pra.vm_flags
    if we_locked { unlock_page(page) }
    return pra.referenced
}

// MARK: - page_mkclean()

/// Linux v5.13, mm/rmap.c, page_mkclean_one().
private func page_mkclean_one(
    _ page: page, _ vma: vm_area_struct, _ address: UInt, _ arg: UnsafeMutableRawPointer?
) -> Bool {
    let cleaned = arg!.assumingMemoryBound(to: Int32.self)
    var pvmw = page_vma_mapped_walk(
        page: page, vma: vma, address: address, pmd: nil, pte: nil, ptl: nil, flags: PVMW_SYNC)
    var range = mmu_notifier_range(
        vma: vma, mm: vma.vm_mm, start: address, end: vma_address_end(page, vma),
        event: MMU_NOTIFY_PROTECTION_PAGE.rawValue)
    ops.mmu_notifier_invalidate_range_start(&range)
    while ops.page_vma_mapped_walk(&pvmw) {
        if let pte = pvmw.pte {
            if !pte_dirty(pte.pointee) && !pte_write(pte.pointee) { continue }
            let entry = ops.ptep_clear_flush(vma, pvmw.address, pte)
            pte.pointee = pte_mkclean(pte_wrprotect(entry))
        } else {
            let pmd = pvmw.pmd!
            if !pmd_dirty(pmd.pointee) && !pmd_write(pmd.pointee) { continue }
            // Never none: MADV_DONTNEED, which takes no page lock, would pass it over.
            let entry = pmdp_invalidate(vma, pvmw.address, pmd)
            set_pmd_at(vma.vm_mm, pvmw.address, pmd, pmd_mkclean(pmd_wrprotect(entry)))
        }
        cleaned.pointee += 1
    }
    ops.mmu_notifier_invalidate_range_end(&range)
    return true
}

/// Linux v5.13, mm/rmap.c, invalid_mkclean_vma().
private func invalid_mkclean_vma(_ vma: vm_area_struct, _ arg: UnsafeMutableRawPointer?) -> Bool {
    vma.vm_flags & VM_SHARED == 0
}

/// Write-protects and cleans the page in all shared mappings; how many were dirty or writable.
/// Linux v5.13, mm/rmap.c, page_mkclean().
private func page_mkclean(_ page: page) -> Int32 {
    BUG_ON(!PageLocked(page), "!PageLocked(page)")
    yield_point("page_mapped")
    if !page_mapped(page) || page_file_mapping(page) == nil { return 0 }
    var cleaned: Int32 = 0
    withUnsafeMutablePointer(to: &cleaned) { cleaned in
        var rwc = rmap_walk_control(
            arg: cleaned, rmap_one: ops.page_mkclean_one, done: nil, anon_lock: nil,
            invalid_vma: invalid_mkclean_vma)
        ops.rmap_walk(page, &rwc)
    }
    return cleaned
}

// MARK: - try_to_munlock()

/// Mlocks the page again if some VM_LOCKED vma maps it: try_to_unmap_one() in the mode TTU_MUNLOCK.
/// Linux v5.13, mm/rmap.c, try_to_munlock().
private func try_to_munlock(_ page: page) {
    VM_BUG_ON_PAGE(!PageLocked(page) || PageLRU(page), "!PageLocked(page) || PageLRU(page)")
    VM_BUG_ON_PAGE(PageCompound(page) && PageDoubleMap(page), "PageCompound(page) && PageDoubleMap(page)")
    var rwc = rmap_walk_control(
        arg: UnsafeMutableRawPointer(bitPattern: TTU_MUNLOCK), rmap_one: ops.try_to_unmap_one, done: page_not_mapped,
        anon_lock: ops.page_lock_anon_vma_read, invalid_vma: nil)
    ops.rmap_walk(page, &rwc)
}
