// SPDX-License-Identifier: GPL-2.0-only
// fs/userfaultfd.c of Linux v5.18-rc1: a fault that user space is to resolve, and what becomes of a vma's userfaultfd
// when the vma is copied.  userfaultfd+ioctl.swift has the calls, mm/userfaultfd+mm.swift what they do to memory.
//
// A process has one userfaultfd at most, which its first UFFDIO_REGISTER opens.  So a vma needs no pointer to it:
// it has one exactly if one of VM_UFFD_* is set, as the kernel asserts, and vmas that differ in it differ in
// their flags, too, and are not merged.
// Left out: the queue of messages, and read(2) and poll(2) for them: a trace's monitor acts without having read (so
// fault_wqh, where faults go that were read, is the one queue here); events other than page faults
// (UFFD_FEATURE_EVENT_*, and with them mmap_changing); userfaultfds that are passed to other processes.

import CKernel
import Simulation

func install_userfaultfd(_ ops: kernel_ops) {
    ops.handle_userfault = handle_userfault
    ops.dup_userfaultfd = dup_userfaultfd
    ops.mremap_userfaultfd_prep = mremap_userfaultfd_prep
    install_userfaultfd_ioctl(ops)
    install_mm_userfaultfd(ops)
}

// MARK: - Faults

/// Whether what the fault was about is still to be resolved: somebody may have done so before the fault was queued.
/// Linux v5.18-rc1, fs/userfaultfd.c, userfaultfd_must_wait().  From v5.19 on a marker is as good as nothing; from
/// v6.5 on the page table may be gone.
private func userfaultfd_must_wait(_ mm: mm_struct, _ address: UInt, _ reason: UInt) -> Bool {
    let function: StaticString = #function
    let pmd = pmd_offset(mm, address)
    while true {
        yield_point("pmd")
        let _pmd = pmd.pointee
        if pmd_none(_pmd) { return true }
        if !pmd_present(_pmd) { return false }
        if pmd_trans_huge(_pmd) { return !pmd_write(_pmd) && reason & VM_UFFD_WP != 0 }
        guard let pte = ops.__pte_offset_map(pmd, address, nil, function.cString) else { continue }
        yield_point("pte")
        let ptent = pte.pointee
        ops.pte_unmap(pte)
        return pte_none_mostly(ptent) || !pte_write(ptent) && reason & VM_UFFD_WP != 0
    }
}

/// Lets user space know of a fault and waits until it has been dealt with.  The mmap_lock has been dropped if
/// VM_FAULT_RETRY is returned.
/// Linux v5.18-rc1, fs/userfaultfd.c, handle_userfault().  Left out: UFFD_USER_MODE_ONLY, FAULT_FLAG_RETRY_NOWAIT,
/// the reference to the context (the mm has it).
private func handle_userfault(_ vmf: UnsafeMutablePointer<vm_fault>, _ reason: UInt) -> vm_fault_t {
    let mm = vmf.pointee.vma.vm_mm
    let address = vmf.pointee.address
    let task = current
    guard let ctx = vm_userfaultfd_ctx(vmf.pointee.vma) else { return VM_FAULT_SIGBUS }
    noteEvent(EVENT_userfault, UInt(mm.number) << 32 | address >> UInt(PAGE_SHIFT), reason)
    if ctx.features & UFFD_FEATURE_SIGBUS != 0 { return VM_FAULT_SIGBUS }
    yield_point("released")
    // Whoever closes it waits for the mmap_lock, to unregister the vma.
    if ctx.released { return VM_FAULT_NOPAGE }
    if vmf.pointee.flags & FAULT_FLAG_ALLOW_RETRY == 0 { return VM_FAULT_SIGBUS }

    spin_lock_irq(ctx.fault_pending_wqh_lock)
    task.uwq.pointee = userfaultfd_wait_queue(ctx: ctx, address: address)
    spin_unlock_irq(ctx.fault_pending_wqh_lock)

    let must_wait = userfaultfd_must_wait(mm, address, reason)
    up_read(mm.mmap_lock)
    yield_point("released")
    if must_wait && !ctx.released {
        might_sleep()
        waitInterruptibly(while: queued_on(task), is: unsafeBitCast(ctx, to: UInt.self))
    }
    if task.uwq.pointee.ctx != nil {
        spin_lock_irq(ctx.fault_pending_wqh_lock)
        task.uwq.pointee.ctx = nil
        spin_unlock_irq(ctx.fault_pending_wqh_lock)
    }
    return VM_FAULT_RETRY
}

/// The word that says on which queue a task is: uwq.ctx.
private func queued_on(_ task: task_struct) -> UnsafeMutablePointer<UInt> {
    UnsafeMutableRawPointer(task.uwq).assumingMemoryBound(to: UInt.self)
}

/// Ends the waits for faults in a range.
/// Linux v5.18-rc1, fs/userfaultfd.c, wake_userfault(), __wake_userfault(), userfaultfd_wake_function().
///
/// - Parameter len: 0 for all.
func wake_userfault(_ ctx: userfaultfd_ctx, _ start: UInt, _ len: UInt) {
    yield_point("fault_pending_wqh")
    if !waitqueue_active(ctx) { return }
    spin_lock_irq(ctx.fault_pending_wqh_lock)
    for number in 0..<Int(kernel.nr_tasks) {
        let uwq: UnsafeMutablePointer<userfaultfd_wait_queue> = kernel.task(number).uwq
        guard uwq.pointee.ctx === ctx else { continue }
        if len != 0 && (uwq.pointee.address < start || uwq.pointee.address >= start + len) { continue }
        uwq.pointee.ctx = nil
    }
    spin_unlock_irq(ctx.fault_pending_wqh_lock)
}

private func waitqueue_active(_ ctx: userfaultfd_ctx) -> Bool {
    for number in 0..<Int(kernel.nr_tasks) where kernel.task(number).uwq.pointee.ctx === ctx { return true }
    return false
}

// MARK: - Copies of vmas

/// A child does not inherit it, without UFFD_FEATURE_EVENT_FORK.
/// Linux v5.18-rc1, fs/userfaultfd.c, dup_userfaultfd().
private func dup_userfaultfd(_ vma: vm_area_struct) {
    vma_start_write(vma)
    vma.vm_flags &= ~__VM_UFFD_FLAGS
}

/// Nor does a vma that is moved, without UFFD_FEATURE_EVENT_REMAP.
/// Linux v5.18-rc1, fs/userfaultfd.c, mremap_userfaultfd_prep().
private func mremap_userfaultfd_prep(_ vma: vm_area_struct) {
    vma_start_write(vma)
    yield_point("vm_flags")
    vma.vm_flags &= ~__VM_UFFD_FLAGS
}
