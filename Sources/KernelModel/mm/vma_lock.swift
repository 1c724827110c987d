// SPDX-License-Identifier: GPL-2.0-only
// Locks of single vmas (CONFIG_PER_VMA_LOCK, v6.4).  Before, there are none, and these functions do nothing: who holds
// mmap_lock for writing has all vmas.  Source: Linux v6.5, include/linux/mm.h, include/linux/mmap_lock.h.

import CKernel
import Simulation

func install_vma_lock(_ ops: kernel_ops) {
    ops.lock_vma_under_rcu = { _, _ in nil }
    ops.vma_start_write = { _ in }
    ops.vma_try_start_write = { _ in true }
    ops.vma_end_write_all = { _ in }
    ops.vma_end_read = { _ in }
    ops.vma_mark_detached = { _, _ in }
}

/// Keeps faults off the vma until mmap_lock, which is held for writing, is dropped or downgraded.
public func vma_start_write(_ vma: vm_area_struct) { ops.vma_start_write(vma) }

/// The same if no fault has the vma.
public func vma_try_start_write(_ vma: vm_area_struct) -> Bool { ops.vma_try_start_write(vma) }

/// Linux v6.5, include/linux/mmap_lock.h, mmap_write_unlock().
public func mmap_write_unlock(_ mm: mm_struct, _ function: StaticString = #function) {
    ops.vma_end_write_all(mm)
    up_write(mm.mmap_lock, function)
}

/// Linux v6.5, include/linux/mmap_lock.h, mmap_write_downgrade().
public func mmap_write_downgrade(_ mm: mm_struct, _ function: StaticString = #function) {
    ops.vma_end_write_all(mm)
    downgrade_write(mm.mmap_lock, function)
}

/// Linux v6.5, kernel/fork.c, vma_lock_alloc(): the lock is a part of the vma here.
func vma_lock_alloc(_ vma: vm_area_struct) {
    init_rwsem(vma.vm_lock, LOCK_vma_lock)
    vma.vm_lock_seq = -1
    vma.detached = false
}
