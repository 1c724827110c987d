// SPDX-License-Identifier: GPL-2.0-only
// kernel/fork.c of Linux v5.13: address spaces and their vmas, and the copy that fork() makes.
//
// Left out: everything of a process but its mm; binfmt, exe_file, AIO, uprobes, KSM, userfaultfd, memory
// policies and accounting; fatal signals while waiting for mmap_lock; lazy users of a dead mm
// (mm_count then falls to 0 with mm_users, unless someone holds it on purpose).

import CKernel
import Simulation

func install_fork(_ ops: kernel_ops) {
    ops.mmput = mmput
    ops.mmdrop = mmdrop
    ops.dup_mm = dup_mm
    ops.vm_area_free = __vm_area_free
}

// MARK: - vmas

/// Linux v5.13, kernel/fork.c, vm_area_alloc(), and include/linux/mm.h, vma_init().
func vm_area_alloc(_ mm: mm_struct) -> vm_area_struct? {
    guard let memory = kmem_cache_zalloc(CACHE_vm_area_struct) else { return nil }
    let vma = unsafeBitCast(memory, to: vm_area_struct.self)
    vma.vm_mm = mm
    INIT_LIST_HEAD(vma.anon_vma_chain)
    INIT_LIST_HEAD(vma.shared)
    vma_lock_alloc(vma)
    return vma
}

/// Linux v5.13, kernel/fork.c, vm_area_dup().
func vm_area_dup(_ orig: vm_area_struct) -> vm_area_struct? {
    guard let memory = kmem_cache_zalloc(CACHE_vm_area_struct) else { return nil }
    memory.copyMemory(from: address(orig), byteCount: sizeof_vm_area_struct())
    let new = unsafeBitCast(memory, to: vm_area_struct.self)
    INIT_LIST_HEAD(new.anon_vma_chain)
    INIT_LIST_HEAD(new.shared)
    vma_lock_alloc(new)
    new.vm_next = nil
    new.vm_prev = nil
    return new
}

/// Linux v5.13, kernel/fork.c, vm_area_free(); __vm_area_free() from v6.4 on, where others are freed by RCU.
func __vm_area_free(_ vma: vm_area_struct) {
    kmem_cache_free(CACHE_vm_area_struct, address(vma))
}

// MARK: - mms

/// Makes zeroed memory an empty address space with one user.
/// Linux v5.13, kernel/fork.c, mm_init().
func mm_init(_ mm: mm_struct) {
    mm.mm_users = 1
    mm.mm_count = 1
    init_rwsem(mm.mmap_lock, LOCK_mmap_lock)
    spin_lock_init(mm.page_table_lock, LOCK_page_table_lock)
    INIT_LIST_HEAD(mm.mmlist)
    spin_lock_init(mm.userfaultfd.fault_pending_wqh_lock, LOCK_userfaultfd)
    // Of the defaults for new mappings a child inherits one (VM_INIT_DEF_MASK).
    if let parent = current.mm { mm.def_flags = parent.def_flags & VM_NOHUGEPAGE }
}

/// Drops a user; the last one takes the address space down.
/// Linux v5.13, kernel/fork.c, mmput().
private func mmput(_ mm: mm_struct) {
    might_sleep()
    yield_point("mm_users")
    mm.mm_users -= 1
    if mm.mm_users == 0 { __mmput(mm) }
}

/// Linux v5.13, kernel/fork.c, __mmput().
private func __mmput(_ mm: mm_struct) {
    ops.khugepaged_exit(mm)
    ops.exit_mmap(mm)
    if !list_empty(mm.mmlist) {
        yield_point("mmlist")
        list_del(mm.mmlist)
    }
    ops.mmdrop(mm)
}

/// Drops a reference to the struct; the last one frees it.
/// Linux v5.13, include/linux/sched/mm.h, mmdrop(), and kernel/fork.c, __mmdrop().
private func mmdrop(_ mm: mm_struct) {
    yield_point("mm_count")
    mm.mm_count -= 1
    guard mm.mm_count == 0 else { return }
    check_mm(mm)
    mm.live = false
    kernel.mm_slot(Int(mm.number)).pointee = nil
    kmem_cache_free(CACHE_mm_struct, address(mm))
}

