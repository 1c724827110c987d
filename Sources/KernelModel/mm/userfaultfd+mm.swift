// SPDX-License-Identifier: GPL-2.0-only
// mm/userfaultfd.c of Linux v5.18-rc1: filling a range of a registered vma, and protecting it against writes.
//
// Names are v6.4's, when the mode of a fill and its flags became one argument: __mcopy_atomic() is mfill_atomic(),
// mcopy_atomic_pte() is mfill_atomic_pte_copy().
// Left out: hugetlb; hardware poison; copy_from_user() that fails (userfaultfd+ioctl.swift).
// There is no shared zero page, so UFFDIO_ZEROPAGE maps a fresh page that is zeroed, as the kernel does where
// mm_forbids_zeropage() (mfill_atomic_pte_zeroed_folio(), v6.10).

import CKernel
import Simulation

func install_mm_userfaultfd(_ ops: kernel_ops) {
    ops.mfill_atomic = mfill_atomic
    ops.mfill_atomic_install_pte = mfill_atomic_install_pte
    ops.shmem_mfill_atomic_pte = shmem_mfill_atomic_pte
    ops.mwriteprotect_range = mwriteprotect_range
    ops.vma_can_userfault = vma_can_userfault
}

/// Anonymous memory and shmem, but write protection in anonymous memory only.
/// Linux v5.18-rc1, fs/userfaultfd.c, vma_can_userfault().
private func vma_can_userfault(_ vma: vm_area_struct, _ vm_flags: UInt) -> Bool {
    if vm_flags & VM_UFFD_WP != 0 && vma_is_shmem(vma) { return false }
    if vm_flags & VM_UFFD_MINOR != 0 && !vma_is_shmem(vma) { return false }
    return vma_is_anonymous(vma) || vma_is_shmem(vma)
}

/// The one registered vma that covers the range.
/// Linux v5.18-rc1, mm/userfaultfd.c, find_dst_vma().
private func find_dst_vma(_ dst_mm: mm_struct, _ dst_start: UInt, _ len: UInt) -> vm_area_struct? {
    guard let vma = ops.find_vma(dst_mm, dst_start), dst_start >= vma.vm_start && dst_start + len <= vma.vm_end,
        userfaultfd_armed(vma)
    else { return nil }
    return vma
}

// MARK: - One page

/// Maps a page that was made for this, or that the file has, where nothing is mapped.  Anonymous and file pages, in
/// shared and private mappings.
/// Linux v5.18-rc1, mm/userfaultfd.c, mfill_atomic_install_pte().
private func mfill_atomic_install_pte(
    _ dst_pmd: UnsafeMutablePointer<pmd_t>, _ dst_vma: vm_area_struct, _ dst_addr: UInt, _ page: page,
    _ newly_allocated: Bool, _ flags: UInt32
) -> Int32 {
    let dst_mm = dst_vma.vm_mm
    let page_in_cache = page_file_mapping(page) != nil
    let writable = dst_vma.vm_flags & VM_WRITE != 0 && (!page_in_cache || dst_vma.vm_flags & VM_SHARED != 0)
    var _dst_pte = pte_mkdirty(mk_pte(page, vm_page_prot(dst_vma)))
    _dst_pte = writable ? pte_mkwrite(_dst_pte) : pte_wrprotect(_dst_pte)
    if flags & MFILL_ATOMIC_WP != 0 { _dst_pte = pte_mkuffd_wp(_dst_pte) }

    guard let (dst_pte, ptl) = pte_offset_map_lock(dst_mm, dst_pmd, dst_addr) else { return -EAGAIN }
    if let file = dst_vma.vm_file {
        // The page table lock keeps truncation, which stores i_size first, from missing the pte.
        yield_point("i_size")
        if linear_page_index(dst_vma, dst_addr) >= file.i_size {
            pte_unmap_unlock(dst_pte, ptl)
            return -EFAULT
        }
    }
    // Where something was write-protected before it was there, a marker may be, from v5.19 on.
    if !pte_none_mostly(dst_pte.pointee) {
        pte_unmap_unlock(dst_pte, ptl)
        return -EEXIST
    }
    if page_in_cache {
        if newly_allocated { ops.lru_cache_add(page) }
        ops.page_add_file_rmap(page, dst_vma, false)
    } else {
        ops.page_add_new_anon_rmap(page, dst_vma, dst_addr, false)
        ops.lru_cache_add_inactive_or_unevictable(page, dst_vma)
    }
    dst_mm.rss(Int(mm_counter(page))).pointee += 1
    set_pte_at(dst_mm, dst_addr, dst_pte, _dst_pte)
    pte_unmap_unlock(dst_pte, ptl)
    return 0
}

