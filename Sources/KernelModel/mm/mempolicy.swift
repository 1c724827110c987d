// SPDX-License-Identifier: GPL-2.0-only
// What NUMA balancing does to page tables: mm/mempolicy.c of Linux v5.13, and the part of task_numa_work()
// in kernel/sched/fair.c that calls it.
//
// Left out: memory policies, and which range is scanned when (the trace says so).

import CKernel
import Simulation

/// Linux v5.13, mm/mempolicy.c, change_prot_numa(): the next access to each page of the range faults.
private func change_prot_numa(_ vma: vm_area_struct, _ start: UInt, _ end: UInt) {
    _ = ops.change_protection(vma, start, end, _PAGE_PROTNONE, MM_CP_PROT_NUMA)
}

/// Linux v5.13, kernel/sched/fair.c, task_numa_work(), for the vmas of a range.
func task_numa_work(_ start: UInt, _ len: UInt) {
    let mm = current.mm!
    let start = start & PAGE_MASK
    let end = min(start &+ PAGE_ALIGN(len), TASK_SIZE())
    guard down_read_trylock(mm.mmap_lock) else { return }
    var next = ops.find_vma(mm, start)
    while let vma = next, vma.vm_start < end {
        next = vma.vm_next
        guard vma_migratable(vma), vma.vm_flags & VM_MIXEDMAP == 0 else { continue }
        // Read-only files are mostly shared libraries.
        if vma.vm_file != nil && vma.vm_flags & (VM_READ | VM_WRITE) == VM_READ { continue }
        guard vma_is_accessible(vma) else { continue }
        change_prot_numa(vma, max(start, vma.vm_start), min(end, vma.vm_end))
    }
    up_read(mm.mmap_lock)
}
