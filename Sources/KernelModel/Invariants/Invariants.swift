// SPDX-License-Identifier: GPL-2.0-only
// The rules that every correct kernel obeys once all CPUs are drained and nothing runs.  Those that can be
// checked while it runs are checked where they happen; violation_kind lists all of them.

import CKernel
import Simulation

/// What an invariant says, for reports and `mmdiff list`.
public struct Invariant: Sendable {
    public let kind: UInt32
    public let name: String
    public let rule: String
}

public let invariants: [Invariant] = [
    Invariant(
        kind: VIOLATION_user_data.rawValue, name: "user-data",
        rule: "a read sees the last write, or what the call's documentation allows"),
    Invariant(
        kind: VIOLATION_nr_mlock.rawValue, name: "nr-mlock",
        rule: "NR_MLOCK equals the number of base pages with PG_mlocked"),
    Invariant(
        kind: VIOLATION_mlocked_without_vma.rawValue, name: "mlocked-without-vma",
        rule: "PG_mlocked implies a VM_LOCKED vma that maps the page"),
    Invariant(
        kind: VIOLATION_unevictable_without_reason.rawValue, name: "unevictable-without-reason",
        rule: "a page on the unevictable list is mlocked or belongs to an unevictable mapping"),
    Invariant(
        kind: VIOLATION_refcount.rawValue, name: "refcount",
        rule: "a page's references are its mappings, caches and pins"),
    Invariant(
        kind: VIOLATION_mapcount.rawValue, name: "mapcount",
        rule: "a page's mapcounts are the page table entries that map it"),
    Invariant(
        kind: VIOLATION_freed_reachable.rawValue, name: "freed-reachable",
        rule: "nothing that was freed can be reached"),
    Invariant(
        kind: VIOLATION_held_at_return.rawValue, name: "held-at-return",
        rule: "no lock, preempt-off or RCU section is held when a call returns"),
    Invariant(
        kind: VIOLATION_lock_order.rawValue, name: "lock-order", rule: "the order in which locks nest has no cycle"),
    Invariant(
        kind: VIOLATION_self_deadlock.rawValue, name: "self-deadlock", rule: "nobody waits for a lock it holds"),
    Invariant(
        kind: VIOLATION_sleeping_in_atomic.rawValue, name: "sleeping-in-atomic",
        rule: "nothing that may sleep is called under a spinlock"),
    Invariant(
        kind: VIOLATION_bad_unlock.rawValue, name: "bad-unlock", rule: "a lock is released by who holds it"),
    Invariant(
        kind: VIOLATION_lost_entry.rawValue, name: "lost-entry",
        rule: "migration entries and write-protect markers neither vanish nor stay behind"),
    Invariant(
        kind: VIOLATION_rss.rawValue, name: "rss", rule: "an mm's counters are what its page tables hold"),
    Invariant(
        kind: VIOLATION_stale_translation.rawValue, name: "stale-translation",
        rule: "after a mapping or a permission is gone, no CPU and no notified device uses it"),
    Invariant(
        kind: VIOLATION_bad_page.rawValue, name: "bad-page",
        rule: "a page that is freed has no flag, mapping or mapcount left that forbids it"),
    Invariant(
        kind: VIOLATION_lru.rawValue, name: "lru",
        rule: "PG_lru, the list a page is on and the size of that list agree"),
    Invariant(
        kind: VIOLATION_bug_on.rawValue, name: "bug-on", rule: "no BUG_ON() or VM_BUG_ON() fires"),
    Invariant(
        kind: VIOLATION_leak.rawValue, name: "leak", rule: "every page, page table and vma is free or has a user"),
    Invariant(
        kind: VIOLATION_swap_map.rawValue, name: "swap-map",
        rule: "a swap slot's count is the entries that name it"),
    Invariant(
        kind: VIOLATION_mlock_count.rawValue, name: "mlock-count",
        rule: "a page counts no more mlocks than VM_LOCKED vmas map it"),
    Invariant(
        kind: VIOLATION_locked_special.rawValue, name: "locked-special",
        rule: "no vma is VM_LOCKED and VM_SPECIAL, unless mlock() is at work on it"),
    Invariant(
        kind: VIOLATION_anon_exclusive.rawValue, name: "anon-exclusive",
        rule: "a page that is marked exclusive has one mapping, and one that was pinned so stays mapped"),
    Invariant(
        kind: VIOLATION_table_in_use.rawValue, name: "table-in-use",
        rule: "a page table that walkers may still look at maps nothing when it is given up"),
    Invariant(
        kind: VIOLATION_lost_mlock.rawValue, name: "lost-mlock",
        rule: "munlock that could isolate a page leaves it mlocked where another VM_LOCKED vma maps it"),
    Invariant(
        kind: VIOLATION_lost_huge_mlock.rawValue, name: "lost-huge-mlock",
        rule: "munlock that could isolate a file's huge page leaves it mlocked where another VM_LOCKED vma has its pmd"),
]

