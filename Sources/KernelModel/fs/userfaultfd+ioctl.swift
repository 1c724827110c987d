// SPDX-License-Identifier: GPL-2.0-only
// fs/userfaultfd.c of Linux v5.18-rc1, continued: the ioctls of a userfaultfd, and its end.
//
// UFFDIO_API is part of the first registration, with the features that are asked for.  The source of UFFDIO_COPY is
// a buffer of the monitor's that holds a token for each page and is always there, so copy_from_user() never fails,
// and nothing has to be tried again without the mmap_lock.

import CKernel
import Simulation

func install_userfaultfd_ioctl(_ ops: kernel_ops) {
    ops.userfaultfd_register = userfaultfd_register
    ops.userfaultfd_unregister = { userfaultfd_unregister($0, $1) }
    ops.userfaultfd_copy = userfaultfd_copy
    ops.userfaultfd_zeropage = userfaultfd_zeropage
    ops.userfaultfd_continue = userfaultfd_continue
    ops.userfaultfd_writeprotect = userfaultfd_writeprotect
    ops.userfaultfd_wake = userfaultfd_wake
    ops.userfaultfd_release = { userfaultfd_release() }
}

/// Linux v5.18-rc1, fs/userfaultfd.c, validate_range().
private func validate_range(_ start: UInt, _ len: UInt) -> Int {
    if start & ~PAGE_MASK != 0 || len & ~PAGE_MASK != 0 || len == 0 { return -Int(EINVAL) }
    if start < PMD_SIZE() || start >= TASK_SIZE() || len > TASK_SIZE() - start { return -Int(EINVAL) }
    return 0
}

/// The caller's userfaultfd; nil before the first registration and after close(2).
private func opened_userfaultfd() -> userfaultfd_ctx? {
    let ctx: userfaultfd_ctx = current.mm!.userfaultfd
    yield_point("features")
    return ctx.features & UFFD_FEATURE_INITIALIZED == 0 || ctx.released ? nil : ctx
}

// MARK: - UFFDIO_REGISTER, UFFDIO_UNREGISTER

/// Gives the part of `area` from `start` to `end` other VM_UFFD_* flags: by merging it with a neighbour, or by splits.
/// `vma` becomes the vma that covers it.  The loops of userfaultfd_register() and userfaultfd_unregister() have this in
/// common.  v5.18-rc1 asks vma_merge() with the vm_pgoff of the whole vma, also where the part begins later, and
/// misses merges then; that was repaired in v6.4.
private func set_range_flags(
    _ mm: mm_struct, _ vma: inout vm_area_struct, _ prev: vm_area_struct?, _ start: UInt, _ end: UInt,
    _ new_flags: UInt
) -> Int32 {
    let pgoff = vma.vm_pgoff + (start - vma.vm_start) >> UInt(PAGE_SHIFT)
    if let merged = ops.vma_merge(mm, prev, start, end, new_flags, vma.anon_vma, vma.vm_file, pgoff) {
        vma = merged
    } else {
        if vma.vm_start < start {
            let error = ops.split_vma(mm, vma, start, true)
            if error != 0 { return error }
        }
        if vma.vm_end > end {
            let error = ops.split_vma(mm, vma, end, false)
            if error != 0 { return error }
        }
    }
    vma_start_write(vma)
    yield_point("vm_flags", "userfaultfd_set_vm_flags")
    vma.vm_flags = new_flags
    return 0
}

/// Linux v5.18-rc1, fs/userfaultfd.c, userfaultfd_register(); userfaultfd(2), userfaultfd_api().
private func userfaultfd_register(_ start: UInt, _ len: UInt, _ mode: UInt, _ features: UInt32) -> Int {
    let mm = current.mm!
    let ctx: userfaultfd_ctx = mm.userfaultfd
    if ctx.released { return -Int(EBADF) }
    if mode == 0 || mode & ~(UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP | UFFDIO_REGISTER_MODE_MINOR) != 0 {
        return -Int(EINVAL)
    }
    var vm_flags: UInt = 0
    if mode & UFFDIO_REGISTER_MODE_MISSING != 0 { vm_flags |= VM_UFFD_MISSING }
    if mode & UFFDIO_REGISTER_MODE_WP != 0 { vm_flags |= VM_UFFD_WP }
    if mode & UFFDIO_REGISTER_MODE_MINOR != 0 { vm_flags |= VM_UFFD_MINOR }
    let error = validate_range(start, len)
    if error != 0 { return error }
    // Features are chosen once.
    if ctx.features & UFFD_FEATURE_INITIALIZED == 0 { ctx.features = features | UFFD_FEATURE_INITIALIZED }

    down_write(mm.mmap_lock)
    let result = register_range(mm, start, start + len, vm_flags)
    mmap_write_unlock(mm)
    return result
}

