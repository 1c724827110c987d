// SPDX-License-Identifier: GPL-2.0-only
// mm/huge_memory.c of Linux v5.13: splitting a huge page into base pages.  All mappings become migration
// entries (anonymous pages) or go (a file's), the reference count is frozen, each tail becomes a page of
// its own, and the mappings come back.

import CKernel
import Simulation

func install_huge_memory_split_page(_ ops: kernel_ops) {
    ops.split_huge_page_to_list = split_huge_page_to_list
    ops.unmap_page = unmap_page
    ops.remap_page = remap_page
}

/// Linux v5.13, mm/huge_memory.c, unmap_page().
private func unmap_page(_ page: page) {
    var ttu_flags = TTU_IGNORE_MLOCK | TTU_SYNC | TTU_RMAP_LOCKED | TTU_SPLIT_HUGE_PMD
    VM_BUG_ON_PAGE(!PageHead(page), "!PageHead(page)")
    if PageAnon(page) { ttu_flags |= TTU_SPLIT_FREEZE }
    _ = ops.try_to_unmap(page, ttu_flags)
    yield_point("mapcount")
    if page_mapped(page) { WARN_ON("page_mapped(page)") }
}

/// Linux v5.13, mm/huge_memory.c, remap_page().
private func remap_page(_ page: page, _ nr: Int32) {
    if PageTransHuge(page) {
        ops.remove_migration_ptes(page, page, true)
        return
    }
    for i in 0..<Int(nr) { ops.remove_migration_ptes(page_add(page, i), page_add(page, i), true) }
}

/// Linux v5.13, mm/huge_memory.c, lru_add_page_tail().  The list's counter stays: it counts base pages.
private func lru_add_page_tail(_ head: page, _ tail: page, _ list: list_head?) {
    VM_BUG_ON_PAGE(!PageHead(head), "!PageHead(head)")
    VM_BUG_ON_PAGE(PageCompound(tail), "PageCompound(tail)")
    VM_BUG_ON_PAGE(PageLRU(tail), "PageLRU(tail)")
    if let list {
        // Reclaim has isolated the head.
        if PageLRU(head) { WARN_ON("PageLRU(head)") }
        get_page(tail)
        list_add_tail(tail.lru, list)
    } else {
        if !PageLRU(head) { WARN_ON("!PageLRU(head)") }
        SetPageLRU(tail)
        // From v5.18-rc1 on: how many vmas lock it is counted when it is mapped again.
        tail.mlock_count = 0
        list_add_tail(tail.lru, head.lru)
    }
    tail.lru_list = head.lru_list
}

/// The flags that each base page takes over from the huge page.
private func inheritedFlags() -> UInt {
    1 << UInt(PG_referenced.rawValue) | 1 << UInt(PG_swapbacked.rawValue) | 1 << UInt(PG_swapcache.rawValue)
        | 1 << UInt(PG_mlocked.rawValue) | 1 << UInt(PG_uptodate.rawValue) | 1 << UInt(PG_active.rawValue)
        | 1 << UInt(PG_workingset.rawValue) | 1 << UInt(PG_locked.rawValue) | 1 << UInt(PG_unevictable.rawValue)
        | 1 << UInt(PG_dirty.rawValue)
}

/// Linux v5.13, mm/huge_memory.c, __split_huge_page_tail().
private func __split_huge_page_tail(_ head: page, _ tail: Int, _ list: list_head?) {
    let page_tail = page_add(head, tail)
    VM_BUG_ON_PAGE(page_tail._mapcount != -1, "atomic_read(&page_tail->_mapcount) != -1")
    page_tail.flags = head.flags & inheritedFlags()
    page_tail.mapping = head.mapping
    page_tail.index = head.index + UInt(tail)
    clear_compound_head(page_tail)
    // From here on a speculative reference can be taken; one more is the page cache's.
    yield_point("page_count")
    page_ref_unfreeze(page_tail, PageAnon(head) ? 1 : 2)
    lru_add_page_tail(head, page_tail, list)
}