/// Checks the machine at rest.  Call it after a drain of all CPUs, when no task runs.
public func checkInvariantsAtRest() {
    Census.take { census in
        checkPages(census)
        checkSwap(census)
        checkExclusive(census)
    }
    checkObjects()
    checkLockedVMAs()
    checkTranslations()
    checkLists()
}

private func checkPages(_ census: Census) {
    var totals = EvictabilityTotals()
    for pfn in 0..<UInt(kernel.nr_pages) {
        let page = pfn_to_page(pfn)
        checkMapcount(page, census)
        guard !PageTail(page) else { continue }
        checkReferences(page, census)
        checkEvictability(page, census, &totals)
    }
    checkEvictabilityTotals(totals)
}

/// Invariant 3, mapcounts: mappings by pte in each page, by pmd in the head.
private func checkMapcount(_ page: page, _ census: Census) {
    let count = census.of(page).pointee
    let head = compound_head(page)
    let pmds = census.of(head).pointee.pmds
    var expected = count.ptes
    if PageCompound(page) {
        // A file THP counts its pmd mappings in each page; an anonymous one only says that there is both.
        expected += PageAnon(head) ? (PageDoubleMap(head) ? 1 : 0) : pmds
        if page === head && page.compound_mapcount + 1 != pmds {
            reportViolation(VIOLATION_mapcount, UInt(bitPattern: Int(page.compound_mapcount + 1)), UInt(pmds))
        }
    }
    if page._mapcount + 1 != expected {
        reportViolation(VIOLATION_mapcount, UInt(bitPattern: Int(page._mapcount + 1)), UInt(expected))
    }
    if count.migrationEntries != 0 { reportViolation(VIOLATION_lost_entry, 0, UInt(count.migrationEntries)) }
}

/// Invariant 3, references.
private func checkReferences(_ page: page, _ census: Census) {
    var expected = census.of(page).pointee.references + census.of(page).pointee.pmds
    for index in 0..<(PageHead(page) ? Int(thp_nr_pages(page)) : 1) {
        expected += census.of(page_add(page, index)).pointee.ptes
    }
    if page._refcount == expected { return }
    let kind =
        expected == 0 ? VIOLATION_leak : page._refcount < expected ? VIOLATION_freed_reachable : VIOLATION_refcount
    reportViolation(kind, UInt(bitPattern: Int(page._refcount)), UInt(bitPattern: Int(expected)))
}

/// Invariant 7, swap.
private func checkSwap(_ census: Census) {
    for slot in 1..<max(Int(kernel.swap_info.max), 1) {
        let users = kernel.swap_info.users(slot).pointee
        let cached = kernel.swap_info.slot(slot).pointee != 0
        // A shmem file counts as one user, by a mark of its own.
        let uses = users & ~UInt8(SWAP_HAS_CACHE)
        let count = uses == UInt8(SWAP_MAP_SHMEM) ? 1 : Int32(uses)
        if count != census.slots[slot].entries || (users & UInt8(SWAP_HAS_CACHE) != 0) != cached {
            reportViolation(VIOLATION_swap_map, UInt(users), UInt(census.slots[slot].entries))
        }
    }
}

