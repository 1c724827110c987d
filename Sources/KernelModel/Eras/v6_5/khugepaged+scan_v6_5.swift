// SPDX-License-Identifier: GPL-2.0-only
// mm/khugepaged.c of Linux v6.5: khugepaged's way through the mms, and its look at a range of a file.
//
// Left out: sleeping between scans and after a failed allocation (the trace says when khugepaged works), counters
// of sysfs.

import CKernel
import Simulation

func install_khugepaged_scan_v6_5(_ ops: kernel_ops) {
    ops.khugepaged_do_scan = khugepaged_do_scan
}

// MARK: - A range of a file

/// Whether the page cache has what a huge page is worth, and if so collapses it.
/// Linux v6.5, mm/khugepaged.c, hpage_collapse_scan_file().
func hpage_collapse_scan_file(
    _ mm: mm_struct, _ addr: UInt, _ mapping: address_space, _ start: UInt,
    _ cc: UnsafeMutablePointer<collapse_control>
) -> Int32 {
    clear_node_load(cc)
    rcu_read_lock()
    let (result, present) = scan_page_cache(mapping, start, cc)
    rcu_read_unlock()
    if result != SCAN_SUCCEED { return result }
    if cc.pointee.is_khugepaged && present < hpage_pmd_nr - khugepaged_max_ptes_none { return SCAN_EXCEED_NONE_PTE }
    return ops.collapse_file(mm, addr, mapping, start, cc)
}

/// The lockless walk of hpage_collapse_scan_file(): it holds no references, so what it sees may be gone already.
private func scan_page_cache(
    _ mapping: address_space, _ start: UInt, _ cc: UnsafeMutablePointer<collapse_control>
) -> (result: Int32, present: Int) {
    let function: StaticString = "hpage_collapse_scan_file"
    var present = 0
    var swap = 0
    for index in start..<start + HPAGE_PMD_NR() {
        var entry: UInt
        repeat {
            yield_point("i_pages", function)
            entry = mapping.slot(Int(index)).pointee
            if entry == UInt(XA_RETRY_ENTRY) { spin_unlock_wait(mapping.i_pages_lock, function) }
        } while entry == UInt(XA_RETRY_ENTRY)
        if entry == 0 { continue }
        guard let page = entry_to_page(entry) else {
            swap += 1
            if cc.pointee.is_khugepaged && swap > khugepaged_max_ptes_swap { return (SCAN_EXCEED_SWAP_PTE, present) }
            continue
        }
        if PageTransCompound(page) {
            let head = compound_head(page)
            let whole = UInt8(thp_order(head)) == kernel.hpage_pmd_order && head.index == start
            return (whole ? SCAN_PTE_MAPPED_HUGEPAGE : SCAN_PAGE_COMPOUND, present)
        }
        node_load(cc, Int(page.nid)).pointee += 1
        yield_point("PageLRU", function)
        if !PageLRU(page) { return (SCAN_PAGE_LRU, present) }
        yield_point("page_count", function)
        if page_count(page) != 1 + page_mapcount(page) { return (SCAN_PAGE_COUNT, present) }
        present += 1
    }
    return (SCAN_SUCCEED, present)
}

// MARK: - An mm

/// How far a look at one mm came: the vma it ended in, nil after the last one.
private struct ScanOfMm {
    var vma: vm_area_struct?
    var progress = 0
}

/// Goes on where the last scan ended, until a range of a file was looked at, or `pages` were.  khugepaged_mm_lock
/// is held, and dropped meanwhile.
/// Linux v6.5, mm/khugepaged.c, khugepaged_scan_mm_slot().
private func khugepaged_scan_mm_slot(_ pages: Int, _ cc: UnsafeMutablePointer<collapse_control>) -> Int {
    let cursor = kernel.khugepaged_scan
    let mm_slot: khugepaged_mm_slot
    if let current = cursor.mm_slot {
        mm_slot = current
    } else {
        mm_slot = mm_slot_of(cursor.mm_head.next)
        cursor.address = 0
        cursor.mm_slot = mm_slot
    }
    spin_unlock(kernel.khugepaged_mm_lock)
    khugepaged_collapse_pte_mapped_thps(mm_slot)

    let mm = mm_slot.mm
    let scan = scan_mm(mm, cursor, pages, cc)

    spin_lock(kernel.khugepaged_mm_lock)
    BUG_ON(cursor.mm_slot !== mm_slot, "khugepaged_scan.mm_slot != mm_slot")
    if hpage_collapse_test_exit(mm) || scan.vma == nil {
        // An mm that exits from now on finds that nobody works on it.
        if mm_slot.mm_node.next !== cursor.mm_head {
            cursor.mm_slot = mm_slot_of(mm_slot.mm_node.next)
            cursor.address = 0
        } else {
            cursor.mm_slot = nil
        }
        collect_mm_slot(mm_slot)
    }
    return scan.progress
}