/// The page is frozen: nobody else has a reference to it.  Interrupts are off, and the page cache's lock is
/// held for a file's page; both end here.
/// Linux v5.13, mm/huge_memory.c, __split_huge_page().  Left out: huge pages in the swap cache, since slots are
/// not given out in clusters; shmem_uncharge().
private func __split_huge_page(_ page: page, _ list: list_head?, _ end: UInt) {
    let head = compound_head(page)
    let nr = Int(thp_nr_pages(head))
    let mapping = page_file_mapping(head)
    VM_BUG_ON_PAGE(PageSwapCache(head), "PageSwapCache(head)")
    let lruvec = page_pgdat(head)
    spin_lock(lruvec.lru_lock)
    for i in stride(from: nr - 1, through: 1, by: -1) {
        let tail = page_add(head, i)
        __split_huge_page_tail(head, i, list)
        if tail.index >= end {
            // Beyond the end of the file: out of the page cache.
            ClearPageDirty(tail)
            ops.__delete_from_page_cache(tail)
            ops.put_page(tail)
        } else if let mapping {
            mapping.slot(Int(tail.index)).pointee = UInt(bitPattern: address(tail))
        }
    }
    ClearPageCompound(head)
    spin_unlock(lruvec.lru_lock)

    // The frozen count comes back: the caller's reference is kept by `page`, see below; one is the cache's.
    yield_point("page_count")
    page_ref_add(head, mapping == nil ? 1 : 2)
    if let mapping { spin_unlock(mapping.i_pages_lock) }
    local_irq_enable()
    pageLockWasSplit(head, page)

    ops.remap_page(head, Int32(nr))

    for i in 0..<nr {
        let subpage = page_add(head, i)
        if subpage === page { continue }
        unlock_page(subpage)
        // Nothing may map it any more: then this frees it.
        ops.put_page(subpage)
    }
}

/// Splits the huge page that `page` is part of: 0, or -EBUSY if anybody but the caller, who has locked it,
/// refers to it.  `page` keeps the caller's reference and the lock.  Tails go to `list`, if given, or else to
/// the head's LRU list.
/// Linux v5.13, mm/huge_memory.c, split_huge_page_to_list().
private func split_huge_page_to_list(_ page: page, _ list: list_head?) -> Int32 {
    let head = compound_head(page)
    VM_BUG_ON_PAGE(!PageLocked(head), "!PageLocked(head)")
    VM_BUG_ON_PAGE(!PageCompound(head), "!PageCompound(head)")
    yield_point("PageWriteback")
    if PageWriteback(head) { return -EBUSY }

    var anon_vma: anon_vma?
    var mapping: address_space?
    var end = UInt.max
    if PageAnon(head) {
        // No mmap_lock is held that would keep it alive.
        anon_vma = ops.page_get_anon_vma(head)
        guard let anon_vma else { return splitFailed() }
        down_write(anon_vma.root.rwsem)
    } else {
        mapping = page_file_mapping(head)
        guard let mapping else { return splitFailed() }
        down_read(mapping.i_mmap_rwsem)
        // The page lock keeps truncation from it until the pages beyond are trimmed.
        yield_point("i_size")
        end = mapping.i_size
    }

    var ret = -EBUSY
    // A first look, before the mappings are taken apart for nothing.
    yield_point("page_count")
    if can_split_huge_page(head) {
        let extra_pins = split_extra_pins(head)
        ops.unmap_page(head)
        ret = freezeAndSplit(page, mapping, extra_pins, list, end)
    }

    if let anon_vma {
        up_write(anon_vma.root.rwsem)
        ops.put_anon_vma(anon_vma)
    }
    if let mapping { up_read(mapping.i_mmap_rwsem) }
    count_vm_events(Int32((ret == 0 ? THP_SPLIT_PAGE : THP_SPLIT_PAGE_FAILED).rawValue), 1)
    return ret
}

private func splitFailed() -> Int32 {
    count_vm_events(Int32(THP_SPLIT_PAGE_FAILED.rawValue), 1)
    return -EBUSY
}

/// The part of split_huge_page_to_list() that runs with interrupts off.
private func freezeAndSplit(
    _ page: page, _ mapping: address_space?, _ extra_pins: Int32, _ list: list_head?, _ end: UInt
) -> Int32 {
    let function: StaticString = "split_huge_page_to_list"
    let head = compound_head(page)
    let node = page_pgdat(head)
    var frozen = false
    local_irq_disable()
    if let mapping { spin_lock(mapping.i_pages_lock, function) }
    // The tails are in the page cache if the head is.
    if mapping == nil || mapping!.slot(Int(head.index)).pointee == UInt(bitPattern: address(head)) {
        // Keeps deferred_split_scan() from the count.
        spin_lock(node.split_queue_lock, function)
        yield_point("page_count", function)
        frozen = page_ref_freeze(head, 1 + extra_pins)
        if frozen { removeFromDeferredList(head) }
        spin_unlock(node.split_queue_lock, function)
    }
    if frozen {
        if mapping != nil {
            let item = PageSwapBacked(head) ? NR_SHMEM_THPS : NR_FILE_THPS
            mod_node_page_state(Int32(item.rawValue), -hpage_pmd_nr)
        }
        __split_huge_page(page, list, end)
        return 0
    }
    if let mapping { spin_unlock(mapping.i_pages_lock, function) }
    local_irq_enable()
    ops.remap_page(head, Int32(hpage_pmd_nr))
    return -EBUSY
}
