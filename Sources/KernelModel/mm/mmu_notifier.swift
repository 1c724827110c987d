// SPDX-License-Identifier: GPL-2.0-only
// mm/mmu_notifier.c of Linux v5.13: tells a device that mirrors an mm what the kernel does to its page tables.
//
// Every call is noted as an event, whether anybody listens or not.  Two listeners an mm, one of each kind: struct
// secondary_mmu has a page table of its own and listens to invalidate_range_start() and _end(), struct intel_svm walks
// the CPU's page tables and listens to invalidate_range(), which is called at invalidate_range_end() too.
// Left out: interval notifiers (one device drops what overlaps either way), change_pte(): the range is invalid while
// it is called.

import CKernel
import Simulation

func install_mmu_notifier(_ ops: kernel_ops) {
    ops.mmu_notifier_invalidate_range_start = mmu_notifier_invalidate_range_start
    ops.mmu_notifier_invalidate_range_end = mmu_notifier_invalidate_range_end
    ops.mmu_notifier_invalidate_range_only_end = mmu_notifier_invalidate_range_only_end
    ops.mmu_notifier_invalidate_range = mmu_notifier_invalidate_range
    ops.mmu_notifier_clear_flush_young = mmu_notifier_clear_flush_young
    ops.mmu_notifier_release = mmu_notifier_release
}

private func noteRange(_ event: event_kind, _ mm: mm_struct, _ start: UInt, _ end: UInt, _ why: UInt32 = 0) {
    // A whole mm is [~0, ~0) in an mmu_gather.
    let (start, end) = start < end ? (start, min(end, TASK_SIZE())) : (0, TASK_SIZE())
    let pages = (end - start) >> UInt(PAGE_SHIFT)
    noteEvent(event, UInt(mm.number) << 32 | start >> UInt(PAGE_SHIFT), pages << 8 | UInt(why))
}

/// Linux v5.13, include/linux/mmu_notifier.h, mmu_notifier_invalidate_range_start().
private func mmu_notifier_invalidate_range_start(_ range: UnsafeMutablePointer<mmu_notifier_range>) {
    let mm = range.pointee.mm
    might_sleep()
    noteRange(EVENT_mmu_notifier_range_start, mm, range.pointee.start, range.pointee.end, range.pointee.event)
    yield_point("notifier_subscriptions")
    mm.invalidations += 1
    if let mmu = mm.notifier_subscriptions {
        secondary_mmu_invalidate_range_start(mmu, range.pointee.start, range.pointee.end)
    }
}

/// Linux v5.13, include/linux/mmu_notifier.h, mmu_notifier_invalidate_range_end().
private func mmu_notifier_invalidate_range_end(_ range: UnsafeMutablePointer<mmu_notifier_range>) {
    might_sleep()
    if let svm = range.pointee.mm.intel_svm { intel_invalidate_range(svm, range.pointee.start, range.pointee.end) }
    ops.mmu_notifier_invalidate_range_only_end(range)
}

/// Linux v5.13, include/linux/mmu_notifier.h, mmu_notifier_invalidate_range_only_end().
private func mmu_notifier_invalidate_range_only_end(_ range: UnsafeMutablePointer<mmu_notifier_range>) {
    let mm = range.pointee.mm
    noteRange(EVENT_mmu_notifier_range_end, mm, range.pointee.start, range.pointee.end, range.pointee.event)
    if let mmu = mm.notifier_subscriptions { secondary_mmu_invalidate_range_end(mmu) }
    yield_point("notifier_subscriptions")
    mm.invalidations -= 1
}

/// Linux v5.13, include/linux/mmu_notifier.h, mmu_notifier_invalidate_range().
private func mmu_notifier_invalidate_range(_ mm: mm_struct, _ start: UInt, _ end: UInt) {
    noteRange(EVENT_mmu_notifier_range, mm, start, end)
    if let svm = mm.intel_svm { intel_invalidate_range(svm, start, end) }
}

/// Linux v5.13, include/linux/mmu_notifier.h, mmu_notifier_test_young().
func mmu_notifier_test_young(_ mm: mm_struct, _ address: UInt) -> Bool {
    mm.notifier_subscriptions.map { secondary_mmu_test_young($0, address) } ?? false
}

/// Linux v5.13, include/linux/mmu_notifier.h, mmu_notifier_clear_flush_young().
private func mmu_notifier_clear_flush_young(_ mm: mm_struct, _ start: UInt, _ end: UInt) -> Bool {
    noteRange(EVENT_mmu_notifier_young, mm, start, end)
    yield_point("notifier_subscriptions")
    return mm.notifier_subscriptions.map { secondary_mmu_clear_flush_young($0, start, end) } ?? false
}

/// Linux v5.13, mm/mmu_notifier.c, __mmu_notifier_release(): the mm is about to lose its pages.
private func mmu_notifier_release(_ mm: mm_struct) {
    noteEvent(EVENT_mmu_notifier_release, UInt(mm.number) << 32, 0)
    yield_point("notifier_subscriptions")
    if let svm = mm.intel_svm {
        intel_mm_release(svm)
        mm.intel_svm = nil
    }
    guard let mmu = mm.notifier_subscriptions else { return }
    secondary_mmu_release(mmu)
    mm.notifier_subscriptions = nil
}

// MARK: - What arch code and notifiers do together (include/linux/mmu_notifier.h)

func ptep_clear_flush_notify(_ vma: vm_area_struct, _ address: UInt, _ ptep: UnsafeMutablePointer<pte_t>) -> pte_t {
    let pte = ops.ptep_clear_flush(vma, address, ptep)
    ops.mmu_notifier_invalidate_range(vma.vm_mm, address, address + PAGE_SIZE)
    return pte
}

func set_pte_at_notify(
    _ mm: mm_struct, _ address: UInt, _ ptep: UnsafeMutablePointer<pte_t>, _ pte: pte_t,
    _ function: StaticString = #function
) {
    set_pte_at(mm, address, ptep, pte, function)
}
