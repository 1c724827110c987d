// SPDX-License-Identifier: GPL-2.0-only
// mm/mremap.c of Linux v5.13: mremap(2).  The page tables are moved in mremap+move.swift.
//
// Left out: what is said in mmap.swift, hugetlb, KSM, PFN maps, userfaultfd events, VM_ACCOUNT.

import CKernel
import Simulation

func install_mremap(_ ops: kernel_ops) {
    ops.do_mremap = do_mremap
}

/// Copies the vma to its new place and its pages with it, and unmaps the old one.
///
/// - Parameter locked: becomes true if what was added must be faulted in.
/// Linux v5.13, mm/mremap.c, move_vma().
private func move_vma(
    _ area: vm_area_struct, _ old_address: UInt, _ old_length: UInt, _ new_len: UInt, _ new_address: UInt,
    _ locked: inout Bool, _ flags: UInt
) -> UInt {
    var vma = area
    let mm = vma.vm_mm
    let vm_flags = vma.vm_flags
    var (old_addr, old_len, new_addr) = (old_address, old_length, new_address)
    let new_pgoff = vma.vm_pgoff + (old_addr - vma.vm_start) >> UInt(PAGE_SHIFT)
    var need_rmap_locks = false
    vma_start_write(vma)
    guard let new_vma = ops.copy_vma(&vma, new_addr, new_len, new_pgoff, &need_rmap_locks) else {
        return errorAddress(ENOMEM)
    }
    let moved_len = ops.move_page_tables(vma, old_addr, new_vma, new_addr, old_len, need_rmap_locks)
    let failed = moved_len < old_len
    if failed {
        // Back again, which cannot fail: the tables are still there.  Then the new vma is the one to unmap.
        _ = ops.move_page_tables(new_vma, new_addr, vma, old_addr, moved_len, true)
        vma = new_vma
        old_len = new_len
        old_addr = new_addr
        new_addr = errorAddress(ENOMEM)
    } else if userfaultfd_armed(new_vma) {
        ops.mremap_userfaultfd_prep(new_vma)
    }
    vm_stat_account(mm, vma.vm_flags, Int(new_len >> UInt(PAGE_SHIFT)))

    if !failed && flags & MREMAP_DONTUNMAP != 0 {
        vma_start_write(vma)
        yield_point("vm_flags")
        vma.vm_flags &= VM_LOCKED_CLEAR_MASK
        // Its pages are gone, and with them the need for anon_vmas.
        if new_vma !== vma && vma.vm_start == old_addr && vma.vm_end == old_addr + old_len {
            ops.unlink_anon_vmas(vma)
        }
        // As much is locked as before.
        return new_addr
    }
    _ = ops.do_munmap(mm, old_addr, old_len)
    if vm_flags & VM_LOCKED != 0 {
        mm.locked_vm += new_len >> UInt(PAGE_SHIFT)
        locked = true
    }
    return new_addr
}

/// Checks that the range lies in one vma, which may get the new size; the errno in `error` if not.
/// Linux v5.13, mm/mremap.c, vma_to_resize().
private func vma_to_resize(
    _ address: UInt, _ old_len: UInt, _ new_len: UInt, _ flags: UInt, _ error: inout Int32
) -> vm_area_struct? {
    guard let vma = ops.find_vma(current.mm!, address), vma.vm_start <= address else {
        error = EFAULT
        return nil
    }
    // Length 0 duplicates a shared mapping.  A private one has nothing to share.
    if old_len == 0 && vma.vm_flags & (VM_SHARED | VM_MAYSHARE) == 0 {
        error = EINVAL
        return nil
    }
    if flags & MREMAP_DONTUNMAP != 0 && vma.vm_flags & (VM_DONTEXPAND | VM_PFNMAP) != 0 {
        error = EINVAL
        return nil
    }
    if old_len > vma.vm_end - address {
        error = EFAULT
        return nil
    }
    if new_len != old_len && vma.vm_flags & (VM_DONTEXPAND | VM_PFNMAP) != 0 {
        error = EFAULT
        return nil
    }
    return vma
}

/// The flags with which room for a moved vma is sought.
private func map_flags(_ vma: vm_area_struct, _ flags: UInt) -> UInt {
    (flags & MREMAP_FIXED != 0 ? MAP_FIXED : 0) | (vma.vm_flags & VM_MAYSHARE != 0 ? MAP_SHARED : 0)
}

private func pgoff(of address: UInt, in vma: vm_area_struct) -> UInt {
    vma.vm_pgoff + (address - vma.vm_start) >> UInt(PAGE_SHIFT)
}

