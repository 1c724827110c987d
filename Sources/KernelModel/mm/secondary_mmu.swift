// SPDX-License-Identifier: GPL-2.0-only
// A device that mirrors an mm with a page table of its own, as virt/kvm/kvm_main.c of Linux v5.13 does for a
// guest: entries hold no reference to pages, so they must go before the pages do.
//
// Modelled: faults by get_user_pages() that are thrown away when an invalidation ran meanwhile
// (mmu_notifier_retry()), the dirty bit handed to the page when an entry goes, the young bit.
// Left out: huge entries, read faults mapped writable, the guest's own page tables.  A device waits for a running
// invalidation (as mmu_interval_read_begin() does) where KVM re-enters the guest and faults again.

import CKernel
import Simulation

/// More faults than this on one access are a livelock.
private let MAX_DEVICE_FAULTS = 64

// MARK: - Registration

/// Lets a device mirror the mm; -EBUSY if one does already.
/// Linux v5.13, mm/mmu_notifier.c, __mmu_notifier_register(): with mmap_lock and, by mm_take_all_locks(), the locks of
/// all reverse maps held, no invalidation is under way.  Instead of taking these locks, it waits for that here.
func secondary_mmu_register(_ mm: mm_struct) -> Int {
    down_write(mm.mmap_lock)
    defer { mmap_write_unlock(mm) }
    if mm.notifier_subscriptions != nil { return -Int(EBUSY) }
    let slot = kernel.secondary_mmu_slot(Int(mm.number))!
    let mmu = slot.pointee ?? unsafeBitCast(arenaAllocate(sizeof_secondary_mmu()), to: secondary_mmu.self)
    slot.pointee = mmu
    spin_lock_init(mmu.lock, LOCK_secondary_mmu)
    mmu.mm = mm
    mmu.invalidate_in_progress = 0
    mm_take_all_locks(mm)
    mm.notifier_subscriptions = mmu
    return 0
}

/// Waits for the invalidations under way; mmap_lock, held for writing, keeps others from beginning, but for those of
/// reverse maps, which do no harm once the subscriber is there.
func mm_take_all_locks(_ mm: mm_struct, _ function: StaticString = #function) {
    while mm.invalidations != 0 {
        waitForChange(of: mm_invalidations(mm), from: mm.invalidations, "mm_take_all_locks", function)
    }
}

// MARK: - Accesses

/// Loads from, or stores to, the mm's memory through the device's own translations.
///
/// - Returns: what was loaded or stored, or a negative errno.
func secondary_mmu_access(_ mmu: secondary_mmu, _ mm: mm_struct, _ address: UInt, write: Bool, token: UInt64) -> Int {
    for _ in 0..<MAX_DEVICE_FAULTS {
        yield_point("secondary_mmu")
        if mmu.mm !== mm { return -Int(EFAULT) }
        if let entry = entry(mmu, address), !write || entry.pointee.write != 0 {
            return touch(mm, entry, address, write, token)
        }
        let error = secondary_mmu_fault(mmu, mm, address, write)
        if error != 0 { return error }
    }
    return -Int(EAGAIN)
}

/// One step: an invalidation waits for the device's accesses under way.
private func touch(
    _ mm: mm_struct, _ entry: UnsafeMutablePointer<secondary_mmu_entry>, _ address: UInt, _ write: Bool,
    _ token: UInt64
) -> Int {
    let page = pfn_to_page(entry.pointee.pfn)
    if page_count(page) == 0 { reportViolation(VIOLATION_stale_translation, address, UInt(mm.number)) }
    entry.pointee.young = 1
    if write {
        entry.pointee.dirty = 1
        page.contents = token
        userDataStored(mm, address, token)
    } else {
        userDataLoaded(mm, address, page.contents)
    }
    return Int(truncatingIfNeeded: page.contents & UInt64(Int.max))
}

/// Linux v5.13, virt/kvm/kvm_main.c, hva_to_pfn_slow(); arch/x86/kvm/mmu/mmu.c, direct_page_fault().
private func secondary_mmu_fault(_ mmu: secondary_mmu, _ mm: mm_struct, _ address: UInt, _ write: Bool) -> Int {
    might_sleep()
    wait_while_invalidating(mmu)
    let seq = mmu.invalidate_seq
    var page: page?
    down_read(mm.mmap_lock)
    let got = ops.get_user_pages(mm, address & PAGE_MASK, 1, FOLL_GET | (write ? FOLL_WRITE : 0), &page)
    up_read(mm.mmap_lock)
    guard got == 1, let found = page else { return got < 0 ? got : -Int(EFAULT) }

    spin_lock(mmu.lock)
    if mmu.invalidate_in_progress == 0 && mmu.invalidate_seq == seq && mmu.mm === mm {
        let slot = mmu.entry(Int(address >> UInt(PAGE_SHIFT)) % Int(SECONDARY_MMU_ENTRIES))
        drop(slot)
        slot.pointee = secondary_mmu_entry(
            address: address & PAGE_MASK, pfn: page_to_pfn(found), write: write ? 1 : 0, young: 1, dirty: 0, pinned: 0)
    }
    spin_unlock(mmu.lock)
    ops.put_page(found)
    return 0
}

