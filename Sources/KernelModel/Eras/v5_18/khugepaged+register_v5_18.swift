// SPDX-License-Identifier: GPL-2.0-only
// mm/khugepaged.c of Linux v5.18-rc1: which mms khugepaged looks through.  An mm registers when it gets a vma in
// which huge pages are wanted, and stays until it exits.
//
// The hash table of slots is the list itself, which has few of them.

import CKernel
import Simulation

func install_khugepaged_register_v5_18(_ ops: kernel_ops) {
    ops.khugepaged_enter = khugepaged_enter
    ops.khugepaged_enter_vma_merge = khugepaged_enter_vma_merge
    ops.khugepaged_fork = khugepaged_fork
    ops.khugepaged_exit = khugepaged_exit
    ops.shmem_mmap = shmem_mmap
}

/// khugepaged_mm_lock is held.  Linux v5.18-rc1, mm/khugepaged.c, get_mm_slot() (mm_slot_lookup() from v6.1 on).
func get_mm_slot(_ mm: mm_struct) -> khugepaged_mm_slot? {
    let head = kernel.khugepaged_scan.mm_head
    var node = head.next
    while node !== head {
        if mm_slot_of(node).mm === mm { return mm_slot_of(node) }
        node = node.next
    }
    return nil
}

/// Linux v5.18-rc1, mm/khugepaged.c, free_mm_slot().
func free_mm_slot(_ mm_slot: khugepaged_mm_slot) {
    kmem_cache_free(CACHE_khugepaged_mm_slot, address(mm_slot))
}

/// Linux v5.18-rc1, mm/khugepaged.c, __khugepaged_enter().  khugepaged is not woken: a trace says when it runs.
func __khugepaged_enter(_ mm: mm_struct) -> Int32 {
    guard let memory = kmem_cache_zalloc(CACHE_khugepaged_mm_slot) else { return -ENOMEM }
    let mm_slot = unsafeBitCast(memory, to: khugepaged_mm_slot.self)
    BUG_ON(mm.mm_users == 0, "khugepaged_test_exit(mm)")
    yield_point("MMF_VM_HUGEPAGE")
    if mm.khugepaged {
        free_mm_slot(mm_slot)
        return 0
    }
    mm.khugepaged = true
    spin_lock(kernel.khugepaged_mm_lock)
    mm_slot.mm = mm
    // The last one that the cursor will reach: the mm may settle down a little.
    list_add_tail(mm_slot.mm_node, kernel.khugepaged_scan.mm_head)
    spin_unlock(kernel.khugepaged_mm_lock)
    mmgrab(mm)
    return 0
}

/// Linux v5.18-rc1, include/linux/khugepaged.h, khugepaged_enter(), with "madvise" in sysfs.
private func khugepaged_enter(_ vma: vm_area_struct, _ vm_flags: UInt) -> Int32 {
    yield_point("MMF_VM_HUGEPAGE")
    if vma.vm_mm.khugepaged || vm_flags & VM_NOHUGEPAGE != 0 { return 0 }
    let wanted = vm_flags & VM_HUGEPAGE != 0 || vma_is_shmem(vma) && shmem_huge_enabled(vma)
    return wanted ? __khugepaged_enter(vma.vm_mm) : 0
}

/// A vma has become larger, or was advised: has it room for a huge page?  Of a file with huge=advise, the answer
/// depends on the flags that the vma has now, not on `vm_flags`.
/// Linux v5.18-rc1, mm/khugepaged.c, khugepaged_enter_vma_merge(); hugepage_madvise(), which first asks for
/// VM_NO_KHUGEPAGED.
private func khugepaged_enter_vma_merge(_ vma: vm_area_struct, _ vm_flags: UInt) -> Int32 {
    if vm_flags & (VM_SPECIAL | VM_HUGETLB) != 0 { return 0 }
    if !ops.hugepage_vma_check(vma, vm_flags, false, false, true) { return 0 }
    let (hstart, hend) = huge_page_range(vma)
    return hstart < hend ? khugepaged_enter(vma, vm_flags) : 0
}

/// A file of shmem is mapped.  Linux v5.18-rc1, mm/shmem.c, shmem_mmap().
private func shmem_mmap(_ mapping: address_space, _ vma: vm_area_struct) {
    let (hstart, hend) = huge_page_range(vma)
    if hstart < hend { _ = khugepaged_enter(vma, vma.vm_flags) }
}

/// Linux v5.18-rc1, include/linux/khugepaged.h, khugepaged_fork().
private func khugepaged_fork(_ mm: mm_struct, _ oldmm: mm_struct) -> Int32 {
    yield_point("MMF_VM_HUGEPAGE")
    return oldmm.khugepaged ? __khugepaged_enter(mm) : 0
}

/// Linux v5.18-rc1, include/linux/khugepaged.h, khugepaged_exit().
private func khugepaged_exit(_ mm: mm_struct) {
    if mm.khugepaged { __khugepaged_exit(mm) }
}

/// The last user of the mm is gone.  If khugepaged is at it just now, it frees the slot itself.
/// Linux v5.18-rc1, mm/khugepaged.c, __khugepaged_exit().
private func __khugepaged_exit(_ mm: mm_struct) {
    spin_lock(kernel.khugepaged_mm_lock)
    let mm_slot = get_mm_slot(mm)
    let free = mm_slot != nil && kernel.khugepaged_scan.mm_slot !== mm_slot
    if free { list_del(mm_slot!.mm_node) }
    spin_unlock(kernel.khugepaged_mm_lock)

    if free {
        mm.khugepaged = false
        free_mm_slot(mm_slot!)
        ops.mmdrop(mm)
    } else if mm_slot != nil {
        // Once it has the lock, khugepaged sees that there are no users, before it touches a page table.
        down_write(mm.mmap_lock)
        mmap_write_unlock(mm)
    }
}
