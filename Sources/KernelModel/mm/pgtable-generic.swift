// SPDX-License-Identifier: GPL-2.0-only
// mm/pgtable-generic.c of Linux v5.13: the page tables that huge pmds keep for their split, so that it
// needs no memory.  The pmds of an mm lie in one page, so they share one ring of tables.

import CKernel
import Simulation

/// Linux v5.13, mm/pgtable-generic.c, pgtable_trans_huge_deposit().
func pgtable_trans_huge_deposit(_ mm: mm_struct, _ pmdp: UnsafeMutablePointer<pmd_t>, _ table: pgtable_t) {
    if let last = mm.pmd_huge_pte {
        table.next_free = last.next_free
        last.next_free = table
    } else {
        table.next_free = table
    }
    mm.pmd_huge_pte = table
}

/// Linux v5.13, mm/pgtable-generic.c, pgtable_trans_huge_withdraw().
func pgtable_trans_huge_withdraw(_ mm: mm_struct, _ pmdp: UnsafeMutablePointer<pmd_t>) -> pgtable_t {
    BUG_ON(mm.pmd_huge_pte == nil, "!pmd_huge_pte")
    let table = mm.pmd_huge_pte!
    var before = table
    while before.next_free !== table { before = before.next_free! }
    before.next_free = table.next_free
    mm.pmd_huge_pte = before === table ? nil : table.next_free
    table.next_free = nil
    return table
}
