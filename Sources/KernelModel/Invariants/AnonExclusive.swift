// SPDX-License-Identifier: GPL-2.0-only
// What PG_anon_exclusive says is true: nobody else maps the page, or has its swap entry; and who has pinned it shares it
// with its owner for as long as the owner keeps the memory.  No page has the mark before v5.19.

import CKernel
import Simulation

func checkExclusive(_ census: Census) {
    for pfn in 0..<UInt(kernel.nr_pages) where PageAnonExclusive(pfn_to_page(pfn)) {
        let page = pfn_to_page(pfn)
        let mappings = census.of(page).pointee.ptes + census.of(compound_head(page)).pointee.pmds
        if mappings > 1 { reportViolation(VIOLATION_anon_exclusive, UInt(mappings), 0) }
    }
    for slot in 1..<max(Int(kernel.swap_info.max), 1) where census.slots[slot].exclusive {
        let entries = census.slots[slot].entries
        if entries > 1 { reportViolation(VIOLATION_anon_exclusive, UInt(entries), 1) }
    }
    for number in 0..<Int(MAX_PINS) {
        let pin = kernel.pin(number).pointee
        guard pin.exclusive != 0, let page = pin.page, let mm = kernel.mm_slot(Int(pin.mm)).pointee, mm.live else {
            continue
        }
        if mappedPage(mm, pin.address) !== page { reportViolation(VIOLATION_anon_exclusive, pin.address, 2) }
    }
}

/// What is mapped writable into private memory is exclusive.
func checkWritable(_ vma: vm_area_struct, _ page: page, _ write: Bool) {
    guard write && ops.rules & RULE_ANON_EXCLUSIVE != 0 && vma.vm_flags & VM_SHARED == 0 else { return }
    if !PageAnon(page) || !PageAnonExclusive(page) { reportViolation(VIOLATION_anon_exclusive, vma.vm_start, 3) }
}

/// The page that an mm maps at an address, now.
func mappedPage(_ mm: mm_struct, _ address: UInt) -> page? {
    let pmd = pmd_offset(mm, address)
    if pmd_trans_huge(pmd.pointee) {
        return page_add(pmd_page(pmd.pointee), Int((address & ~PMD_MASK()) >> UInt(PAGE_SHIFT)))
    }
    guard pmd_is_table(pmd.pointee) else { return nil }
    let pte = pte_offset_map(pmd, address).pointee
    return pte_present(pte) ? pte_page(pte) : nil
}
