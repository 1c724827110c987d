// SPDX-License-Identifier: GPL-2.0-only
// Locks of single vmas.  A writer of a vma, who has mmap_lock, waits until no fault has the vma, and leaves the number of
// its turn in it; when mmap_lock is dropped the number goes up, and all vmas are free again.  A fault finds the vma without
// mmap_lock, and so vmas are freed by RCU.
// Source: Linux v6.5, include/linux/mm.h, include/linux/mmap_lock.h, kernel/fork.c, mm/memory.c.
//
// Left out: the wrap of the numbers, TCP's vmas.

import CKernel
import Simulation

func install_vma_lock_v6_5(_ ops: kernel_ops) {
    ops.lock_vma_under_rcu = lock_vma_under_rcu
    ops.vma_start_write = __vma_start_write
    ops.vma_try_start_write = __vma_try_start_write
    ops.vma_end_write_all = vma_end_write_all
    ops.vma_end_read = vma_end_read
    ops.vma_mark_detached = vma_mark_detached
    ops.vm_area_free = vm_area_free
}

// MARK: - Readers

/// The vma of a faulting address, if it is one for which the fault needs no mmap_lock.
/// Linux v6.5, mm/memory.c, lock_vma_under_rcu().
private func lock_vma_under_rcu(_ mm: mm_struct, _ address: UInt) -> vm_area_struct? {
    rcu_read_lock()
    defer { rcu_read_unlock() }
    while true {
        yield_point("mm_mt")
        guard let vma = ops.find_vma(mm, address), vma.vm_start <= address, vma_is_anonymous(vma),
            vma_start_read(vma)
        else { return nil }
        // A fault that shares a neighbour's anon_vma, or drops mmap_lock for userfaultfd, needs mmap_lock.  And the vma
        // may have changed before it was locked.
        if vma.anon_vma == nil || userfaultfd_armed(vma) || address < vma.vm_start || address >= vma.vm_end {
            vma_end_read(vma)
            return nil
        }
        if !vma.detached { return vma }
        // Another one took its place.
        vma_end_read(vma)
    }
}

/// Linux v6.5, include/linux/mm.h, vma_start_read().
private func vma_start_read(_ vma: vm_area_struct) -> Bool {
    yield_point("vm_lock_seq")
    if !isLive(CACHE_vm_area_struct, address(vma)) {
        reportViolation(VIOLATION_freed_reachable, UInt(CACHE_vm_area_struct.rawValue), 0)
        return false
    }
    if vma.vm_lock_seq == vma.vm_mm.mm_lock_seq { return false }
    if !down_read_trylock(vma.vm_lock) { return false }
    // No yield point: a writer changes the number of the vma under this lock, and his own is at rest until then.
    if vma.vm_lock_seq == vma.vm_mm.mm_lock_seq {
        up_read(vma.vm_lock)
        return false
    }
    return true
}

/// Linux v6.5, include/linux/mm.h, vma_end_read().
private func vma_end_read(_ vma: vm_area_struct) {
    rcu_read_lock()
    up_read(vma.vm_lock)
    rcu_read_unlock()
}

// MARK: - Writers

/// Linux v6.5, include/linux/mm.h, __is_vma_write_locked().
private func is_vma_write_locked(_ vma: vm_area_struct) -> Bool {
    BUG_ON(vma.vm_mm.mmap_lock.writer == 0, "mmap_assert_write_locked()", "__is_vma_write_locked")
    return vma.vm_lock_seq == vma.vm_mm.mm_lock_seq
}

/// Linux v6.5, include/linux/mm.h, vma_start_write().
private func __vma_start_write(_ vma: vm_area_struct) {
    if is_vma_write_locked(vma) { return }
    down_write(vma.vm_lock)
    vma.vm_lock_seq = vma.vm_mm.mm_lock_seq
    up_write(vma.vm_lock)
}

/// Linux v6.5, include/linux/mm.h, vma_try_start_write().
private func __vma_try_start_write(_ vma: vm_area_struct) -> Bool {
    if is_vma_write_locked(vma) { return true }
    if !down_write_trylock(vma.vm_lock) { return false }
    vma.vm_lock_seq = vma.vm_mm.mm_lock_seq
    up_write(vma.vm_lock)
    return true
}

/// Linux v6.5, include/linux/mmap_lock.h, vma_end_write_all().
private func vma_end_write_all(_ mm: mm_struct) {
    yield_point("mm_lock_seq")
    mm.mm_lock_seq += 1
}

/// Linux v6.5, include/linux/mm.h, vma_mark_detached().
private func vma_mark_detached(_ vma: vm_area_struct, _ detached: Bool) {
    BUG_ON(detached && !is_vma_write_locked(vma), "vma_assert_write_locked(vma)", "vma_mark_detached")
    vma.detached = detached
}

/// Linux v6.5, kernel/fork.c, vm_area_free(), vm_area_free_rcu_cb().
private func vm_area_free(_ vma: vm_area_struct) {
    kfree_rcu(CACHE_vm_area_struct, address(vma))
}