/// The part of userfaultfd_register() under mmap_lock.
private func register_range(_ mm: mm_struct, _ first: UInt, _ end: UInt, _ vm_flags: UInt) -> Int {
    guard var vma = ops.find_vma(mm, first), vma.vm_start < end else { return -Int(EINVAL) }
    var next: vm_area_struct? = vma
    while let cur = next, cur.vm_start < end {
        if !ops.vma_can_userfault(cur, vm_flags) { return -Int(EINVAL) }
        if cur.vm_flags & VM_MAYWRITE == 0 { return -Int(EPERM) }
        next = cur.vm_next
    }
    var start = first
    var prev = vma.vm_start < start ? vma : vma.vm_prev
    while true {
        // It may be registered already, and with more.
        if vma.vm_flags & vm_flags != vm_flags {
            start = max(start, vma.vm_start)
            let new_flags = vma.vm_flags & ~__VM_UFFD_FLAGS | vm_flags
            let error = set_range_flags(mm, &vma, prev, start, min(end, vma.vm_end), new_flags)
            if error != 0 { return Int(error) }
        }
        prev = vma
        start = vma.vm_end
        guard let next = vma.vm_next, next.vm_start < end else { return 0 }
        vma = next
    }
}

/// Linux v5.18-rc1, fs/userfaultfd.c, userfaultfd_unregister().
///
/// - Parameter reset: takes the write protection away, as from v6.0 on; before, what was left of it did no harm in a
///   vma without VM_UFFD_WP.
func userfaultfd_unregister(
    _ start: UInt, _ len: UInt, reset: (vm_area_struct, UInt, UInt) -> Void = { _, _, _ in }
) -> Int {
    guard let ctx = opened_userfaultfd() else { return -Int(EBADF) }
    let error = validate_range(start, len)
    if error != 0 { return error }
    let mm = current.mm!
    down_write(mm.mmap_lock)
    let result = unregister_range(mm, ctx, start, start + len, reset)
    mmap_write_unlock(mm)
    return result
}

/// The part of userfaultfd_unregister() under mmap_lock.
private func unregister_range(
    _ mm: mm_struct, _ ctx: userfaultfd_ctx, _ first: UInt, _ end: UInt, _ reset: (vm_area_struct, UInt, UInt) -> Void
) -> Int {
    guard var vma = ops.find_vma(mm, first), vma.vm_start < end else { return -Int(EINVAL) }
    var next: vm_area_struct? = vma
    while let cur = next, cur.vm_start < end {
        if !ops.vma_can_userfault(cur, cur.vm_flags) { return -Int(EINVAL) }
        next = cur.vm_next
    }
    var start = first
    var prev = vma.vm_start < start ? vma : vma.vm_prev
    while true {
        if userfaultfd_armed(vma) {
            start = max(start, vma.vm_start)
            let vma_end = min(end, vma.vm_end)
            // Nobody else would wake them.
            if userfaultfd_missing(vma) { wake_userfault(ctx, start, vma_end - start) }
            if userfaultfd_wp(vma) { reset(vma, start, vma_end) }
            let error = set_range_flags(mm, &vma, prev, start, vma_end, vma.vm_flags & ~__VM_UFFD_FLAGS)
            if error != 0 { return Int(error) }
        }
        prev = vma
        start = vma.vm_end
        guard let next = vma.vm_next, next.vm_start < end else { return 0 }
        vma = next
    }
}

/// close(2) of the userfaultfd.
/// Linux v5.18-rc1, fs/userfaultfd.c, userfaultfd_release().
func userfaultfd_release(reset: (vm_area_struct, UInt, UInt) -> Void = { _, _, _ in }) -> Int {
    guard let ctx = opened_userfaultfd() else { return -Int(EBADF) }
    let mm = current.mm!
    // Before mmap_lock is taken: faults that come later do not wait.
    yield_point("released")
    ctx.released = true
    down_write(mm.mmap_lock)
    var prev: vm_area_struct?
    var next = mm.mmap
    while let area = next {
        var vma = area
        if userfaultfd_armed(vma) {
            if userfaultfd_wp(vma) { reset(vma, vma.vm_start, vma.vm_end) }
            let new_flags = vma.vm_flags & ~__VM_UFFD_FLAGS
            if let merged = ops.vma_merge(
                mm, prev, vma.vm_start, vma.vm_end, new_flags, vma.anon_vma, vma.vm_file, vma.vm_pgoff)
            {
                vma = merged
            }
            vma_start_write(vma)
            yield_point("vm_flags", "userfaultfd_set_vm_flags")
            vma.vm_flags = new_flags
        }
        prev = vma
        next = vma.vm_next
    }
    mmap_write_unlock(mm)
    wake_userfault(ctx, 0, 0)
    return 0
}

