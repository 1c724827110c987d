// SPDX-License-Identifier: GPL-2.0-only
// mm/khugepaged.c of Linux v5.18-rc1: the way through the registered mms, from one range to the next.

import CKernel
import Simulation

func install_khugepaged_scan_v5_18(_ ops: kernel_ops) {
    ops.khugepaged_do_scan = khugepaged_do_scan
    ops.khugepaged_scan_file = khugepaged_scan_file
}

/// No range was looked at: none is left, or a lock was busy.
private let SCAN_NOTHING: Int32 = -EAGAIN

/// Whether a range of a file is worth a collapse; if so, collapses it.  How it went.
/// Linux v5.18-rc1, mm/khugepaged.c, khugepaged_scan_file().  Looks at pages without a lock or a reference.
private func khugepaged_scan_file(
    _ mm: mm_struct, _ addr: UInt, _ mapping: address_space, _ start: UInt,
    _ cc: UnsafeMutablePointer<collapse_control>
) -> Int32 {
    var present = 0
    var swap = 0
    clear_node_load(cc)
    rcu_read_lock()
    for index in start..<start + HPAGE_PMD_NR() {
        yield_point("i_pages")
        let entry = mapping.slot(Int(index)).pointee
        if entry == 0 { continue }
        guard let page = entry_to_page(entry) else {
            swap += 1
            if swap <= khugepaged_max_ptes_swap { continue }
            rcu_read_unlock()
            count_vm_events(Int32(THP_SCAN_EXCEED_SWAP_PTE.rawValue), 1)
            return SCAN_EXCEED_SWAP_PTE
        }
        let result = scan_page(page, cc)
        if result != SCAN_SUCCEED {
            rcu_read_unlock()
            return result
        }
        present += 1
    }
    rcu_read_unlock()
    if present < hpage_pmd_nr - khugepaged_max_ptes_none {
        count_vm_events(Int32(THP_SCAN_EXCEED_NONE_PTE.rawValue), 1)
        return SCAN_EXCEED_NONE_PTE
    }
    return ops.collapse_file(mm, addr, mapping, start, cc)
}

private func scan_page(_ page: page, _ cc: UnsafeMutablePointer<collapse_control>) -> Int32 {
    let function: StaticString = "khugepaged_scan_file"
    yield_point("PageTransCompound", function)
    if PageTransCompound(page) { return SCAN_PAGE_COMPOUND }
    node_load(cc, Int(page.nid)).pointee += 1
    yield_point("PageLRU", function)
    if !PageLRU(page) { return SCAN_PAGE_LRU }
    yield_point("page_count", function)
    return page_count(page) == 1 + page_mapcount(page) ? SCAN_SUCCEED : SCAN_PAGE_COUNT
}

/// Linux v5.18-rc1, mm/khugepaged.c, collect_mm_slot().
private func collect_mm_slot(_ mm_slot: khugepaged_mm_slot) {
    let mm = mm_slot.mm
    if !khugepaged_test_exit(mm) { return }
    list_del(mm_slot.mm_node)
    free_mm_slot(mm_slot)
    ops.mmdrop(mm)
}

/// What the search for a range in an mm has come to.
private struct Scanned {
    /// The vma where it stopped; nil behind the last one.
    var vma: vm_area_struct?
    var result = SCAN_NOTHING
    var mmap_locked = true
}

