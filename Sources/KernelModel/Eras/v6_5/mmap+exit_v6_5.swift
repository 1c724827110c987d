// SPDX-License-Identifier: GPL-2.0-only
// mm/mmap.c of Linux v6.5: the end of an address space.
//
// Left out: what mm/mmap+exit.swift says; the locks of the vmas (no fault can come any more).

import CKernel
import Simulation

func install_mmap_exit_v6_5(_ ops: kernel_ops) {
    ops.exit_mmap = exit_mmap
}

/// Unmaps everything, with mmap_lock for reading, and frees the page tables with mmap_lock for writing: khugepaged and the
/// oom reaper may still come by.  Linux v6.5, mm/mmap.c, exit_mmap().
private func exit_mmap(_ mm: mm_struct) {
    ops.mmu_notifier_release(mm)
    down_read(mm.mmap_lock)
    // None if the first vma of a fork could not be copied.
    guard let first = mm.mmap else {
        up_read(mm.mmap_lock)
        return
    }
    ops.lru_add_drain()
    var tlb = mmu_gather_of(mm)
    ops.tlb_gather_mmu(&tlb, mm, true)
    ops.unmap_vmas(&tlb, first, 0, UInt.max)
    up_read(mm.mmap_lock)

    down_write(mm.mmap_lock)
    ops.free_pgtables(&tlb, first, 0, 0)
    ops.tlb_finish_mmu(&tlb)
    var next: vm_area_struct? = first
    while let vma = next {
        next = vma.vm_next
        __vm_area_free(vma)
    }
    mm.mmap = nil
    mmap_write_unlock(mm)
}