// MARK: - Filling

/// What an ioctl that filled a range returns, after it has woken who waited for that.
private func filled(_ ctx: userfaultfd_ctx, _ start: UInt, _ len: UInt, _ result: Int, dontwake: Bool) -> Int {
    if result < 0 { return result }
    if !dontwake { wake_userfault(ctx, start, UInt(result)) }
    return UInt(result) == len ? 0 : -Int(EAGAIN)
}

/// Linux v5.18-rc1, fs/userfaultfd.c, userfaultfd_copy().  Page n of the source holds `token` + n.
private func userfaultfd_copy(_ dst: UInt, _ len: UInt, _ mode: UInt, _ token: UInt64) -> Int {
    guard let ctx = opened_userfaultfd() else { return -Int(EBADF) }
    let error = validate_range(dst, len)
    if error != 0 { return error }
    if mode & ~(UFFDIO_COPY_MODE_DONTWAKE | UFFDIO_COPY_MODE_WP) != 0 { return -Int(EINVAL) }
    let flags = MFILL_ATOMIC_COPY | (mode & UFFDIO_COPY_MODE_WP != 0 ? MFILL_ATOMIC_WP : 0)
    let result = ops.mfill_atomic(current.mm!, dst, len, flags, token)
    return filled(ctx, dst, len, result, dontwake: mode & UFFDIO_COPY_MODE_DONTWAKE != 0)
}

/// Linux v5.18-rc1, fs/userfaultfd.c, userfaultfd_zeropage().
private func userfaultfd_zeropage(_ start: UInt, _ len: UInt, _ mode: UInt) -> Int {
    guard let ctx = opened_userfaultfd() else { return -Int(EBADF) }
    let error = validate_range(start, len)
    if error != 0 { return error }
    if mode & ~UFFDIO_ZEROPAGE_MODE_DONTWAKE != 0 { return -Int(EINVAL) }
    let result = ops.mfill_atomic(current.mm!, start, len, MFILL_ATOMIC_ZEROPAGE, 0)
    return filled(ctx, start, len, result, dontwake: mode & UFFDIO_ZEROPAGE_MODE_DONTWAKE != 0)
}

/// Linux v5.18-rc1, fs/userfaultfd.c, userfaultfd_continue().
private func userfaultfd_continue(_ start: UInt, _ len: UInt, _ mode: UInt) -> Int {
    guard let ctx = opened_userfaultfd() else { return -Int(EBADF) }
    let error = validate_range(start, len)
    if error != 0 { return error }
    if mode & ~UFFDIO_CONTINUE_MODE_DONTWAKE != 0 { return -Int(EINVAL) }
    let result = ops.mfill_atomic(current.mm!, start, len, MFILL_ATOMIC_CONTINUE, 0)
    return filled(ctx, start, len, result, dontwake: mode & UFFDIO_CONTINUE_MODE_DONTWAKE != 0)
}

// MARK: - UFFDIO_WRITEPROTECT, UFFDIO_WAKE

/// Linux v5.18-rc1, fs/userfaultfd.c, userfaultfd_writeprotect().
private func userfaultfd_writeprotect(_ start: UInt, _ len: UInt, _ mode: UInt) -> Int {
    guard let ctx = opened_userfaultfd() else { return -Int(EBADF) }
    let error = validate_range(start, len)
    if error != 0 { return error }
    if mode & ~(UFFDIO_WRITEPROTECT_MODE_DONTWAKE | UFFDIO_WRITEPROTECT_MODE_WP) != 0 { return -Int(EINVAL) }
    let mode_wp = mode & UFFDIO_WRITEPROTECT_MODE_WP != 0
    let mode_dontwake = mode & UFFDIO_WRITEPROTECT_MODE_DONTWAKE != 0
    if mode_wp && mode_dontwake { return -Int(EINVAL) }
    let result = ops.mwriteprotect_range(current.mm!, start, len, mode_wp)
    if result != 0 { return Int(result) }
    if !mode_wp && !mode_dontwake { wake_userfault(ctx, start, len) }
    return 0
}

/// Linux v5.18-rc1, fs/userfaultfd.c, userfaultfd_wake().
private func userfaultfd_wake(_ start: UInt, _ len: UInt) -> Int {
    guard let ctx = opened_userfaultfd() else { return -Int(EBADF) }
    let error = validate_range(start, len)
    if error != 0 { return error }
    wake_userfault(ctx, start, len)
    return 0
}