/// Invariant 8, at rest: no CPU's TLB and no device holds anything that the page tables do not allow.
private func checkTranslations() {
    for number in 0..<Int(kernel.nr_cpus) {
        let cpu = kernel.cpu(number)
        for index in 0..<Int(TLB_ENTRIES) {
            let entry = cpu.entry(index).pointee
            guard entry.mm != 0, let mm = kernel.mm_slot(Int(entry.mm) - 1).pointee else { continue }
            if !allowedByPageTables(mm, entry) {
                reportViolation(VIOLATION_stale_translation, UInt(mm.number), entry.address)
            }
        }
    }
    for number in 0..<Int(MAX_MMS) {
        guard let mm = kernel.mm_slot(number).pointee, let device = mm.notifier_subscriptions else { continue }
        for index in 0..<Int(SECONDARY_MMU_ENTRIES) {
            let entry = device.entry(index).pointee
            guard entry.address != 0 && entry.pinned == 0 else { continue }
            let pte = pfn_pte(entry.pfn, entry.write != 0 ? UInt(_PAGE_RW) : 0)
            if !allowedByPageTables(mm, tlb_entry(address: entry.address, pte: pte, mm: mm.number + 1, huge: 0)) {
                reportViolation(VIOLATION_stale_translation, UInt(mm.number), entry.address)
            }
        }
    }
    for number in 0..<Int(MAX_MMS) {
        if let svm = kernel.intel_svm_slot(number).pointee, let mm = svm.mm { checkIOMMU(svm, mm) }
    }
}

/// The caches of an IOMMU that walks the CPU's page tables: what it was not told of, it still uses.
private func checkIOMMU(_ svm: intel_svm, _ mm: mm_struct) {
    for index in 0..<Int(IOTLB_ENTRIES) {
        let entry = svm.entry(index).pointee
        let translation = tlb_entry(address: entry.address, pte: entry.pte, mm: mm.number + 1, huge: 0)
        if entry.pte.pte != 0 && !allowedByPageTables(mm, translation) {
            reportViolation(VIOLATION_stale_translation, UInt(mm.number), entry.address)
        }
    }
    for index in 0..<Int(kernel.ptrs_per_pmd) {
        guard let table = svm.table(index).pointee else { continue }
        let pmd = mm.pmd(index).pointee
        if !pmd_is_table(pmd) || pmd_page_table(pmd) !== table {
            reportViolation(VIOLATION_stale_translation, UInt(mm.number), UInt(index) << PMD_SHIFT())
        }
    }
}

private func allowedByPageTables(_ mm: mm_struct, _ entry: tlb_entry) -> Bool {
    let pmd = pmd_offset(mm, entry.address).pointee
    if pmd_trans_huge(pmd) {
        let offset = (entry.address & ~PMD_MASK()) >> UInt(PAGE_SHIFT)
        return pmd.pmd & UInt(_PAGE_PRESENT) != 0 && pte_pfn(entry.pte) == pmd_pfn(pmd) + offset
            && (!pte_write(entry.pte) || pmd_write(pmd))
    }
    guard pmd_is_table(pmd) else { return false }
    let pte = pte_offset_map(pmd_offset(mm, entry.address), entry.address).pointee
    return pte_accessible(pte) && pte_pfn(pte) == pte_pfn(entry.pte) && (!pte_write(entry.pte) || pte_write(pte))
}

/// PG_lru says that a page is on the list its flags name, and each list is as long as its counter says.
private func checkLists() {
    for lru in 0..<Int(NR_LRU_LISTS.rawValue) {
        var pages = 0
        for nid in 0..<Int(kernel.nr_nodes) {
            let head = kernel.node(nid).list(lru)
            var node = head.next
            while node !== head {
                let page = lru_to_page(node)
                if !PageLRU(page) || page_lru(page).rawValue != UInt32(lru) {
                    reportViolation(VIOLATION_lru, UInt(lru), UInt(page_lru(page).rawValue))
                }
                pages += Int(thp_nr_pages(page))
                node = node.next
            }
        }
        if pages != kernel.stat(lru).pointee {
            reportViolation(VIOLATION_lru, UInt(bitPattern: kernel.stat(lru).pointee), UInt(pages))
        }
    }
}
