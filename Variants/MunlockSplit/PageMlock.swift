// SPDX-License-Identifier: GPL-2.0-only
// What the posted and the merged patch share: page_mlock() in place of try_to_munlock().
//
// Models: "mm/rmap: split try_to_munlock from try_to_unmap", mm/rmap.c, page_mlock(), and the one line of
// mm/mlock.c, __munlock_isolated_page(), that calls it.  try_to_unmap_one() loses its two TTU_MUNLOCK
// branches in the patch; nobody passes the flag any more, so the era's function stands for both.

import CKernel
import KernelModel
import Simulation

/// mm/rmap.c, page_mlock(), as posted and as merged.
func page_mlock(_ page: page) {
    VM_BUG_ON_PAGE(!PageLocked(page) || PageLRU(page), "!PageLocked(page) || PageLRU(page)")
    VM_BUG_ON_PAGE(PageCompound(page) && PageDoubleMap(page), "PageCompound(page) && PageDoubleMap(page)")
    var rwc = rmap_walk_control(
        arg: nil, rmap_one: ops.page_mlock_one, done: page_not_mapped, anon_lock: ops.page_lock_anon_vma_read,
        invalid_vma: nil)
    ops.rmap_walk(page, &rwc)
}

/// mm/mlock.c, __munlock_isolated_page(), with page_mlock() for try_to_munlock().
func __munlock_isolated_page(_ page: page) {
    yield_point("mapcount")
    if page_mapcount(page) > 1 { ops.page_mlock(page) }
    yield_point("PageMlocked")
    if !PageMlocked(page) {
        count_vm_events(Int32(UNEVICTABLE_PGMUNLOCKED.rawValue), Int(thp_nr_pages(page)))
    }
    ops.putback_lru_page(page)
}
