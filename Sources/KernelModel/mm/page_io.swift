// SPDX-License-Identifier: GPL-2.0-only
// Pages to and from the swap area.  Source: Linux v5.13, mm/page_io.c.
//
// Left out: frontswap, swap files, errors.  I/O ends before the function that started it returns, as on a RAM
// disk; the waits for it are there for the other tasks.

import CKernel
import Simulation

func install_page_io(_ ops: kernel_ops) {
    ops.swap_writepage = swap_writepage
    ops.swap_readpage = swap_readpage
}

/// Writes a locked page of the swap cache, and unlocks it.
/// Linux v5.13, mm/page_io.c, swap_writepage(), __swap_writepage(), end_swap_bio_write().
private func swap_writepage(_ page: page) {
    if ops.try_to_free_swap(page) {
        unlock_page(page)
        return
    }
    let entry = swp_entry_t(val: page.private_)
    ops.set_page_writeback(page)
    unlock_page(page)
    yield_point("bio")
    kernel.swap_info.disk(Int(swp_offset(entry))).pointee = page.contents
    ops.end_page_writeback(page)
}

/// Fills a locked page of the swap cache, and unlocks it.
/// Linux v5.13, mm/page_io.c, swap_readpage(), end_swap_bio_read().
private func swap_readpage(_ page: page) {
    VM_BUG_ON_PAGE(!PageSwapCache(page), "!PageSwapCache(page)")
    VM_BUG_ON_PAGE(!PageLocked(page), "!PageLocked(page)")
    VM_BUG_ON_PAGE(PageUptodate(page), "PageUptodate(page)")
    let entry = swp_entry_t(val: page.private_)
    yield_point("bio")
    page.contents = kernel.swap_info.disk(Int(swp_offset(entry))).pointee
    SetPageUptodate(page)
    unlock_page(page)
}
