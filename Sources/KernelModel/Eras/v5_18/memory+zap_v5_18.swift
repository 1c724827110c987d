// SPDX-License-Identifier: GPL-2.0-only
// mm/memory.c of Linux v5.18-rc1: a range of a file is unmapped with i_mmap_rwsem held for reading, and swap and
// migration entries go where private copies do.

import CKernel
import Simulation

func install_memory_zap_v5_18(_ ops: kernel_ops) {
    ops.unmap_mapping_pages = unmap_mapping_pages
    ops.unmap_mapping_page = unmap_mapping_folio
}

private func unmap_mapping(_ mapping: address_space, _ details: zap_details, _ function: StaticString) {
    down_read(mapping.i_mmap_rwsem, function)
    unmap_mapping_range_tree(mapping, details)
    up_read(mapping.i_mmap_rwsem, function)
}

/// Unmaps `nr` pages of a file from `start` on (0: all), with `even_cows` private copies as well.
/// Linux v5.18-rc1, mm/memory.c, unmap_mapping_pages().
private func unmap_mapping_pages(_ mapping: address_space, _ start: UInt, _ nr: UInt, _ even_cows: Bool) {
    let last = start &+ nr &- 1
    let details = zap_details(
        first_index: start, last_index: last < start ? UInt.max : last, judges_entries: true, even_cows: even_cows)
    unmap_mapping(mapping, details, "unmap_mapping_pages")
}

/// Unmaps a locked page cache page from everywhere.
/// Linux v5.18-rc1, mm/memory.c, unmap_mapping_folio().  From v5.19 on, what protected the page goes with it.
private func unmap_mapping_folio(_ page: page) {
    VM_BUG_ON_PAGE(!PageLocked(page), "!folio_test_locked(folio)")
    guard let mapping = page_file_mapping(page) else { return }
    let details = zap_details(
        first_index: page.index, last_index: page.index + UInt(thp_nr_pages(page)) - 1, single_page: page,
        judges_entries: true, even_cows: false, zap_flags: ZAP_FLAG_DROP_MARKER)
    unmap_mapping(mapping, details, "unmap_mapping_folio")
}
