// SPDX-License-Identifier: GPL-2.0-only
// mm/mlock.c of Linux v5.18-rc1: pages count the VM_LOCKED vmas that map them (mlock_count), and each CPU gathers
// what is to be counted in a batch, with a reference each.  Callers hold the page table lock, or own the page.
//
// mlock_count lives in the place of page.lru in the kernel, so it means something only while the page is on the
// unevictable list, which nobody scans: there is no such list any more.  A page that was off the list for a while
// starts again at 0.  So the count may be too low.  It should never be too high, but munlock of a page that another
// CPU is just counting, and so has taken off its list, clears PG_mlocked and does not subtract.
//
// mlock_page() is mlock_folio() there, on the head page.  mlock_page_drain() has the argument of the patches; in
// v5.18-rc1 it is mlock_page_drain_local(), which takes the lock, as does this one, and the dead CPU of
// mlock_page_drain_remote() is not modelled.  A range and the system calls are in mlock+syscalls_v5_18.swift.
//
// Who adds to a batch holds the page table lock, and stays on its CPU from the unmapping on; who drains one may have
// come from another CPU just before: may_change_cpu().
//
// Left out: memory cgroups.

import CKernel
import Simulation

func install_mlock_v5_18(_ ops: kernel_ops) {
    ops.mlock_page = mlock_page
    ops.mlock_new_page = mlock_new_page
    ops.munlock_page = munlock_page
    ops.mlock_page_drain = mlock_page_drain
    ops.need_mlock_page_drain = need_mlock_page_drain
    ops.rules |= RULE_MLOCK_COUNT | RULE_MLOCKED_UNTIL_FREED | RULE_STRANDED_PAGES
    removeOldMlock(ops)
}

/// What nobody calls any more.
private func removeOldMlock(_ ops: kernel_ops) {
    ops.clear_page_mlock = { _ in BUG_ON(true, "clear_page_mlock() is gone") }
    ops.mlock_vma_page = { _ in BUG_ON(true, "mlock_vma_page(page) is gone") }
    ops.munlock_vma_page = { _ in
        BUG_ON(true, "munlock_vma_page(page) is gone")
        return 0
    }
    ops.__munlock_isolated_page = { _ in BUG_ON(true, "__munlock_isolated_page() is gone") }
    ops.munlock_vma_pages_range = { _, _, _ in BUG_ON(true, "munlock_vma_pages_range() is gone") }
    ops.try_to_munlock = { _ in BUG_ON(true, "try_to_munlock() is gone") }
}

/// NR_MLOCK counts base pages.
private func account_mlocked(_ delta: Int) {
    yield_point("NR_MLOCK", "mod_zone_page_state")
    mod_node_page_state(Int32(NR_MLOCK.rawValue), delta)
}

private func count(_ event: vm_event_item, _ delta: Int) {
    count_vm_events(Int32(event.rawValue), delta)
}

// MARK: - For a vma

/// One mapping more of a page: it counts if the vma is VM_LOCKED.  VM_IO beside VM_LOCKED says that mlock(2) is at
/// work on the vma, and will count the page by itself.  Linux v5.18-rc1, mm/internal.h, mlock_vma_page().
public func mlock_vma_page(_ page: page, _ vma: vm_area_struct, _ compound: Bool) {
    yield_point("vm_flags")
    if vma.vm_flags & (VM_LOCKED | VM_SPECIAL) == VM_LOCKED && (compound || !PageTransCompound(page)) {
        ops.mlock_page(compound_head(page))
    }
}

/// One mapping less.  Linux v5.18-rc1, mm/internal.h, munlock_vma_page().
public func munlock_vma_page(_ page: page, _ vma: vm_area_struct, _ compound: Bool) {
    yield_point("vm_flags")
    if vma.vm_flags & VM_LOCKED != 0 && (compound || !PageTransCompound(page)) { ops.munlock_page(page) }
}

// MARK: - Into the batch

/// Marks a page that is on a list, or off it for a while.  Linux v5.18-rc1, mm/mlock.c, mlock_folio().
private func mlock_page(_ page: page) {
    let cpu = this_cpu
    local_lock(cpu.mlock_pvec_lock)
    yield_point("PageMlocked")
    if !TestSetPageMlocked(page) {
        let nr_pages = Int(thp_nr_pages(page))
        account_mlocked(nr_pages)
        count(UNEVICTABLE_PGMLOCKED, nr_pages)
    }
    yield_point("page_count")
    get_page(page)
    if pagevec_add(cpu.mlock_pvec, mlock_lru(page)) == 0 || PageHead(page) || lru_cache_disabled() {
        mlock_pagevec(cpu.mlock_pvec)
    }
    local_unlock(cpu.mlock_pvec_lock)
}

/// Marks a new page: the batch is its way to the list.  Linux v5.18-rc1, mm/mlock.c, mlock_new_page().
private func mlock_new_page(_ page: page) {
    let nr_pages = Int(thp_nr_pages(page))
    let cpu = this_cpu
    local_lock(cpu.mlock_pvec_lock)
    SetPageMlocked(page)
    account_mlocked(nr_pages)
    count(UNEVICTABLE_PGMLOCKED, nr_pages)
    yield_point("page_count")
    get_page(page)
    if pagevec_add(cpu.mlock_pvec, mlock_new(page)) == 0 || PageHead(page) || lru_cache_disabled() {
        mlock_pagevec(cpu.mlock_pvec)
    }
    local_unlock(cpu.mlock_pvec_lock)
}

