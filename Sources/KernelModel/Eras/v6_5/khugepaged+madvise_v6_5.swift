// SPDX-License-Identifier: GPL-2.0-only
// mm/khugepaged.c of Linux v6.5: MADV_COLLAPSE, which makes huge pages of a range at once, whatever sysfs says.
//
// Left out: kmalloc() of the struct collapse_control, which lies on the stack here and cannot fail.

import CKernel
import Simulation

/// Linux v6.5, mm/khugepaged.c, madvise_collapse_errno().
private func madvise_collapse_errno(_ result: Int32) -> Int {
    switch result {
    case SCAN_ALLOC_HUGE_PAGE_FAIL: return -Int(ENOMEM)
    case SCAN_CGROUP_CHARGE_FAIL, SCAN_EXCEED_NONE_PTE: return -Int(EBUSY)
    // To try again might help.
    case SCAN_PAGE_COUNT, SCAN_PAGE_LOCK, SCAN_PAGE_LRU, SCAN_DEL_PAGE_LRU, SCAN_PAGE_FILLED: return -Int(EAGAIN)
    default: return -Int(EINVAL)
    }
}

/// Whether a failure at one range says nothing of the next ones.
private func may_go_on(after result: Int32) -> Bool {
    switch result {
    case SCAN_PMD_NULL, SCAN_PTE_NON_PRESENT, SCAN_PTE_UFFD_WP, SCAN_PAGE_RO, SCAN_LACK_REFERENCED_PAGE,
        SCAN_PAGE_NULL, SCAN_PAGE_COUNT, SCAN_PAGE_LOCK, SCAN_PAGE_COMPOUND, SCAN_PAGE_LRU, SCAN_DEL_PAGE_LRU:
        return true
    default: return false
    }
}

/// mmap_lock is held for reading, at return too; `prev` is nil then if it was dropped.
/// Linux v6.5, mm/khugepaged.c, madvise_collapse().
func madvise_collapse_v6_5(
    _ area: vm_area_struct, _ prev: UnsafeMutablePointer<vm_area_struct?>, _ start: UInt, _ end: UInt
) -> Int {
    let function: StaticString = "madvise_collapse"
    let mm = area.vm_mm
    prev.pointee = area
    if !ops.hugepage_vma_check(area, area.vm_flags, false, false, false) { return -Int(EINVAL) }

    var cc = collapse_control()
    mmgrab(mm)
    ops.lru_add_drain_all()

    let hstart = (start + ~PMD_MASK()) & PMD_MASK()
    var hend = end & PMD_MASK()
    var vma: vm_area_struct? = area
    var thps: UInt = 0
    var last_fail = SCAN_FAIL
    var mmap_locked = true
    var addr = hstart
    while addr < hend {
        if !mmap_locked {
            down_read(mm.mmap_lock, function)
            mmap_locked = true
            let result = hugepage_vma_revalidate(mm, addr, expect_anon: false, &vma, &cc)
            if result != SCAN_SUCCEED {
                last_fail = result
                break
            }
            hend = min(hend, vma!.vm_end & PMD_MASK())
        }
        let result = collapse_range(vma!, addr, &mmap_locked, &cc)
        if !mmap_locked { prev.pointee = nil }
        if result == SCAN_SUCCEED || result == SCAN_PMD_MAPPED {
            thps += 1
        } else {
            last_fail = result
            if !may_go_on(after: result) { break }
        }
        addr += PMD_SIZE()
    }
    if !mmap_locked { down_read(mm.mmap_lock, function) }
    ops.mmdrop(mm)
    // A vma that ends before the first range by now.
    let ranges = hend < hstart ? UInt.max : (hend - hstart) / PMD_SIZE()
    return thps == ranges ? 0 : madvise_collapse_errno(last_fail)
}

/// One range: makes the huge page if it is not there, and maps it by the pmd.
private func collapse_range(
    _ vma: vm_area_struct, _ addr: UInt, _ mmap_locked: UnsafeMutablePointer<Bool>,
    _ cc: UnsafeMutablePointer<collapse_control>
) -> Int32 {
    let function: StaticString = "madvise_collapse"
    let mm = vma.vm_mm
    clear_node_load(cc)
    guard let file = vma.vm_file else {
        // hpage_collapse_scan_pmd()
        let result = ops.khugepaged_scan_pmd(mm, vma, addr, mmap_locked, cc)
        if let unused = cc.pointee.hpage { ops.put_page(unused) }
        cc.pointee.hpage = nil
        return result
    }
    let pgoff = linear_page_index(vma, addr)
    up_read(mm.mmap_lock, function)
    mmap_locked.pointee = false
    let result = hpage_collapse_scan_file(mm, addr, file, pgoff, cc)
    if result != SCAN_PTE_MAPPED_HUGEPAGE { return result }
    down_write(mm.mmap_lock, function)
    let mapped = ops.collapse_pte_mapped_thp(mm, addr, true)
    mmap_write_unlock(mm, function)
    return mapped
}
