// SPDX-License-Identifier: GPL-2.0-only
// mm/memory.c of Linux v5.13: faults on mappings of files: read, copy-on-write and shared write.
//
// vm_ops of the model: disk files have ext4_filemap_fault(), filemap_map_pages() and ext4_page_mkwrite()
// (ext4_file_vm_ops), shmem files have shmem_fault() and filemap_map_pages() (shmem_vm_ops).
// Left out: balance_dirty_pages_ratelimited() (throttles, holds nothing), file times.

import CKernel
import Simulation

func install_memory_file_fault(_ ops: kernel_ops) {
    ops.do_set_pte = do_set_pte
    ops.finish_fault = finish_fault
}

private let VM_FAULT_NOT_DONE = VM_FAULT_ERROR | VM_FAULT_NOPAGE | VM_FAULT_RETRY

/// Whether vm_ops has a page_mkwrite().
func has_page_mkwrite(_ vma: vm_area_struct) -> Bool {
    vma.vm_file.map { UInt32($0.kind) == MAPPING_FILE.rawValue } ?? false
}

/// Linux v5.13, mm/memory.c, do_fault().
func do_fault(_ vmf: UnsafeMutablePointer<vm_fault>) -> vm_fault_t {
    let mm = vmf.pointee.vma.vm_mm
    let ret: vm_fault_t
    if vmf.pointee.flags & FAULT_FLAG_WRITE == 0 {
        ret = do_read_fault(vmf)
    } else if vmf.pointee.vma.vm_flags & VM_SHARED == 0 {
        ret = do_cow_fault(vmf)
    } else {
        ret = do_shared_fault(vmf)
    }
    // After VM_FAULT_RETRY the vma may be gone, the mm is not.
    if let unused = vmf.pointee.prealloc_pte {
        pte_free(mm, unused)
        vmf.pointee.prealloc_pte = nil
    }
    return ret
}

/// Brings in the page, locked.  Linux v5.13, mm/memory.c, __do_fault().
private func __do_fault(_ vmf: UnsafeMutablePointer<vm_fault>) -> vm_fault_t {
    let vma = vmf.pointee.vma
    yield_point("pmd")
    // The table is allocated before the page is locked, or its reclaim could wait for this very page.
    if pmd_none(vmf.pointee.pmd.pointee) && vmf.pointee.prealloc_pte == nil {
        vmf.pointee.prealloc_pte = pte_alloc_one(vma.vm_mm)
        if vmf.pointee.prealloc_pte == nil { return VM_FAULT_OOM }
    }
    let ret = vma_is_shmem(vma) ? ops.shmem_fault(vmf) : ops.ext4_filemap_fault(vmf)
    if ret & (VM_FAULT_NOT_DONE | VM_FAULT_DONE_COW) != 0 { return ret }
    let page = vmf.pointee.page!
    if ret & VM_FAULT_LOCKED == 0 {
        lock_page(page)
    } else {
        VM_BUG_ON_PAGE(!PageLocked(page), "!PageLocked(vmf->page)")
    }
    return ret
}

/// Linux v5.13, mm/memory.c, do_read_fault().
private func do_read_fault(_ vmf: UnsafeMutablePointer<vm_fault>) -> vm_fault_t {
    var ret: vm_fault_t = 0
    if !uffd_disable_fault_around(vmf.pointee.vma) {
        ret = do_fault_around(vmf)
        if ret != 0 { return ret }
    }
    ret = __do_fault(vmf)
    if ret & VM_FAULT_NOT_DONE != 0 { return ret }
    ret |= ops.finish_fault(vmf)
    let page = vmf.pointee.page!
    unlock_page(page)
    if ret & VM_FAULT_NOT_DONE != 0 { ops.put_page(page) }
    return ret
}