/// What is mapped, and the page tables, must have been given back.
/// Linux v5.13, kernel/fork.c, check_mm().
private func check_mm(_ mm: mm_struct) {
    let object = UInt(mm.number) << 32
    for counter in 0..<Int(NR_MM_COUNTERS.rawValue) where mm.rss(counter).pointee != 0 {
        reportViolation(VIOLATION_rss, object | UInt(counter), UInt(bitPattern: mm.rss(counter).pointee))
    }
    if mm.nr_ptes != 0 {
        reportViolation(VIOLATION_rss, object | UInt(NR_MM_COUNTERS.rawValue), UInt(bitPattern: Int(mm.nr_ptes)))
    }
}

// MARK: - fork()

/// Copies the vmas and the page tables.
/// Linux v5.13, kernel/fork.c, dup_mmap().
private func dup_mmap(_ mm: mm_struct, _ oldmm: mm_struct) -> Int32 {
    down_write(oldmm.mmap_lock)
    // Nobody can have it yet, so there is no deadlock.
    down_write(mm.mmap_lock, subclass: 1)
    mm.total_vm = oldmm.total_vm
    mm.data_vm = oldmm.data_vm
    var error = ops.khugepaged_fork(mm, oldmm)
    var prev: vm_area_struct?
    var next = oldmm.mmap
    while let mpnt = next, error == 0 {
        next = mpnt.vm_next
        vma_start_write(mpnt)
        if mpnt.vm_flags & VM_DONTCOPY != 0 {
            vm_stat_account(mm, mpnt.vm_flags, -Int(vma_pages(mpnt)))
            continue
        }
        guard let tmp = dup_vma(mm, mpnt) else {
            error = -ENOMEM
            break
        }
        __vma_link_list(mm, tmp, prev)
        prev = tmp
        mm.map_count += 1
        if tmp.vm_flags & VM_WIPEONFORK == 0 { error = ops.copy_page_range(tmp, mpnt) }
    }
    mmap_write_unlock(mm)
    ops.flush_tlb_mm_range(oldmm, 0, TLB_FLUSH_ALL)
    mmap_write_unlock(oldmm)
    return error
}

/// The child's copy of a vma, which rmap can find from now on: the body of dup_mmap()'s loop.
private func dup_vma(_ mm: mm_struct, _ mpnt: vm_area_struct) -> vm_area_struct? {
    guard let tmp = vm_area_dup(mpnt) else { return nil }
    tmp.vm_mm = mm
    if userfaultfd_armed(tmp) { ops.dup_userfaultfd(tmp) }
    if tmp.vm_flags & VM_WIPEONFORK != 0 {
        tmp.anon_vma = nil
    } else if ops.anon_vma_fork(tmp, mpnt) != 0 {
        ops.vm_area_free(tmp)
        return nil
    }
    yield_point("vm_flags", "dup_mmap")
    tmp.vm_flags &= VM_LOCKED_CLEAR_MASK
    if let mapping = tmp.vm_file {
        down_write(mapping.i_mmap_rwsem, "dup_mmap")
        if tmp.vm_flags & VM_SHARED != 0 { mapping.i_mmap_writable += 1 }
        vma_interval_tree_insert_after(tmp, mpnt)
        up_write(mapping.i_mmap_rwsem, "dup_mmap")
    }
    return tmp
}

/// A copy of `oldmm` as the address space of process `process`, which must not exist; nil when memory is
/// short.
/// Linux v5.13, kernel/fork.c, dup_mm().
private func dup_mm(_ process: UInt32, _ oldmm: mm_struct) -> mm_struct? {
    guard let memory = kmem_cache_zalloc(CACHE_mm_struct) else { return nil }
    let mm = unsafeBitCast(memory, to: mm_struct.self)
    mm_init(mm)
    mm.number = UInt8(process)
    kernel.mm_slot(Int(process)).pointee = mm
    if dup_mmap(mm, oldmm) != 0 {
        ops.mmput(mm)
        return nil
    }
    mm.live = true
    return mm
}