/// The part of khugepaged_scan_mm_slot() under mmap_lock.
private func scan_mm(
    _ mm: mm_struct, _ cursor: khugepaged_scan, _ pages: Int, _ cc: UnsafeMutablePointer<collapse_control>
) -> ScanOfMm {
    let function: StaticString = "khugepaged_scan_mm_slot"
    var scan = ScanOfMm()
    // Rather the next mm than a long wait.
    if !down_read_trylock(mm.mmap_lock, function) { return scan }
    scan.progress += 1
    if hpage_collapse_test_exit(mm) {
        up_read(mm.mmap_lock, function)
        return scan
    }
    scan.vma = ops.find_vma(mm, cursor.address)
    while let vma = scan.vma {
        if hpage_collapse_test_exit(mm) {
            scan.progress += 1
            break
        }
        let hstart = (vma.vm_start + PMD_SIZE() - 1) & PMD_MASK()
        let hend = vma.vm_end & PMD_MASK()
        guard hugepage_vma_check(vma, vma.vm_flags, enforce_sysfs: true), cursor.address <= hend else {
            scan.progress += 1
            scan.vma = vma.vm_next
            continue
        }
        if cursor.address < hstart { cursor.address = hstart }
        while cursor.address < hend {
            if hpage_collapse_test_exit(mm) {
                up_read(mm.mmap_lock, function)
                return scan
            }
            let address = cursor.address
            let mmap_locked = khugepaged_scan_range(vma, address, cc)
            cursor.address = address + PMD_SIZE()
            scan.progress += hpage_pmd_nr
            if !mmap_locked { return scan }
            if scan.progress >= pages {
                up_read(mm.mmap_lock, function)
                return scan
            }
        }
        scan.vma = vma.vm_next
    }
    up_read(mm.mmap_lock, function)
    return scan
}

/// One range; false if mmap_lock was dropped.
private func khugepaged_scan_range(
    _ vma: vm_area_struct, _ address: UInt, _ cc: UnsafeMutablePointer<collapse_control>
) -> Bool {
    let function: StaticString = "khugepaged_scan_mm_slot"
    let mm = vma.vm_mm
    guard let file = vma.vm_file else {
        var mmap_locked = true
        _ = hpage_collapse_scan_pmd(mm, vma, address, &mmap_locked, cc)
        return mmap_locked
    }
    let pgoff = linear_page_index(vma, address)
    up_read(mm.mmap_lock, function)
    let result = hpage_collapse_scan_file(mm, address, file, pgoff, cc)
    if result == SCAN_PTE_MAPPED_HUGEPAGE && find_pmd_or_thp_or_none(mm, address).result == SCAN_SUCCEED {
        khugepaged_add_pte_mapped_thp(mm, address)
    }
    return false
}

/// Linux v6.5, mm/khugepaged.c, collect_mm_slot().
private func collect_mm_slot(_ mm_slot: khugepaged_mm_slot) {
    let mm = mm_slot.mm
    guard hpage_collapse_test_exit(mm) else { return }
    list_del(mm_slot.mm_node)
    kmem_cache_free(CACHE_khugepaged_mm_slot, address(mm_slot))
    ops.mmdrop(mm)
}

/// One turn of khugepaged_do_scan()'s loop: the mm at the cursor.
/// Linux v6.5, mm/khugepaged.c, khugepaged_do_scan().
private func khugepaged_do_scan() -> Int {
    var cc = collapse_control()
    cc.is_khugepaged = true
    ops.lru_add_drain_all()
    spin_lock(kernel.khugepaged_mm_lock)
    if !list_empty(kernel.khugepaged_scan.mm_head) { _ = khugepaged_scan_mm_slot(hpage_pmd_nr * 8, &cc) }
    spin_unlock(kernel.khugepaged_mm_lock)
    return 0
}
