// SPDX-License-Identifier: GPL-2.0-only
// mm/mmap.c of Linux v5.18-rc1: munmap(2) and exit leave it to page_remove_rmap() to munlock what they unmap.
//
// Left out: what mm/mmap+exit.swift says.

import CKernel
import Simulation

func install_mmap_exit_v5_18(_ ops: kernel_ops) {
    ops.unlock_range = unlock_range
    ops.exit_mmap = exit_mmap
}

/// The vmas to be unmapped no longer count as locked memory; they stay VM_LOCKED.
/// Part of Linux v5.18-rc1, mm/mmap.c, detach_vmas_to_be_unmapped().
private func unlock_range(_ start: vm_area_struct, _ limit: UInt) {
    let mm = start.vm_mm
    var next: vm_area_struct? = start
    while let vma = next, vma.vm_start < limit {
        if vma.vm_flags & VM_LOCKED != 0 { mm.locked_vm &-= vma_pages(vma) }
        next = vma.vm_next
    }
}

/// Unmaps everything.  mmap_lock is held for the oom reaper's sake only.
/// Linux v5.18-rc1, mm/mmap.c, exit_mmap().
private func exit_mmap(_ mm: mm_struct) {
    ops.mmu_notifier_release(mm)
    down_write(mm.mmap_lock)
    // None if the first vma of a fork could not be copied.
    guard let first = mm.mmap else {
        mmap_write_unlock(mm)
        return
    }
    ops.lru_add_drain()
    var tlb = mmu_gather_of(mm)
    ops.tlb_gather_mmu(&tlb, mm, true)
    ops.unmap_vmas(&tlb, first, 0, UInt.max)
    ops.free_pgtables(&tlb, first, 0, 0)
    ops.tlb_finish_mmu(&tlb)
    var next: vm_area_struct? = first
    while let vma = next { next = remove_vma(vma) }
    mm.mmap = nil
    mmap_write_unlock(mm)
}
