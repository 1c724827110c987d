// SPDX-License-Identifier: GPL-2.0-only
// mm/gup.c and include/linux/mm.h of Linux v6.5: a page that is pinned for reading becomes its mm's own first, so that
// device and process go on seeing the same page.
//
// Left out: can_follow_write_pte(), which looks at PG_anon_exclusive instead of FOLL_COW: nobody writes by force where
// the vma may not be written.

import CKernel
import Simulation

func install_gup_v6_5(_ ops: kernel_ops) {
    ops.gup_must_unshare = gup_must_unshare
    ops.sanity_check_pinned_page = sanity_check_pinned_page
}

/// Asked of a page that is mapped read-only; what is mapped writable is exclusive.
/// Linux v6.5, mm/internal.h, gup_must_unshare().
private func gup_must_unshare(_ vma: vm_area_struct?, _ flags: UInt32, _ page: page) -> Bool {
    if flags & (FOLL_WRITE | FOLL_PIN) != FOLL_PIN { return false }
    guard PageAnon(page) else {
        // A private mapping of a file would get another page at the next write.
        return flags & FOLL_LONGTERM != 0 && vma.map { is_cow_mapping($0.vm_flags) } ?? true
    }
    yield_point("PageAnonExclusive")
    return !PageAnonExclusive(page)
}

/// Linux v6.5, mm/gup.c, sanity_check_pinned_pages(), for one page.
private func sanity_check_pinned_page(_ page: page) {
    if !PageAnon(page) { return }
    // Nobody knows whether a huge page was mapped by its pmd when it was pinned.
    VM_BUG_ON_PAGE(
        !PageAnonExclusive(compound_head(page)) && !PageAnonExclusive(page),
        "!PageAnonExclusive(&folio->page) && !PageAnonExclusive(page)")
}
