// SPDX-License-Identifier: GPL-2.0-only
// mm/msync.c of Linux v5.13: msync(2).
//
// Left out: the range of vfs_fsync_range(): writeback of the model writes all dirty pages of the file.

import CKernel
import Simulation

func install_msync(_ ops: kernel_ops) {
    ops.do_msync = do_msync
}

/// Linux v5.13, mm/msync.c, msync(2).
private func do_msync(_ first: UInt, _ length: UInt, _ flags: Int32) -> Int {
    if flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC) != 0 || offset_in_page(first) != 0 { return -Int(EINVAL) }
    if flags & MS_ASYNC != 0 && flags & MS_SYNC != 0 { return -Int(EINVAL) }
    let mm = current.mm!
    let end = first &+ PAGE_ALIGN(length)
    if end < first { return -Int(ENOMEM) }
    if end == first { return 0 }
    var start = first
    // Holes are passed over, and reported in the end.
    var unmapped_error = 0
    down_read(mm.mmap_lock)
    var next = ops.find_vma(mm, start)
    while let vma = next {
        if start < vma.vm_start {
            start = vma.vm_start
            if start >= end { break }
            unmapped_error = -Int(ENOMEM)
        }
        if flags & MS_INVALIDATE != 0 && vma.vm_flags & VM_LOCKED != 0 {
            up_read(mm.mmap_lock)
            return -Int(EBUSY)
        }
        start = vma.vm_end
        if flags & MS_SYNC != 0 && vma.vm_flags & VM_SHARED != 0, let file = vma.vm_file {
            up_read(mm.mmap_lock)
            let error = ops.do_writepages(file)
            if error != 0 { return error }
            if start >= end { return unmapped_error }
            down_read(mm.mmap_lock)
            next = ops.find_vma(mm, start)
        } else {
            if start >= end {
                up_read(mm.mmap_lock)
                return unmapped_error
            }
            next = vma.vm_next
        }
    }
    up_read(mm.mmap_lock)
    return -Int(ENOMEM)
}