/// A page of the vma's own.  In a private mapping of a file it stands for a copy that was written to.
/// Linux v5.18-rc1, mm/userfaultfd.c, mcopy_atomic_pte().
private func mfill_atomic_pte_copy(
    _ dst_pmd: UnsafeMutablePointer<pmd_t>, _ dst_vma: vm_area_struct, _ dst_addr: UInt, _ flags: UInt32,
    _ token: UInt64
) -> Int32 {
    guard let page = ops.alloc_pages(GFP_HIGHUSER_MOVABLE, 0) else { return -ENOMEM }
    page.contents = token
    SetPageUptodate(page)
    let ret = ops.mfill_atomic_install_pte(dst_pmd, dst_vma, dst_addr, page, true, flags)
    if ret != 0 { ops.put_page(page) }
    return ret
}

/// The page that the file has.
/// Linux v5.18-rc1, mm/userfaultfd.c, mcontinue_atomic_pte().
private func mfill_atomic_pte_continue(
    _ dst_pmd: UnsafeMutablePointer<pmd_t>, _ dst_vma: vm_area_struct, _ dst_addr: UInt, _ flags: UInt32
) -> Int32 {
    let page = shmem_getpage_gfp(dst_vma.vm_file!, linear_page_index(dst_vma, dst_addr), .SGP_NOALLOC)!
    if IS_ERR(page) { return PTR_ERR(page) == -Int(ENOENT) ? -EFAULT : Int32(PTR_ERR(page)) }
    let ret = ops.mfill_atomic_install_pte(dst_pmd, dst_vma, dst_addr, page, false, flags)
    unlock_page(page)
    if ret != 0 { ops.put_page(page) }
    return ret
}

/// Linux v5.18-rc1, mm/userfaultfd.c, mfill_atomic_pte().
private func mfill_atomic_pte(
    _ dst_pmd: UnsafeMutablePointer<pmd_t>, _ dst_vma: vm_area_struct, _ dst_addr: UInt, _ flags: UInt32,
    _ token: UInt64
) -> Int32 {
    if flags & MFILL_ATOMIC_MODE_MASK == MFILL_ATOMIC_CONTINUE {
        return mfill_atomic_pte_continue(dst_pmd, dst_vma, dst_addr, flags)
    }
    // A private mapping of a hole gets anonymous memory; the hole stays.
    if dst_vma.vm_flags & VM_SHARED == 0 { return mfill_atomic_pte_copy(dst_pmd, dst_vma, dst_addr, flags, token) }
    return ops.shmem_mfill_atomic_pte(dst_pmd, dst_vma, dst_addr, flags, token)
}

// MARK: - A range

/// Fills a range, as far as it is empty.
/// Linux v5.18-rc1, mm/userfaultfd.c, __mcopy_atomic().
///
/// - Returns: how many bytes were filled, or what went wrong with the first page.
private func mfill_atomic(
    _ dst_mm: mm_struct, _ dst_start: UInt, _ len: UInt, _ flags: UInt32, _ token: UInt64
) -> Int {
    var copied: UInt = 0
    down_read(dst_mm.mmap_lock)
    let error = mfill_range(dst_mm, dst_start, len, flags, token, &copied)
    up_read(dst_mm.mmap_lock)
    return copied != 0 ? Int(copied) : Int(error)
}

