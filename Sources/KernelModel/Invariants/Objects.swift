// SPDX-License-Identifier: GPL-2.0-only
// Invariant 3, for what lies in slabs: every page table and every vma belongs to an mm, or was given back.  A page
// table that no pmd leads to any more, and that nobody frees, is as lost as a page; no page's count tells.

import CKernel
import Simulation

func checkObjects() {
    var (tables, vmas) = (0, 0)
    for number in 0..<Int(MAX_MMS) {
        guard let mm = kernel.mm_slot(number).pointee else { continue }
        let own = pageTables(mm)
        if own != Int(mm.nr_ptes) { reportViolation(VIOLATION_rss, UInt(NR_MM_COUNTERS.rawValue), UInt(own)) }
        tables += own
        var next = mm.mmap
        while let vma = next {
            vmas += 1
            next = vma.vm_next
        }
    }
    checkGivenBack(CACHE_page_table, besides: tables)
    checkGivenBack(CACHE_vm_area_struct, besides: vmas)
}

/// The page tables of an mm: those that its pmds lead to, and those in deposit for its huge pmds.
private func pageTables(_ mm: mm_struct) -> Int {
    var tables = 0
    for index in 0..<Int(kernel.ptrs_per_pmd) where pmd_is_table(mm.pmd(index).pointee) {
        tables += 1
        checkIsLive(pmd_page_table(mm.pmd(index).pointee), mm)
    }
    guard let last = mm.pmd_huge_pte else { return tables }
    var table = last
    repeat {
        tables += 1
        guard checkIsLive(table, mm), let next = table.next_free else { return tables }
        table = next
    } while table !== last
    return tables
}

@discardableResult
private func checkIsLive(_ table: page_table, _ mm: mm_struct) -> Bool {
    if isLive(CACHE_page_table, address(table)) { return true }
    reportViolation(VIOLATION_freed_reachable, UInt(CACHE_page_table.rawValue), UInt(mm.number))
    return false
}

/// What waits for the end of a grace period was given back.
private func checkGivenBack(_ kind: kmem_cache_kind, besides users: Int) {
    let cache = kernel.cache(Int(kind.rawValue))
    let objects = Int(cache.pointee.in_use) - cache.pointee.pending.nonzeroBitCount
    if objects > users { reportViolation(VIOLATION_leak, UInt(kind.rawValue), UInt(objects - users)) }
}
