// SPDX-License-Identifier: GPL-2.0-only
// mm/mmap.c of Linux v5.13: finding vmas and room for them, mmap(2), linking a vma to its mm and its file.
//
// mmap+adjust.swift moves the borders of vmas and merges them, mmap+unmap.swift splits and unmaps them,
// mmap+exit.swift takes a whole address space down.
// The tree of vmas and the cache of the last one found are the list mm->mmap here: all are changed and
// read under mmap_lock alone.
// Left out: limits (RLIMIT_*, sysctl_max_map_count; the vma cache is the bound), overcommit, memory
// policies, stack guard gaps and growing stacks, executable and hugetlb mappings, files that cannot be
// written, LSMs, perf and uprobe events.

import CKernel
import Simulation

func install_mmap(_ ops: kernel_ops) {
    ops.find_vma = find_vma
    ops.get_unmapped_area = get_unmapped_area
    ops.do_mmap = do_mmap
    ops.vm_mmap_pgoff = vm_mmap_pgoff
    ops.unlink_file_vma = unlink_file_vma
}

/// A negative errno where an address is returned.
func errorAddress(_ errno: Int32) -> UInt { UInt(bitPattern: -Int(errno)) }

// MARK: - Finding

/// The first vma that ends above `address`.
/// Linux v5.13, mm/mmap.c, find_vma().
private func find_vma(_ mm: mm_struct, _ address: UInt) -> vm_area_struct? {
    var next = mm.mmap
    while let vma = next {
        if vma.vm_end > address { return vma }
        next = vma.vm_next
    }
    return nil
}

/// Linux v5.13, include/linux/mm.h, find_vma_intersection().
func find_vma_intersection(_ mm: mm_struct, _ start: UInt, _ end: UInt) -> vm_area_struct? {
    guard let vma = ops.find_vma(mm, start), vma.vm_start < end else { return nil }
    return vma
}

/// The vma before the first one that ends above `address`.
/// Linux v5.13, mm/mmap.c, find_vma_prev().
func vma_before(_ mm: mm_struct, _ address: UInt) -> vm_area_struct? {
    var prev: vm_area_struct?
    var next = mm.mmap
    while let vma = next, vma.vm_end <= address {
        prev = vma
        next = vma.vm_next
    }
    return prev
}

/// The vma behind `vma`; the first of all for nil.
/// Linux v5.13, mm/mmap.c, vma_next().
func vma_next(_ mm: mm_struct, _ vma: vm_area_struct?) -> vm_area_struct? {
    if let vma { return vma.vm_next }
    return mm.mmap
}

/// Where a vma that covers the range goes: behind `prev`.  False if there is one already.
/// Linux v5.13, mm/mmap.c, find_vma_links().
func find_vma_links(_ mm: mm_struct, _ start: UInt, _ end: UInt, _ prev: inout vm_area_struct?) -> Bool {
    if find_vma_intersection(mm, start, end) != nil { return false }
    prev = vma_before(mm, start)
    return true
}

// MARK: - Room

/// User addresses start here (mmap_min_addr).
private var mmap_min_addr: UInt { PMD_SIZE() }

/// The highest gap that is long enough.
/// Linux v5.13, mm/mmap.c, unmapped_area_topdown().
private func unmapped_area_topdown(_ mm: mm_struct, _ len: UInt) -> UInt {
    var found = errorAddress(ENOMEM)
    var gap_start = mmap_min_addr
    var next = mm.mmap
    while true {
        let gap_end = next?.vm_start ?? TASK_SIZE()
        if gap_end >= gap_start && gap_end - gap_start >= len { found = gap_end - len }
        guard let vma = next else { return found }
        gap_start = vma.vm_end
        next = vma.vm_next
    }
}

/// Linux v5.13, arch/x86/kernel/sys_x86_64.c, arch_get_unmapped_area_topdown().
private func arch_get_unmapped_area_topdown(_ hint: UInt, _ len: UInt, _ flags: UInt) -> UInt {
    if len > TASK_SIZE() { return errorAddress(ENOMEM) }
    if flags & MAP_FIXED != 0 { return hint }
    let address = PAGE_ALIGN(hint)
    if address >= mmap_min_addr && address <= TASK_SIZE() - len {
        let vma = ops.find_vma(current.mm!, address)
        if vma == nil || address + len <= vma!.vm_start { return address }
    }
    return unmapped_area_topdown(current.mm!, len)
}

