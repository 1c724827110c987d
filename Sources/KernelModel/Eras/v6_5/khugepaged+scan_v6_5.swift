// SPDX-License-Identifier: GPL-2.0-only
// mm/khugepaged.c of Linux v6.5: a look at a range of a file.  khugepaged's way through the mms is that of v5.18-rc1,
// Eras/v5_18/khugepaged+scan_v5_18.swift: khugepaged_scan_mm_slot() has not changed but for what it does with a huge
// page that is mapped by ptes.

import CKernel
import Simulation

func install_khugepaged_scan_v6_5(_ ops: kernel_ops) {
    ops.khugepaged_scan_file = khugepaged_scan_file
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

/// What khugepaged does with a range of a file: a huge page that is mapped by ptes waits for the mmap_lock.
/// Linux v6.5, mm/khugepaged.c, khugepaged_scan_mm_slot(), the part for files.
private func khugepaged_scan_file(
    _ mm: mm_struct, _ addr: UInt, _ mapping: address_space, _ start: UInt,
    _ cc: UnsafeMutablePointer<collapse_control>
) -> Int32 {
    let result = hpage_collapse_scan_file(mm, addr, mapping, start, cc)
    if result != SCAN_PTE_MAPPED_HUGEPAGE { return result }
    let found = find_pmd_or_thp_or_none(mm, addr).result
    if found != SCAN_SUCCEED { return found }
    return khugepaged_add_pte_mapped_thp(mm, addr) ? SCAN_PTE_MAPPED_HUGEPAGE : SCAN_SUCCEED
}
