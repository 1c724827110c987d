// SPDX-License-Identifier: GPL-2.0-only
// Invariant 2: what PG_mlocked, mlock_count, NR_MLOCK and the unevictable list say of a page at rest is true.
//
// Too little is legal in every era: reclaim finds the VM_LOCKED vma that maps a page.  But v5.13's munlock, once it has
// isolated a page, asks all who map it whether they mlock it, and so must not lose the mlock of another.  What too much
// is depends on how the kernel counts mlocks, which its table says (`rules`).

import CKernel
import Simulation

/// What the pages of a machine add up to.
struct EvictabilityTotals {
    /// Base pages with PG_mlocked.
    var mlocked = 0
    /// Base pages that munlocks missed, and that nothing found so far goes back to.
    var missed = Int(kernel.munlocked_off_list)

    /// Whether missed munlocks account for `excess` mlocks of a page: then it is legal.  A huge page may have been
    /// split since.
    mutating func explain(_ excess: Int, of page: page) -> Bool {
        let pages = excess * Int(thp_nr_pages(page))
        if ops.rules & RULE_STRANDED_PAGES == 0 || pages > missed { return false }
        missed -= pages
        return true
    }
}

func checkEvictability(_ page: page, _ census: Census, _ totals: inout EvictabilityTotals) {
    if PageMlocked(page) {
        totals.mlocked += Int(thp_nr_pages(page))
        checkMlocked(page, census.of(page).pointee, &totals)
    } else if page.lost_mlock != 0 && census.of(page).pointee.mlocks > 0 {
        let kind = PageTransHuge(page) ? VIOLATION_lost_huge_mlock : VIOLATION_lost_mlock
        reportViolation(kind, 0, UInt(census.of(page).pointee.mlocks))
    }
    // A page that was truncated while it was pinned stays where it is until it is freed.
    if PageLRU(page) && PageUnevictable(page) && page.mapping != nil && ops.page_evictable(page)
        && !totals.explain(1, of: page)
    {
        reportViolation(VIOLATION_unevictable_without_reason, 0, 0)
    }
}

func checkEvictabilityTotals(_ totals: EvictabilityTotals) {
    let nr_mlock = kernel.stat(Int(NR_MLOCK.rawValue)).pointee
    if nr_mlock != totals.mlocked {
        reportViolation(VIOLATION_nr_mlock, UInt(bitPattern: nr_mlock), UInt(totals.mlocked))
    }
}

private func checkMlocked(_ page: page, _ count: PageCensus, _ totals: inout EvictabilityTotals) {
    guard ops.rules & RULE_MLOCK_COUNT != 0 else {
        if !count.locked { reportViolation(VIOLATION_mlocked_without_vma, 0, 0) }
        return
    }
    let counted = PageLRU(page) && PageUnevictable(page) ? page.mlock_count : 0
    if count.mlocks == 0 {
        let lives = ops.rules & RULE_MLOCKED_UNTIL_FREED != 0 && !page_mapped(page)
        if !lives && !totals.explain(1, of: page) { reportViolation(VIOLATION_mlocked_without_vma, 0, UInt(counted)) }
    } else if counted > count.mlocks && !totals.explain(Int(counted - count.mlocks), of: page) {
        reportViolation(VIOLATION_mlock_count, UInt(counted), UInt(count.mlocks))
    }
}

/// Whether a VM_LOCKED vma maps a page so that it is mlocked in v5.13: an anonymous huge page never is, as long as it
/// has several mappings, and a file's only where a pmd maps it.  Who asks holds the page lock.
func isMlockedByVMA(_ page: page) -> Bool {
    guard page_mapped(page) else { return false }
    let first = page_to_pgoff(page)
    let last = first + UInt(thp_nr_pages(page)) - 1
    if PageAnon(page) {
        guard !PageTransCompound(page), let anon_vma = page_anon_vma(page) else { return false }
        var next = anon_vma_interval_tree_first(anon_vma, first, last)
        while let chain = next {
            if mlocks(chain.vma, page) { return true }
            next = anon_vma_interval_tree_next(anon_vma, chain, first, last)
        }
    } else if let mapping = page_file_mapping(page) {
        var next = vma_interval_tree_first(mapping, first, last)
        while let vma = next {
            if mlocks(vma, page) { return true }
            next = vma_interval_tree_next(mapping, vma, first, last)
        }
    }
    return false
}

private func mlocks(_ vma: vm_area_struct, _ page: page) -> Bool {
    guard vma.vm_flags & VM_LOCKED != 0 else { return false }
    let address = vma_address(page, vma)
    guard address != UInt.max else { return false }
    let pmd = pmd_offset(vma.vm_mm, address)
    if PageTransHuge(page) { return pmd_trans_huge(pmd.pointee) && pmd_page(pmd.pointee) === page }
    guard pmd_is_table(pmd.pointee) else { return false }
    let pte = pte_offset_map(pmd, address).pointee
    return pte_present(pte) && pte_page(pte) === page
}

/// VM_IO tells rmap that mlock() is at work on a VM_LOCKED vma.  At rest nothing is.
func checkLockedVMAs() {
    guard ops.rules & RULE_MLOCK_COUNT != 0 else { return }
    for number in 0..<Int(MAX_MMS) {
        var next = kernel.mm_slot(number).pointee?.mmap
        while let vma = next {
            if vma.vm_flags & VM_LOCKED != 0 && vma.vm_flags & VM_SPECIAL != 0 {
                reportViolation(VIOLATION_locked_special, vma.vm_start, UInt(number))
            }
            next = vma.vm_next
        }
    }
}