/// Maps what the page cache has around the address: 16 pages, or a table's worth if that is less.
/// Linux v5.13, mm/memory.c, do_fault_around().
private func do_fault_around(_ vmf: UnsafeMutablePointer<vm_fault>) -> vm_fault_t {
    let vma = vmf.pointee.vma
    let ptrs_per_pte = UInt(kernel.ptrs_per_pte)
    let nr_pages = min(16, ptrs_per_pte)
    let mask = ~(nr_pages * PAGE_SIZE - 1) & PAGE_MASK
    let start = max(vmf.pointee.address & mask, vma.vm_start)
    let start_pgoff = vmf.pointee.pgoff - (vmf.pointee.address - start) >> UInt(PAGE_SHIFT)
    let end_pgoff = min(
        start_pgoff + (ptrs_per_pte - 1 - pte_index(start)), vma_pages(vma) + vma.vm_pgoff - 1,
        start_pgoff + nr_pages - 1)

    yield_point("pmd")
    if pmd_none(vmf.pointee.pmd.pointee) {
        vmf.pointee.prealloc_pte = pte_alloc_one(vma.vm_mm)
        if vmf.pointee.prealloc_pte == nil { return VM_FAULT_OOM }
    }
    return ops.filemap_map_pages(vmf, start_pgoff, end_pgoff)
}

/// Linux v5.13, mm/memory.c, do_cow_fault().
private func do_cow_fault(_ vmf: UnsafeMutablePointer<vm_fault>) -> vm_fault_t {
    if ops.anon_vma_prepare(vmf.pointee.vma) != 0 { return VM_FAULT_OOM }
    guard let cow_page = ops.alloc_pages(GFP_HIGHUSER_MOVABLE, 0) else { return VM_FAULT_OOM }
    vmf.pointee.cow_page = cow_page
    var ret = __do_fault(vmf)
    if ret & VM_FAULT_NOT_DONE == 0 {
        if ret & VM_FAULT_DONE_COW != 0 { return ret }
        let page = vmf.pointee.page!
        copy_user_highpage(cow_page, page)
        SetPageUptodate(cow_page)
        ret |= ops.finish_fault(vmf)
        unlock_page(page)
        ops.put_page(page)
    }
    if ret & VM_FAULT_NOT_DONE != 0 { ops.put_page(cow_page) }
    return ret
}

/// Linux v5.13, mm/memory.c, do_shared_fault().
private func do_shared_fault(_ vmf: UnsafeMutablePointer<vm_fault>) -> vm_fault_t {
    var ret = __do_fault(vmf)
    if ret & VM_FAULT_NOT_DONE != 0 { return ret }
    let page = vmf.pointee.page!
    if has_page_mkwrite(vmf.pointee.vma) {
        unlock_page(page)
        let made = do_page_mkwrite(vmf)
        if made == 0 || made & (VM_FAULT_ERROR | VM_FAULT_NOPAGE) != 0 {
            ops.put_page(page)
            return made
        }
    }
    ret |= ops.finish_fault(vmf)
    if ret & VM_FAULT_NOT_DONE != 0 {
        unlock_page(page)
        ops.put_page(page)
        return ret
    }
    return ret | fault_dirty_shared_page(vmf)
}

/// Tells the file that the page is about to be written to.  The page is locked afterwards; 0: try again.
/// Linux v5.13, mm/memory.c, do_page_mkwrite().
func do_page_mkwrite(_ vmf: UnsafeMutablePointer<vm_fault>) -> vm_fault_t {
    let page = vmf.pointee.page!
    let old_flags = vmf.pointee.flags
    vmf.pointee.flags = FAULT_FLAG_WRITE | FAULT_FLAG_MKWRITE
    let ret = ops.ext4_page_mkwrite(vmf)
    vmf.pointee.flags = old_flags
    if ret & (VM_FAULT_ERROR | VM_FAULT_NOPAGE) != 0 { return ret }
    if ret & VM_FAULT_LOCKED == 0 {
        lock_page(page)
        if page.mapping == nil {
            unlock_page(page)
            return 0
        }
        return ret | VM_FAULT_LOCKED
    }
    VM_BUG_ON_PAGE(!PageLocked(page), "!PageLocked(page)")
    return ret
}

