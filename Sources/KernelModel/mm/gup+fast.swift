// SPDX-License-Identifier: GPL-2.0-only
// mm/gup.c of Linux v5.13: the walk without locks.  Interrupts are off, so that whoever frees a page table, and
// flushes the TLBs before, waits for the walk.
//
// Left out: ranges (each caller of the model wants one page).

import CKernel
import Simulation

func install_gup_fast(_ ops: kernel_ops) {
    ops.get_user_page_fast = get_user_page_fast
    ops.gup_pte_range = gup_pte_range
}

/// A page of the current mm, referenced (FOLL_GET) or pinned (FOLL_PIN); nil or an error if there is none.
/// Linux v5.13, mm/gup.c, internal_get_user_pages_fast(): get_user_pages_fast(), pin_user_pages_fast().
private func get_user_page_fast(_ mm: mm_struct, _ address: UInt, _ flags: UInt32) -> page? {
    if flags & FOLL_PIN != 0 { mm.has_pinned = true }
    if address >= TASK_SIZE() { return ERR_PTR(-Int(EFAULT)) }
    if let page = lockless_page_from_mm(mm, address & PAGE_MASK, flags) { return page }
    if flags & FOLL_FAST_ONLY != 0 { return nil }

    var page: page?
    let got = __gup_longterm_unlocked(mm, address & PAGE_MASK, flags, &page)
    return got < 0 ? ERR_PTR(got) : page
}

/// Linux v5.13, mm/gup.c, __gup_longterm_unlocked(), get_user_pages_unlocked().
private func __gup_longterm_unlocked(
    _ mm: mm_struct, _ start: UInt, _ flags: UInt32, _ pages: UnsafeMutablePointer<page?>
) -> Int {
    down_read(mm.mmap_lock)
    // mmap_lock must not be given up on the way of a pin for long.
    if flags & FOLL_LONGTERM != 0 {
        let got = __gup_longterm_locked(mm, start, 1, flags | FOLL_TOUCH, pages)
        up_read(mm.mmap_lock)
        return got
    }
    var locked: Int32 = 1
    let got = __get_user_pages_locked(mm, start, 1, flags | FOLL_TOUCH, pages, &locked)
    if locked != 0 { up_read(mm.mmap_lock) }
    return got
}

/// Linux v5.13, mm/gup.c, lockless_pages_from_mm().
private func lockless_page_from_mm(_ mm: mm_struct, _ address: UInt, _ flags: UInt32) -> page? {
    let pin = flags & FOLL_PIN != 0
    yield_point("write_protect_seq")
    let seq = mm.write_protect_seq
    if pin && seq & 1 != 0 { return nil }

    local_irq_disable()
    // The mm is loaded on this CPU (switch_mm()): flushes interrupt it.
    mm.cpu_bitmap |= 1 << current.cpu
    let page = gup_pmd(mm, address, flags)
    local_irq_enable()

    if let page, pin {
        yield_point("write_protect_seq")
        // fork() may have write-protected the page meanwhile, and not have seen the pin.
        if mm.write_protect_seq != seq {
            put_compound_head(compound_head(page), FOLL_PIN)
            return nil
        }
        ops.sanity_check_pinned_page(page)
    }
    return page
}

/// Linux v5.13, mm/gup.c, gup_pmd_range(), gup_huge_pmd().
private func gup_pmd(_ mm: mm_struct, _ address: UInt, _ flags: UInt32) -> page? {
    let pmdp = pmd_offset(mm, address)
    yield_point("pmd", "gup_pmd_range")
    let pmd = pmdp.pointee
    if !pmd_present(pmd) { return nil }
    if pmd_is_table(pmd) { return ops.gup_pte_range(pmd, pmdp, address, flags) }
    if pmd_protnone(pmd) || !access_permitted(pmd.pmd, flags) { return nil }
    guard let head = try_grab_compound_head(pmd_page(pmd), flags) else { return nil }
    yield_point("pmd", "gup_huge_pmd")
    if !pmd_same(pmd, pmdp.pointee) || !pmd_write(pmd) && ops.gup_must_unshare(nil, flags, head) {
        put_compound_head(head, flags)
        return nil
    }
    SetPageReferenced(head)
    return page_add(pmd_page(pmd), Int((address & ~PMD_MASK()) >> UInt(PAGE_SHIFT)))
}

/// Linux v5.13, mm/gup.c, gup_pte_range().
private func gup_pte_range(
    _ pmd: pmd_t, _ pmdp: UnsafeMutablePointer<pmd_t>, _ address: UInt, _ flags: UInt32
) -> page? {
    let ptep = page_table_pte(pmd_page_table(pmd), address)
    yield_point("pte")
    if !isLive(CACHE_page_table, KernelModel.address(pmd_page_table(pmd))) {
        reportViolation(VIOLATION_freed_reachable, UInt(CACHE_page_table.rawValue), address)
        return nil
    }
    let pte = ptep.pointee
    if pte_protnone(pte) || !access_permitted(pte.pte, flags) { return nil }
    let page = pte_page(pte)
    guard let head = try_grab_compound_head(page, flags) else { return nil }
    yield_point("pte")
    if !pte_same(pte, ptep.pointee) {
        put_compound_head(head, flags)
        return nil
    }
    VM_BUG_ON_PAGE(compound_head(page) !== head, "compound_head(page) != head")
    SetPageReferenced(head)
    return page
}

/// Linux v5.13, arch/x86/include/asm/pgtable.h, __pte_access_permitted().
func access_permitted(_ entry: UInt, _ flags: UInt32) -> Bool {
    entry & UInt(_PAGE_PRESENT) != 0 && (flags & FOLL_WRITE == 0 || entry & UInt(_PAGE_RW) != 0)
}

/// Linux v5.13, mm/gup.c, try_grab_compound_head(), try_get_compound_head(): v5.13 does not look at the head
/// again after the reference is taken.
private func try_grab_compound_head(_ page: page, _ flags: UInt32) -> page? {
    // The slow path moves the page first.
    if flags & FOLL_PIN != 0 && flags & FOLL_LONGTERM != 0 && !is_pinnable_page(page) { return nil }
    let head = compound_head(page)
    yield_point("page_count")
    if !get_page_unless_zero(head) { return nil }
    if flags & FOLL_PIN != 0 {
        yield_point("page_count")
        if PageCompound(head) {
            head.compound_pincount += 1
        } else {
            page_ref_add(head, GUP_PIN_COUNTING_BIAS - 1)
        }
    }
    return head
}