private func wait_while_invalidating(_ mmu: secondary_mmu) {
    while true {
        yield_point("invalidate_in_progress")
        let running = mmu.invalidate_in_progress
        if running == 0 { return }
        waitForChange(of: invalidations(mmu), from: running, "invalidate_in_progress")
    }
}

// MARK: - Notifications

/// Linux v5.13, virt/kvm/kvm_main.c, kvm_mmu_notifier_invalidate_range_start().
func secondary_mmu_invalidate_range_start(_ mmu: secondary_mmu, _ start: UInt, _ end: UInt) {
    spin_lock(mmu.lock)
    mmu.invalidate_in_progress += 1
    drop_range(mmu, start, end)
    spin_unlock(mmu.lock)
}

/// Linux v5.13, virt/kvm/kvm_main.c, kvm_mmu_notifier_invalidate_range_end().
func secondary_mmu_invalidate_range_end(_ mmu: secondary_mmu) {
    spin_lock(mmu.lock)
    mmu.invalidate_seq += 1
    mmu.invalidate_in_progress -= 1
    spin_unlock(mmu.lock)
}

/// Linux v5.13, virt/kvm/kvm_main.c, kvm_mmu_notifier_clear_flush_young().
func secondary_mmu_clear_flush_young(_ mmu: secondary_mmu, _ start: UInt, _ end: UInt) -> Bool {
    spin_lock(mmu.lock)
    var young = false
    for index in 0..<Int(SECONDARY_MMU_ENTRIES) {
        let entry = mmu.entry(index)
        guard entry.pointee.address >= start && entry.pointee.address < end else { continue }
        young = young || entry.pointee.young != 0
        entry.pointee.young = 0
    }
    spin_unlock(mmu.lock)
    return young
}

/// Linux v5.13, virt/kvm/kvm_main.c, kvm_mmu_notifier_test_young().
func secondary_mmu_test_young(_ mmu: secondary_mmu, _ address: UInt) -> Bool {
    spin_lock(mmu.lock)
    var young = false
    for index in 0..<Int(SECONDARY_MMU_ENTRIES) {
        let entry = mmu.entry(index)
        if entry.pointee.address == address { young = young || entry.pointee.young != 0 }
    }
    spin_unlock(mmu.lock)
    return young
}

/// Linux v5.13, virt/kvm/kvm_main.c, kvm_mmu_notifier_release().
func secondary_mmu_release(_ mmu: secondary_mmu) {
    spin_lock(mmu.lock)
    drop_range(mmu, 0, UInt.max)
    mmu.mm = nil
    spin_unlock(mmu.lock)
}

// MARK: - Entries

/// Nobody maps page 0: an entry of that address is empty.
private func entry(_ mmu: secondary_mmu, _ address: UInt) -> UnsafeMutablePointer<secondary_mmu_entry>? {
    if address < PAGE_SIZE { return nil }
    let slot = mmu.entry(Int(address >> UInt(PAGE_SHIFT)) % Int(SECONDARY_MMU_ENTRIES))
    return slot.pointee.address == address & PAGE_MASK ? slot : nil
}

private func drop_range(_ mmu: secondary_mmu, _ start: UInt, _ end: UInt) {
    for index in 0..<Int(SECONDARY_MMU_ENTRIES) {
        let slot = mmu.entry(index)
        if slot.pointee.address >= start && slot.pointee.address < end { drop(slot) }
    }
}

/// Linux v5.13, arch/x86/kvm/mmu/mmu.c, mmu_spte_clear_track_bits(), kvm_set_pfn_dirty().
private func drop(_ slot: UnsafeMutablePointer<secondary_mmu_entry>) {
    if slot.pointee.address != 0 && slot.pointee.dirty != 0 {
        yield_point("PageDirty")
        SetPageDirty(pfn_to_page(slot.pointee.pfn))
    }
    slot.pointee = secondary_mmu_entry()
}

/// A page that goes back to the allocator must be in no secondary MMU that holds no reference to it.
func checkNoSecondaryTranslation(_ page: page, _ nr_pages: Int) {
    let first = page_to_pfn(page)
    for number in 0..<Int(MAX_MMS) {
        guard let mmu = kernel.secondary_mmu_slot(number)?.pointee, mmu.mm != nil else { continue }
        for index in 0..<Int(SECONDARY_MMU_ENTRIES) {
            let entry = mmu.entry(index).pointee
            guard entry.address != 0 && entry.pinned == 0 else { continue }
            if entry.pfn >= first && entry.pfn < first + UInt(nr_pages) {
                reportViolation(VIOLATION_stale_translation, entry.address, UInt(number))
            }
        }
    }
}