/// The part of __mcopy_atomic() under mmap_lock.
private func mfill_range(
    _ dst_mm: mm_struct, _ dst_start: UInt, _ len: UInt, _ flags: UInt32, _ token: UInt64,
    _ copied: UnsafeMutablePointer<UInt>
) -> Int32 {
    guard let dst_vma = find_dst_vma(dst_mm, dst_start, len) else { return -ENOENT }
    if flags & MFILL_ATOMIC_WP != 0 && !userfaultfd_wp(dst_vma) { return -EINVAL }
    if !vma_is_anonymous(dst_vma) && !vma_is_shmem(dst_vma) { return -EINVAL }
    let mode = flags & MFILL_ATOMIC_MODE_MASK
    if !vma_is_shmem(dst_vma) && mode == MFILL_ATOMIC_CONTINUE { return -EINVAL }
    // Or the page would have no anon_vma.
    if dst_vma.vm_flags & VM_SHARED == 0 && ops.anon_vma_prepare(dst_vma) != 0 { return -ENOMEM }

    while copied.pointee < len {
        let dst_addr = dst_start + copied.pointee
        let dst_pmd = pmd_offset(dst_mm, dst_addr)
        yield_point("pmd", "mfill_atomic")
        if pmd_none(dst_pmd.pointee) && ops.pte_alloc(dst_mm, dst_pmd) != 0 { return -ENOMEM }
        yield_point("pmd", "mfill_atomic")
        let dst_pmdval = dst_pmd.pointee
        // A huge page that came meanwhile is not replaced.
        if !pmd_present(dst_pmdval) || pmd_trans_huge(dst_pmdval) { return -EEXIST }
        yield_point("pmd", "mfill_atomic")
        BUG_ON(pmd_none(dst_pmd.pointee), "pmd_none(*dst_pmd)", "mfill_atomic")
        BUG_ON(pmd_trans_huge(dst_pmd.pointee), "pmd_trans_huge(*dst_pmd)", "mfill_atomic")

        let contents = mode == MFILL_ATOMIC_COPY ? token + UInt64(copied.pointee >> UInt(PAGE_SHIFT)) : 0
        let error = mfill_atomic_pte(dst_pmd, dst_vma, dst_addr, flags, contents)
        if error != 0 { return error }
        copied.pointee += PAGE_SIZE
        if current.fatal_signal { return -EINTR }
    }
    return 0
}

// MARK: - Write protection

/// Protects a range against writes, or ends that.  What is not mapped in anonymous memory cannot be protected.
/// Linux v5.18-rc1, mm/userfaultfd.c, the second half of mwriteprotect_range(); uffd_wp_range() from v6.0 on.
func uffd_wp_range(_ dst_vma: vm_area_struct, _ start: UInt, _ len: UInt, _ enable_wp: Bool) -> Int {
    var cp_flags = enable_wp ? MM_CP_UFFD_WP : MM_CP_UFFD_WP_RESOLVE
    // A page that is dirty needs no fault to be writable again: MM_CP_TRY_CHANGE_WRITABLE, from v6.2 on.
    if !enable_wp && ops.vma_wants_manual_pte_write_upgrade(dst_vma) { cp_flags |= MM_CP_DIRTY_ACCT }
    return Int(bitPattern: ops.change_protection(dst_vma, start, start + len, vm_page_prot(dst_vma), cp_flags))
}

/// Linux v5.18-rc1, mm/userfaultfd.c, mwriteprotect_range().
private func mwriteprotect_range(_ dst_mm: mm_struct, _ start: UInt, _ len: UInt, _ enable_wp: Bool) -> Int32 {
    down_read(dst_mm.mmap_lock)
    var error = -ENOENT
    if let dst_vma = find_dst_vma(dst_mm, start, len), userfaultfd_wp(dst_vma),
        ops.vma_can_userfault(dst_vma, dst_vma.vm_flags)
    {
        _ = uffd_wp_range(dst_vma, start, len, enable_wp)
        error = 0
    }
    up_read(dst_mm.mmap_lock)
    return error
}