/// Linux v5.13, mm/memory.c, fault_dirty_shared_page().
func fault_dirty_shared_page(_ vmf: UnsafeMutablePointer<vm_fault>) -> vm_fault_t {
    let page = vmf.pointee.page!
    ops.set_page_dirty(page)
    VM_BUG_ON_PAGE(PageAnon(page), "PageAnon(page)")
    unlock_page(page)
    return 0
}

/// Maps the page that a fault has prepared, and keeps its reference for the pte.
///
/// Returns 0 too, with the reference, when another fault has mapped a huge page meanwhile: v5.13 leaks it
/// (repaired by "mm: fix page leak with multiple threads mapping the same page", v5.19).
/// Linux v5.13, mm/memory.c, finish_fault().
private func finish_fault(_ vmf: UnsafeMutablePointer<vm_fault>) -> vm_fault_t {
    let vma = vmf.pointee.vma
    let mm = vma.vm_mm
    let pmd = vmf.pointee.pmd
    let copied = vmf.pointee.flags & FAULT_FLAG_WRITE != 0 && vma.vm_flags & VM_SHARED == 0
    let page = copied ? vmf.pointee.cow_page! : vmf.pointee.page!

    if vma.vm_flags & VM_SHARED == 0 {
        let ret = check_stable_address_space(mm)
        if ret != 0 { return ret }
    }
    yield_point("pmd")
    if pmd_none(pmd.pointee) {
        if PageTransCompound(page) {
            let ret = ops.do_set_pmd(vmf, page)
            if ret != VM_FAULT_FALLBACK { return ret }
        }
        if ops.pte_alloc(mm, pmd) != 0 { return VM_FAULT_OOM }
    }
    if pmd_trans_unstable(pmd) { return 0 }

    guard let (pte, ptl) = pte_offset_map_lock(mm, pmd, vmf.pointee.address) else { return VM_FAULT_NOPAGE }
    (vmf.pointee.pte, vmf.pointee.ptl) = (pte, ptl)
    var ret: vm_fault_t = 0
    // Still none; from v5.19 on it may have been a marker, and must be still (vmf_pte_changed()).
    if pte_same(pte.pointee, vmf.pointee.orig_pte) {
        ops.do_set_pte(vmf, page, vmf.pointee.address)
    } else {
        ret = VM_FAULT_NOPAGE
    }
    pte_unmap_unlock(pte, ptl)
    return ret
}

/// Linux v5.13, mm/memory.c, do_set_pte().
private func do_set_pte(_ vmf: UnsafeMutablePointer<vm_fault>, _ page: page, _ address: UInt) {
    let vma = vmf.pointee.vma
    let mm = vma.vm_mm
    let write = vmf.pointee.flags & FAULT_FLAG_WRITE != 0
    var entry = mk_pte(page, vm_page_prot(vma))
    if write { entry = maybe_mkwrite(pte_mkdirty(entry), vma) }
    // From v5.19 on: a marker was there.
    if userfaultfd_wp(vma) && pte_marker_uffd_wp(vmf.pointee.orig_pte) { entry = pte_mkuffd_wp(entry) }
    if write && vma.vm_flags & VM_SHARED == 0 {
        mm.rss(Int(MM_ANONPAGES.rawValue)).pointee += 1
        ops.page_add_new_anon_rmap(page, vma, address, false)
        ops.lru_cache_add_inactive_or_unevictable(page, vma)
    } else {
        mm.rss(Int(mm_counter_file(page))).pointee += 1
        ops.page_add_file_rmap(page, vma, false)
    }
    set_pte_at(mm, address, vmf.pointee.pte!, entry)
}
