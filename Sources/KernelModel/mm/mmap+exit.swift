// SPDX-License-Identifier: GPL-2.0-only
// mm/mmap.c of Linux v5.13, continued: the end of an address space.
//
// Left out: the OOM reaper and its handshake (no task is an OOM victim), AIO, KSM and uprobes.

import CKernel
import Simulation

func install_mmap_exit(_ ops: kernel_ops) {
    ops.exit_mmap = exit_mmap
}

/// Unmaps everything.  mmap_lock is not held: the last user is gone, but rmap walks, and whoever keeps the
/// mm by mm_count only, still come by.
/// Linux v5.13, mm/mmap.c, exit_mmap().
private func exit_mmap(_ mm: mm_struct) {
    ops.mmu_notifier_release(mm)
    if mm.locked_vm != 0 {
        var next = mm.mmap
        while let vma = next {
            if vma.vm_flags & VM_LOCKED != 0 { munlock_vma_pages_all(vma) }
            next = vma.vm_next
        }
    }
    // None if the first vma of a fork could not be copied.
    guard let first = mm.mmap else { return }
    ops.lru_add_drain()
    var tlb = mmu_gather_of(mm)
    ops.tlb_gather_mmu(&tlb, mm, true)
    ops.unmap_vmas(&tlb, first, 0, UInt.max)
    ops.free_pgtables(&tlb, first, 0, 0)
    ops.tlb_finish_mmu(&tlb)
    var next: vm_area_struct? = first
    while let vma = next { next = remove_vma(vma) }
    mm.mmap = nil
}
