// SPDX-License-Identifier: GPL-2.0-only
// fs/userfaultfd.c and mm/userfaultfd.c of Linux v6.5: write protection of shmem, too, by markers where nothing is
// mapped (CONFIG_PTE_MARKER_UFFD_WP); it ends with the registration, and a range of it may span vmas.
//
// Left out: UFFD_FEATURE_WP_UNPOPULATED (markers in anonymous memory), UFFDIO_CONTINUE_MODE_WP, UFFDIO_POISON.

import CKernel
import Simulation

func install_userfaultfd_v6_5(_ ops: kernel_ops) {
    ops.vma_can_userfault = vma_can_userfault
    ops.userfaultfd_unregister = { userfaultfd_unregister($0, $1, reset: resolve) }
    ops.userfaultfd_release = { userfaultfd_release(reset: resolve) }
    ops.mwriteprotect_range = mwriteprotect_range
    ops.change_huge_pmd = { change_huge_pmd($0, $1, $2, $3, $4, protectsEntries: true) }
    ops.set_pmd_migration_entry = { set_pmd_migration_entry($0, $1, protectsEntries: true) }
}

/// Linux v6.5, include/linux/userfaultfd_k.h, vma_can_userfault().
private func vma_can_userfault(_ vma: vm_area_struct, _ vm_flags: UInt) -> Bool {
    if vm_flags & VM_UFFD_MINOR != 0 && !vma_is_shmem(vma) { return false }
    return vma_is_anonymous(vma) || vma_is_shmem(vma)
}

/// Ends the write protection of a range that is unregistered.
private func resolve(_ vma: vm_area_struct, _ start: UInt, _ end: UInt) {
    _ = uffd_wp_range(vma, start, end - start, false)
}

/// Linux v6.5, mm/userfaultfd.c, mwriteprotect_range().
private func mwriteprotect_range(_ dst_mm: mm_struct, _ start: UInt, _ len: UInt, _ enable_wp: Bool) -> Int32 {
    down_read(dst_mm.mmap_lock)
    let error = writeprotect_each_vma(dst_mm, start, start + len, enable_wp)
    up_read(dst_mm.mmap_lock)
    return error
}

/// The part of mwriteprotect_range() under mmap_lock.
private func writeprotect_each_vma(_ dst_mm: mm_struct, _ start: UInt, _ end: UInt, _ enable_wp: Bool) -> Int32 {
    var error = -ENOENT
    var next = ops.find_vma(dst_mm, start)
    while let dst_vma = next, dst_vma.vm_start < end {
        if !userfaultfd_wp(dst_vma) { return -ENOENT }
        let first = max(dst_vma.vm_start, start)
        let changed = uffd_wp_range(dst_vma, first, min(dst_vma.vm_end, end) - first, enable_wp)
        if changed < 0 { return Int32(changed) }
        error = 0
        next = dst_vma.vm_next
    }
    return error
}
