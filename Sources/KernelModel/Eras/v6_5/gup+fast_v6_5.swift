// SPDX-License-Identifier: GPL-2.0-only
// mm/gup.c of Linux v6.5: the walk without locks, through page tables that may vanish.  Their freeing waits for
// interrupts to be on again; what the walk has found in a table counts only if the pmd still leads there
// (70cbc3cc78a9, v6.1).
//
// Left out: what gup+fast.swift names; arch_make_page_accessible(), secretmem.

import CKernel
import Simulation

func install_gup_fast_v6_5(_ ops: kernel_ops) {
    ops.gup_pte_range = gup_pte_range
}

/// Linux v6.5, mm/gup.c, gup_pte_range().
private func gup_pte_range(
    _ pmdval: pmd_t, _ pmdp: UnsafeMutablePointer<pmd_t>, _ address: UInt, _ flags: UInt32
) -> page? {
    // The pmd is a copy, and was seen to lead to a table, so that pte_offset_map() cannot fail.
    rcu_read_lock()
    let ptep = page_table_pte(pmd_page_table(pmdval), address)
    defer { ops.pte_unmap(ptep) }
    yield_point("pte")
    let pte = ptep.pointee
    if pte_protnone(pte) || !access_permitted(pte.pte, flags) { return nil }
    let page = pte_page(pte)
    guard let folio = try_grab_folio(page, flags) else { return nil }
    yield_point("pte")
    if !pmd_same(pmdval, pmdp.pointee) || !pte_same(pte, ptep.pointee)
        || !pte_write(pte) && ops.gup_must_unshare(nil, flags, page)
    {
        put_compound_head(folio, flags)
        return nil
    }
    SetPageReferenced(folio)
    return page
}

/// A reference or a pin to a page that may be freed, split or made part of a huge page meanwhile.
/// Linux v6.5, mm/gup.c, try_grab_folio(), try_get_folio().
private func try_grab_folio(_ page: page, _ flags: UInt32) -> page? {
    // The slow path moves the page first.
    if flags & FOLL_PIN != 0 && flags & FOLL_LONGTERM != 0 && !is_pinnable_page(page) { return nil }
    while true {
        let folio = compound_head(page)
        yield_point("page_count")
        if !get_page_unless_zero(folio) { return nil }
        if compound_head(page) === folio {
            if flags & FOLL_PIN != 0 { grab_pin(folio) }
            return folio
        }
        ops.put_page(folio)
    }
}

/// Makes a reference a pin.
private func grab_pin(_ folio: page) {
    yield_point("page_count", "try_grab_folio")
    if PageCompound(folio) {
        folio.compound_pincount += 1
    } else {
        page_ref_add(folio, GUP_PIN_COUNTING_BIAS - 1)
    }
}