/// Prefers addresses at which huge pages of the file fit.
/// Linux v5.13, mm/shmem.c, shmem_get_unmapped_area().
private func shmem_get_unmapped_area(
    _ file: address_space, _ hint: UInt, _ len: UInt, _ pgoff: UInt, _ flags: UInt
) -> UInt {
    let address = arch_get_unmapped_area_topdown(hint, len, flags)
    if IS_ERR_VALUE(address) || address > TASK_SIZE() - len || len < PMD_SIZE() || flags & MAP_FIXED != 0
        || hint == address || !file.huge
    {
        return address
    }
    let within = PMD_SIZE() - 1
    let offset = pgoff << UInt(PAGE_SHIFT) & within
    if offset != 0 && offset + len < 2 * PMD_SIZE() || address & within == offset { return address }
    var inflated = arch_get_unmapped_area_topdown(0, len + PMD_SIZE() - PAGE_SIZE, flags)
    if IS_ERR_VALUE(inflated) || offset_in_page(inflated) != 0 { return address }
    let inflated_offset = inflated & within
    inflated += offset
    inflated -= inflated_offset
    if inflated_offset > offset { inflated += PMD_SIZE() }
    return inflated > TASK_SIZE() - len ? address : inflated
}

/// Linux v5.13, mm/mmap.c, get_unmapped_area().
private func get_unmapped_area(
    _ file: address_space?, _ hint: UInt, _ len: UInt, _ pgoff: UInt, _ flags: UInt
) -> UInt {
    if len > TASK_SIZE() { return errorAddress(ENOMEM) }
    let address: UInt
    if let file, file.kind == UInt8(MAPPING_SHMEM.rawValue) {
        address = shmem_get_unmapped_area(file, hint, len, pgoff, flags)
    } else {
        address = arch_get_unmapped_area_topdown(hint, len, flags)
    }
    if IS_ERR_VALUE(address) { return address }
    if address > TASK_SIZE() - len { return errorAddress(ENOMEM) }
    if offset_in_page(address) != 0 { return errorAddress(EINVAL) }
    return address < mmap_min_addr ? errorAddress(EPERM) : address
}

// MARK: - Linking

/// Linux v5.13, mm/util.c, __vma_link_list().
func __vma_link_list(_ mm: mm_struct, _ vma: vm_area_struct, _ prev: vm_area_struct?) {
    let next = vma_next(mm, prev)
    vma.vm_prev = prev
    vma.vm_next = next
    if let prev { prev.vm_next = vma } else { mm.mmap = vma }
    if let next { next.vm_prev = vma }
}

/// Linux v5.13, mm/util.c, __vma_unlink_list().
func __vma_unlink_list(_ mm: mm_struct, _ vma: vm_area_struct) {
    let (prev, next) = (vma.vm_prev, vma.vm_next)
    if let prev { prev.vm_next = next } else { mm.mmap = next }
    if let next { next.vm_prev = prev }
}

/// Linux v5.13, mm/mmap.c, __vma_link_file().
func __vma_link_file(_ vma: vm_area_struct) {
    guard let mapping = vma.vm_file else { return }
    if vma.vm_flags & VM_SHARED != 0 { mapping.i_mmap_writable += 1 }
    vma_interval_tree_insert(vma, mapping.i_mmap)
}

/// Linux v5.13, mm/mmap.c, __remove_shared_vm_struct().
func __remove_shared_vm_struct(_ vma: vm_area_struct, _ mapping: address_space) {
    if vma.vm_flags & VM_SHARED != 0 { mapping.i_mmap_writable -= 1 }
    vma_interval_tree_remove(vma)
}

/// Hides the vma from rmap and truncation before its page tables are freed.
/// Linux v5.13, mm/mmap.c, unlink_file_vma().
private func unlink_file_vma(_ vma: vm_area_struct) {
    guard let mapping = vma.vm_file else { return }
    down_write(mapping.i_mmap_rwsem)
    __remove_shared_vm_struct(vma, mapping)
    up_write(mapping.i_mmap_rwsem)
}

/// Linux v5.13, mm/mmap.c, vma_link().
func vma_link(_ mm: mm_struct, _ vma: vm_area_struct, _ prev: vm_area_struct?) {
    let mapping = vma.vm_file
    if let mapping { down_write(mapping.i_mmap_rwsem) }
    __vma_link_list(mm, vma, prev)
    __vma_link_file(vma)
    if let mapping { up_write(mapping.i_mmap_rwsem) }
    mm.map_count += 1
}

/// Linux v5.13, mm/mmap.c, __insert_vm_struct(): the caller deals with the file.
func __insert_vm_struct(_ mm: mm_struct, _ vma: vm_area_struct) {
    var prev: vm_area_struct?
    BUG_ON(!find_vma_links(mm, vma.vm_start, vma.vm_end, &prev), "find_vma_links()")
    __vma_link_list(mm, vma, prev)
    mm.map_count += 1
}

/// Linux v5.13, mm/mmap.c, vm_stat_account().
func vm_stat_account(_ mm: mm_struct, _ flags: UInt, _ npages: Int) {
    mm.total_vm &+= UInt(bitPattern: npages)
    if flags & (VM_WRITE | VM_SHARED) == VM_WRITE { mm.data_vm &+= UInt(bitPattern: npages) }
}

// MARK: - mmap(2)

/// Linux v5.13, include/linux/mman.h, calc_vm_prot_bits().
func calc_vm_prot_bits(_ prot: UInt) -> UInt {
    prot & VM_ACCESS_FLAGS
}

