// SPDX-License-Identifier: GPL-2.0-only
// mm/mlock.c of Linux v5.13: mlock(2), mlock2(2), munlock(2), mlockall(2), munlockall(2).
//
// Left out: RLIMIT_MEMLOCK and CAP_IPC_LOCK (every caller is privileged), fatal signals while waiting
// for mmap_lock.

import CKernel
import Simulation

func install_mlock_syscalls(_ ops: kernel_ops) {
    ops.mlock_fixup = mlock_fixup
    ops.do_mlock = do_mlock
    ops.do_munlock = do_munlock
    ops.do_mlockall = do_mlockall
    ops.do_munlockall = do_munlockall
}

/// Changes VM_LOCKED of a part of one vma, splitting and merging as needed; `prev` follows.
/// Linux v5.13, mm/mlock.c, mlock_fixup().
private func mlock_fixup(
    _ area: vm_area_struct, _ prev: UnsafeMutablePointer<vm_area_struct?>, _ start: UInt, _ end: UInt,
    _ newflags: UInt
) -> Int32 {
    var vma = area
    let mm = vma.vm_mm
    let old_flags = vma.vm_flags
    defer { prev.pointee = vma }
    if newflags == old_flags || old_flags & VM_SPECIAL != 0 { return 0 }
    let pgoff = vma.vm_pgoff + (start - vma.vm_start) >> UInt(PAGE_SHIFT)
    if let merged = ops.vma_merge(mm, prev.pointee, start, end, newflags, vma.anon_vma, vma.vm_file, pgoff) {
        vma = merged
    } else {
        if start != vma.vm_start {
            let error = ops.split_vma(mm, vma, start, true)
            if error != 0 { return error }
        }
        if end != vma.vm_end {
            let error = ops.split_vma(mm, vma, end, false)
            if error != 0 { return error }
        }
    }
    let lock = newflags & VM_LOCKED != 0
    let nr_pages = (end - start) >> UInt(PAGE_SHIFT)
    if !lock {
        mm.locked_vm &-= nr_pages
    } else if old_flags & VM_LOCKED == 0 {
        mm.locked_vm += nr_pages
    }
    // A page unmapped just after VM_LOCKED is set comes back when the range is populated.
    if lock {
        yield_point("vm_flags")
        vma.vm_flags = newflags
    } else {
        ops.munlock_vma_pages_range(vma, start, end)
    }
    return 0
}

/// Linux v5.13, mm/mlock.c, apply_vma_lock_flags().
private func apply_vma_lock_flags(_ start: UInt, _ len: UInt, _ flags: UInt) -> Int {
    let end = start &+ len
    if end < start { return -Int(EINVAL) }
    if end == start { return 0 }
    guard var vma = ops.find_vma(current.mm!, start), vma.vm_start <= start else { return -Int(ENOMEM) }
    var prev = start > vma.vm_start ? vma : vma.vm_prev
    var nstart = start
    while true {
        let newflags = vma.vm_flags & VM_LOCKED_CLEAR_MASK | flags
        // Read before the vma is merged into a neighbour, and freed.
        let tmp = min(vma.vm_end, end)
        let error = ops.mlock_fixup(vma, &prev, nstart, tmp, newflags)
        if error != 0 { return Int(error) }
        nstart = max(tmp, prev!.vm_end)
        if nstart >= end { return 0 }
        guard let next = prev!.vm_next, next.vm_start == nstart else { return -Int(ENOMEM) }
        vma = next
    }
}

/// Linux v5.13, mm/mlock.c, do_mlock().
private func do_mlock(_ address: UInt, _ length: UInt, _ flags: UInt) -> Int {
    let mm = current.mm!
    let len = PAGE_ALIGN(length &+ (address & (PAGE_SIZE - 1)))
    let start = address & PAGE_MASK
    down_write(mm.mmap_lock)
    let error = apply_vma_lock_flags(start, len, flags)
    mmap_write_unlock(mm)
    if error != 0 { return error }
    return posix_error(Int(ops.mm_populate(start, len, false)))
}

/// Linux v5.13, mm/mlock.c, __mlock_posix_error_return().
private func posix_error(_ error: Int) -> Int {
    switch error {
    case -Int(EFAULT): return -Int(ENOMEM)
    case -Int(ENOMEM): return -Int(EAGAIN)
    default: return error
    }
}

/// Linux v5.13, mm/mlock.c, munlock(2).
private func do_munlock(_ address: UInt, _ length: UInt) -> Int {
    let mm = current.mm!
    let len = PAGE_ALIGN(length &+ (address & (PAGE_SIZE - 1)))
    down_write(mm.mmap_lock)
    let error = apply_vma_lock_flags(address & PAGE_MASK, len, 0)
    mmap_write_unlock(mm)
    return error
}

public let MCL_CURRENT = 1
public let MCL_FUTURE = 2
public let MCL_ONFAULT = 4

/// Linux v5.13, mm/mlock.c, apply_mlockall_flags().
private func apply_mlockall_flags(_ flags: Int) {
    let mm = current.mm!
    let locking = VM_LOCKED | (flags & MCL_ONFAULT != 0 ? VM_LOCKONFAULT : 0)
    mm.def_flags &= VM_LOCKED_CLEAR_MASK
    if flags & MCL_FUTURE != 0 {
        mm.def_flags |= locking
        if flags & MCL_CURRENT == 0 { return }
    }
    let to_add = flags & MCL_CURRENT != 0 ? locking : 0
    var prev: vm_area_struct?
    var next = mm.mmap
    while let vma = next {
        // Errors are ignored: what can be locked is.
        _ = ops.mlock_fixup(vma, &prev, vma.vm_start, vma.vm_end, vma.vm_flags & VM_LOCKED_CLEAR_MASK | to_add)
        next = prev!.vm_next
    }
}

/// Linux v5.13, mm/mlock.c, mlockall(2).
private func do_mlockall(_ arg: UInt) -> Int {
    let flags = Int(arg)
    if flags == 0 || flags & ~(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0 || flags == MCL_ONFAULT {
        return -Int(EINVAL)
    }
    let mm = current.mm!
    down_write(mm.mmap_lock)
    apply_mlockall_flags(flags)
    mmap_write_unlock(mm)
    if flags & MCL_CURRENT != 0 { _ = ops.mm_populate(0, TASK_SIZE(), true) }
    return 0
}

/// Linux v5.13, mm/mlock.c, munlockall(2).
private func do_munlockall() -> Int {
    let mm = current.mm!
    down_write(mm.mmap_lock)
    apply_mlockall_flags(0)
    mmap_write_unlock(mm)
    return 0
}