/// Leaves PG_mlocked to the batch: other vmas may lock the page.  Linux v5.18-rc1, mm/mlock.c, munlock_page().
private func munlock_page(_ page: page) {
    let cpu = this_cpu
    local_lock(cpu.mlock_pvec_lock)
    yield_point("page_count")
    get_page(page)
    if pagevec_add(cpu.mlock_pvec, page) == 0 || PageHead(page) || lru_cache_disabled() {
        mlock_pagevec(cpu.mlock_pvec)
    }
    local_unlock(cpu.mlock_pvec_lock)
}

// MARK: - Out of the batch

/// Linux v5.18-rc1, mm/mlock.c, __mlock_page().
private func __mlock_page(_ page: page, _ locked: pglist_data?) -> pglist_data? {
    // Off its list there is no count.
    yield_point("PageLRU")
    guard TestClearPageLRU(page) else { return locked }
    let lruvec = relock_page_lruvec_irq(page, locked)
    if ops.page_evictable(page) {
        // Another CPU has taken PG_mlocked away already.
        if PageUnevictable(page) {
            del_page_from_lru_list(page, lruvec)
            ClearPageUnevictable(page)
            add_page_to_lru_list(page, lruvec)
            count(UNEVICTABLE_PGRESCUED, Int(thp_nr_pages(page)))
        }
    } else if PageUnevictable(page) {
        yield_point("PageMlocked")
        if PageMlocked(page) { page.mlock_count += 1 }
    } else {
        del_page_from_lru_list(page, lruvec)
        ClearPageActive(page)
        SetPageUnevictable(page)
        yield_point("PageMlocked")
        page.mlock_count = PageMlocked(page) ? 1 : 0
        add_page_to_lru_list(page, lruvec)
        count(UNEVICTABLE_PGCULLED, Int(thp_nr_pages(page)))
    }
    yield_point("PageLRU")
    SetPageLRU(page)
    return lruvec
}

/// Linux v5.18-rc1, mm/mlock.c, __mlock_new_page().
private func __mlock_new_page(_ page: page, _ locked: pglist_data?) -> pglist_data {
    VM_BUG_ON_PAGE(PageLRU(page), "PageLRU(page)")
    let lruvec = relock_page_lruvec_irq(page, locked)
    if !ops.page_evictable(page) {
        SetPageUnevictable(page)
        yield_point("PageMlocked")
        page.mlock_count = PageMlocked(page) ? 1 : 0
        count(UNEVICTABLE_PGCULLED, Int(thp_nr_pages(page)))
    }
    add_page_to_lru_list(page, lruvec)
    yield_point("PageLRU")
    SetPageLRU(page)
    return lruvec
}

/// A page that is not on the unevictable list is munlocked whatever other vmas say: reclaim marks it again.
/// Linux v5.18-rc1, mm/mlock.c, __munlock_page().
private func __munlock_page(_ page: page, _ locked: pglist_data?) -> pglist_data? {
    let nr_pages = Int(thp_nr_pages(page))
    yield_point("PageLRU")
    guard TestClearPageLRU(page) else {
        clearMlocked(page, nr_pages, isolated: false)
        return locked
    }
    let lruvec = relock_page_lruvec_irq(page, locked)
    if PageUnevictable(page) && page.mlock_count != 0 { page.mlock_count -= 1 }
    if !PageUnevictable(page) || page.mlock_count == 0 {
        clearMlocked(page, nr_pages, isolated: true)
        // After PG_mlocked is gone: see __pagevec_lru_add_fn().
        if PageUnevictable(page) && ops.page_evictable(page) {
            del_page_from_lru_list(page, lruvec)
            ClearPageUnevictable(page)
            add_page_to_lru_list(page, lruvec)
            count(UNEVICTABLE_PGRESCUED, nr_pages)
        }
    }
    yield_point("PageLRU")
    SetPageLRU(page)
    return lruvec
}

/// The part of __munlock_page() at its label munlock.
private func clearMlocked(_ page: page, _ nr_pages: Int, isolated: Bool) {
    yield_point("PageMlocked", "__munlock_page")
    if !isolated { kernel.munlocked_off_list += UInt32(nr_pages) }
    guard TestClearPageMlocked(page) else { return }
    account_mlocked(-nr_pages)
    count(isolated || !PageUnevictable(page) ? UNEVICTABLE_PGMUNLOCKED : UNEVICTABLE_PGSTRANDED, nr_pages)
}

/// Linux v5.18-rc1, mm/mlock.c, mlock_pagevec().
private func mlock_pagevec(_ pvec: pagevec) {
    var lruvec: pglist_data?
    for index in 0..<Int(pagevec_count(pvec)) {
        let entry = pvec.page(index).pointee!
        let page = mlock_entry_to_page(entry)
        pvec.page(index).pointee = page
        switch mlock_kind(entry) {
        case LRU_PAGE: lruvec = __mlock_page(page, lruvec)
        case NEW_PAGE: lruvec = __mlock_new_page(page, lruvec)
        default: lruvec = __munlock_page(page, lruvec)
        }
    }
    if let locked = lruvec { unlock_page_lruvec_irq(locked) }
    ops.release_pages(pvec.page(0), Int32(pvec.nr))
    pagevec_reinit(pvec)
}

/// Linux v5.18-rc1, mm/mlock.c, mlock_page_drain_local().
private func mlock_page_drain(_ number: Int32) {
    may_change_cpu()
    let cpu = this_cpu
    local_lock(cpu.mlock_pvec_lock)
    if pagevec_count(cpu.mlock_pvec) != 0 { mlock_pagevec(cpu.mlock_pvec) }
    local_unlock(cpu.mlock_pvec_lock)
}

/// Linux v5.18-rc1, mm/mlock.c, need_mlock_page_drain().
private func need_mlock_page_drain(_ number: Int32) -> Bool {
    pagevec_count(kernel.cpu(Int(number)).mlock_pvec) != 0
}