/// Linux v5.13, mm/mmap.c, mmap_region().
private func mmap_region(
    _ file: address_space?, _ address: UInt, _ len: UInt, _ vm_flags: UInt, _ pgoff: UInt
) -> UInt {
    let mm = current.mm!
    var prev: vm_area_struct?
    while !find_vma_links(mm, address, address + len, &prev) {
        if ops.do_munmap(mm, address, len) != 0 { return errorAddress(ENOMEM) }
    }
    let vma: vm_area_struct
    if let merged = ops.vma_merge(mm, prev, address, address + len, vm_flags, nil, file, pgoff) {
        vma = merged
    } else {
        guard let new = vm_area_alloc(mm) else { return errorAddress(ENOMEM) }
        new.vm_start = address
        new.vm_end = address + len
        new.vm_flags = vm_flags
        new.vm_pgoff = pgoff
        new.vm_file = file
        if let file, shmem_mapping(file) { ops.shmem_mmap(file, new) }
        vma_start_write(new)
        vma_link(mm, new, prev)
        vma = new
    }
    let nr_pages = len >> UInt(PAGE_SHIFT)
    vm_stat_account(mm, vm_flags, Int(nr_pages))
    if vm_flags & VM_LOCKED != 0 {
        if vm_flags & VM_SPECIAL != 0 {
            vma_start_write(vma)
            yield_point("vm_flags")
            vma.vm_flags &= VM_LOCKED_CLEAR_MASK
        } else {
            mm.locked_vm += nr_pages
        }
    }
    return address
}

/// Maps under mmap_lock; `populate` becomes the length that the caller must fault in.
/// Linux v5.13, mm/mmap.c, do_mmap().
private func do_mmap(
    _ file: address_space?, _ hint: UInt, _ length: UInt, _ prot: UInt, _ flags: UInt, _ offset: UInt,
    _ populate: UnsafeMutablePointer<UInt>
) -> UInt {
    let mm = current.mm!
    populate.pointee = 0
    if length == 0 { return errorAddress(EINVAL) }
    let fixed = flags & (MAP_FIXED | MAP_FIXED_NOREPLACE) != 0
    // A hint below mmap_min_addr is rounded up to it (round_hint_to_min()).
    let wanted = fixed ? hint : hint & PAGE_MASK == 0 ? 0 : max(hint & PAGE_MASK, mmap_min_addr)
    let len = PAGE_ALIGN(length)
    if len == 0 { return errorAddress(ENOMEM) }
    var pgoff = offset
    if pgoff &+ len >> UInt(PAGE_SHIFT) < pgoff { return errorAddress(EOVERFLOW) }
    let address = ops.get_unmapped_area(file, wanted, len, pgoff, fixed ? flags | MAP_FIXED : flags)
    if IS_ERR_VALUE(address) { return address }
    if flags & MAP_FIXED_NOREPLACE != 0 && find_vma_intersection(mm, address, address + len) != nil {
        return errorAddress(EEXIST)
    }
    var vm_flags = calc_vm_prot_bits(prot) | mm.def_flags | VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC
    if flags & MAP_LOCKED != 0 { vm_flags |= VM_LOCKED }
    switch flags & (MAP_SHARED | MAP_PRIVATE) {
    case MAP_SHARED | MAP_PRIVATE:
        // MAP_SHARED_VALIDATE: no flag of later kernels may be among the rest.
        if file == nil { return errorAddress(EINVAL) }
        if flags & MAP_FIXED_NOREPLACE != 0 { return errorAddress(EOPNOTSUPP) }
        vm_flags |= VM_SHARED | VM_MAYSHARE
    case MAP_SHARED:
        // Shared anonymous memory would be a new shmem file: a trace names one of the machine's instead.
        if file == nil { return errorAddress(ENFILE) }
        vm_flags |= VM_SHARED | VM_MAYSHARE
    case MAP_PRIVATE:
        if file == nil { pgoff = address >> UInt(PAGE_SHIFT) }
    default:
        return errorAddress(EINVAL)
    }
    let mapped = mmap_region(file, address, len, vm_flags, pgoff)
    if !IS_ERR_VALUE(mapped)
        && (vm_flags & VM_LOCKED != 0 || flags & (MAP_POPULATE | MAP_NONBLOCK) == MAP_POPULATE)
    {
        populate.pointee = len
    }
    return mapped
}

/// Linux v5.13, mm/util.c, vm_mmap_pgoff().
private func vm_mmap_pgoff(
    _ file: address_space?, _ address: UInt, _ len: UInt, _ prot: UInt, _ flags: UInt, _ pgoff: UInt
) -> Int {
    let mm = current.mm!
    var populate: UInt = 0
    down_write(mm.mmap_lock)
    let mapped = ops.do_mmap(file, address, len, prot, flags, pgoff, &populate)
    mmap_write_unlock(mm)
    if populate != 0 { _ = ops.mm_populate(mapped, populate, true) }
    return Int(bitPattern: mapped)
}