/// Looks for the next range of the mm, which is locked, and at it.
/// The loops of khugepaged_scan_mm_slot().
private func scan_next_range(_ mm: mm_struct, _ cc: UnsafeMutablePointer<collapse_control>) -> Scanned {
    let function: StaticString = "khugepaged_scan_mm_slot"
    let scan = kernel.khugepaged_scan
    if khugepaged_test_exit(mm, function) { return Scanned(vma: nil) }
    var next = ops.find_vma(mm, scan.address)
    while let vma = next {
        if khugepaged_test_exit(mm, function) { return Scanned(vma: vma) }
        let (hstart, hend) = huge_page_range(vma)
        guard ops.hugepage_vma_check(vma, vma.vm_flags, false, false, true), hstart < hend, scan.address < hend else {
            next = vma.vm_next
            continue
        }
        if scan.address < hstart { scan.address = hstart }
        BUG_ON(scan.address & ~PMD_MASK() != 0, "khugepaged_scan.address & ~HPAGE_PMD_MASK")
        var scanned = Scanned(vma: vma)
        if let file = vma.vm_file {
            let pgoff = linear_page_index(vma, scan.address)
            up_read(mm.mmap_lock, function)
            scanned.mmap_locked = false
            scanned.result = ops.khugepaged_scan_file(mm, scan.address, file, pgoff, cc)
        } else {
            var mmap_locked = true
            scanned.result = ops.khugepaged_scan_pmd(mm, vma, scan.address, &mmap_locked, cc)
            scanned.mmap_locked = mmap_locked
        }
        scan.address += PMD_SIZE()
        return scanned
    }
    return Scanned(vma: nil)
}

/// Looks at one range of the mm under the cursor at most; moves on to the next mm behind the last one.
/// khugepaged_mm_lock is held, but not throughout.
/// Linux v5.18-rc1, mm/khugepaged.c, khugepaged_scan_mm_slot(), with one page to scan: any range is more.
private func khugepaged_scan_mm_slot(_ cc: UnsafeMutablePointer<collapse_control>) -> Int32 {
    let scan = kernel.khugepaged_scan
    let mm_slot = scan.mm_slot ?? mm_slot_of(scan.mm_head.next)
    if scan.mm_slot == nil {
        scan.address = 0
        scan.mm_slot = mm_slot
    }
    spin_unlock(kernel.khugepaged_mm_lock)
    khugepaged_collapse_pte_mapped_thps(mm_slot)

    let mm = mm_slot.mm
    var scanned = Scanned(vma: nil)
    // The next mm may be less busy.
    if down_read_trylock(mm.mmap_lock) {
        scanned = scan_next_range(mm, cc)
        if scanned.mmap_locked { up_read(mm.mmap_lock) }
    }

    spin_lock(kernel.khugepaged_mm_lock)
    BUG_ON(scan.mm_slot !== mm_slot, "khugepaged_scan.mm_slot != mm_slot")
    if khugepaged_test_exit(mm) || scanned.vma == nil {
        // khugepaged_exit() must not find the cursor on an mm that is about to exit.
        scan.mm_slot = mm_slot.mm_node.next === scan.mm_head ? nil : mm_slot_of(mm_slot.mm_node.next)
        scan.address = 0
        collect_mm_slot(mm_slot)
    }
    return scanned.result
}

/// One step of khugepaged: the next range, wherever it is.  The result is what became of it, as the tracepoints
/// tell, or -EAGAIN if there is none.
/// Linux v5.18-rc1, mm/khugepaged.c, khugepaged_do_scan(), with pages_to_scan so low that it sleeps after a range.
/// There is one khugepaged: a second task that is told to be it waits until the first one's step is done.
private func khugepaged_do_scan() -> Int {
    mutex_lock(kernel.khugepaged_thread)
    var cc = collapse_control()
    cc.is_khugepaged = true
    var pass_through_head = 0
    var result = SCAN_NOTHING
    ops.lru_add_drain_all()
    spin_lock(kernel.khugepaged_mm_lock)
    while result == SCAN_NOTHING {
        if kernel.khugepaged_scan.mm_slot == nil { pass_through_head += 1 }
        if list_empty(kernel.khugepaged_scan.mm_head) || pass_through_head == 2 { break }
        result = khugepaged_scan_mm_slot(&cc)
    }
    spin_unlock(kernel.khugepaged_mm_lock)
    // khugepaged_prealloc_page() does so before the next step.
    if let unused = cc.hpage { ops.put_page(unused) }
    mutex_unlock(kernel.khugepaged_thread)
    return Int(result)
}