/// Moves to a place of the caller's choice (MREMAP_FIXED), or leaves the old vma (MREMAP_DONTUNMAP).
/// Linux v5.13, mm/mremap.c, mremap_to().
private func mremap_to(
    _ address: UInt, _ old_length: UInt, _ wanted: UInt, _ new_len: UInt, _ locked: inout Bool, _ flags: UInt
) -> UInt {
    let mm = current.mm!
    var old_len = old_length
    if offset_in_page(wanted) != 0 || new_len > TASK_SIZE() || wanted > TASK_SIZE() - new_len {
        return errorAddress(EINVAL)
    }
    if address &+ old_len > wanted && wanted + new_len > address { return errorAddress(EINVAL) }
    if flags & MREMAP_FIXED != 0 {
        let error = ops.do_munmap(mm, wanted, new_len)
        if error != 0 { return errorAddress(-error) }
    }
    if old_len > new_len {
        let error = ops.do_munmap(mm, address + new_len, old_len - new_len)
        if error != 0 { return errorAddress(-error) }
        old_len = new_len
    }
    var error: Int32 = 0
    guard let vma = vma_to_resize(address, old_len, new_len, flags, &error) else { return errorAddress(error) }
    let room = ops.get_unmapped_area(
        vma.vm_file, wanted, new_len, pgoff(of: address, in: vma), map_flags(vma, flags))
    if IS_ERR_VALUE(room) { return room }
    let new_address = flags & MREMAP_FIXED != 0 ? wanted : room
    return move_vma(vma, address, old_len, new_len, new_address, &locked, flags)
}

/// Linux v5.13, mm/mremap.c, vma_expandable().
private func vma_expandable(_ vma: vm_area_struct, _ delta: UInt) -> Bool {
    let end = vma.vm_end &+ delta
    if end < vma.vm_end { return false }
    if let next = vma.vm_next, next.vm_start < end { return false }
    return offset_in_page(ops.get_unmapped_area(nil, vma.vm_start, end - vma.vm_start, 0, MAP_FIXED)) == 0
}

/// Linux v5.13, mm/mremap.c, mremap(2).
private func do_mremap(
    _ address: UInt, _ old_length: UInt, _ new_length: UInt, _ flags: UInt, _ wanted: UInt
) -> Int {
    let mm = current.mm!
    let old_len = PAGE_ALIGN(old_length)
    let new_len = PAGE_ALIGN(new_length)
    if flags & ~(MREMAP_FIXED | MREMAP_MAYMOVE | MREMAP_DONTUNMAP) != 0 { return -Int(EINVAL) }
    if flags & MREMAP_FIXED != 0 && flags & MREMAP_MAYMOVE == 0 { return -Int(EINVAL) }
    // It always moves, and never resizes.
    if flags & MREMAP_DONTUNMAP != 0 && (flags & MREMAP_MAYMOVE == 0 || old_len != new_len) {
        return -Int(EINVAL)
    }
    if offset_in_page(address) != 0 || new_len == 0 { return -Int(EINVAL) }

    var locked = false
    var downgraded = false
    down_write(mm.mmap_lock)
    let result: UInt
    if flags & (MREMAP_FIXED | MREMAP_DONTUNMAP) != 0 {
        result = mremap_to(address, old_len, wanted, new_len, &locked, flags)
    } else if old_len >= new_len {
        // To shrink is to unmap the end, which may let go of the lock for writing.
        let error = ops.__do_munmap(mm, address &+ new_len, old_len - new_len, true)
        downgraded = error == 1
        result = error < 0 && old_len != new_len ? errorAddress(-error) : address
    } else {
        result = mremap_grow(address, old_len, new_len, flags, &locked)
    }
    if offset_in_page(result) != 0 { locked = false }
    if downgraded { up_read(mm.mmap_lock) } else { mmap_write_unlock(mm) }
    if locked && new_len > old_len { _ = ops.mm_populate(result + old_len, new_len - old_len, true) }
    return Int(bitPattern: result)
}

/// Grows in place if there is room behind the vma, or moves: the last part of mremap(2).
private func mremap_grow(
    _ address: UInt, _ old_len: UInt, _ new_len: UInt, _ flags: UInt, _ locked: inout Bool
) -> UInt {
    let mm = current.mm!
    var error: Int32 = 0
    guard let vma = vma_to_resize(address, old_len, new_len, flags, &error) else { return errorAddress(error) }
    if old_len == vma.vm_end - address && vma_expandable(vma, new_len - old_len) {
        let pages = (new_len - old_len) >> UInt(PAGE_SHIFT)
        if vma_adjust(vma, vma.vm_start, address + new_len, vma.vm_pgoff, nil) != 0 { return errorAddress(ENOMEM) }
        vm_stat_account(mm, vma.vm_flags, Int(pages))
        if vma.vm_flags & VM_LOCKED != 0 {
            mm.locked_vm += pages
            locked = true
        }
        return address
    }
    if flags & MREMAP_MAYMOVE == 0 { return errorAddress(ENOMEM) }
    let room = ops.get_unmapped_area(vma.vm_file, 0, new_len, pgoff(of: address, in: vma), map_flags(vma, flags))
    if IS_ERR_VALUE(room) { return room }
    return move_vma(vma, address, old_len, new_len, room, &locked, flags)
}
