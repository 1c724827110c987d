// SPDX-License-Identifier: GPL-2.0-only
// Stores to page tables, and page tables themselves.  Source: Linux v5.13, arch/x86/include/asm/pgtable.h,
// arch/x86/mm/pgtable.c, include/linux/mm.h.
//
// The hardware walks the tables and sets accessed and dirty bits whatever locks are held, and so do lockless
// walkers (GUP fast, a fault's first look at the pte).  So every store here is a yield point, named after the
// calling function.  Left out: paravirtualization, soft-dirty, the levels above the pmd.

import CKernel
import Simulation

// MARK: - ptes

func set_pte_at(
    _ mm: mm_struct, _ address: UInt, _ ptep: UnsafeMutablePointer<pte_t>, _ pte: pte_t,
    _ function: StaticString = #function
) {
    yield_point("pte", function)
    ptep.pointee = pte
}

func pte_clear(
    _ mm: mm_struct, _ address: UInt, _ ptep: UnsafeMutablePointer<pte_t>, _ function: StaticString = #function
) {
    set_pte_at(mm, address, ptep, __pte(0), function)
}

/// An atomic exchange: no accessed or dirty bit is lost (also ptep_modify_prot_start()).
func ptep_get_and_clear(
    _ mm: mm_struct, _ address: UInt, _ ptep: UnsafeMutablePointer<pte_t>, _ function: StaticString = #function
) -> pte_t {
    yield_point("pte", function)
    let pte = ptep.pointee
    ptep.pointee = __pte(0)
    return pte
}

func ptep_set_wrprotect(
    _ mm: mm_struct, _ address: UInt, _ ptep: UnsafeMutablePointer<pte_t>, _ function: StaticString = #function
) {
    yield_point("pte", function)
    ptep.pointee = pte_wrprotect(ptep.pointee)
}

func ptep_test_and_clear_young(
    _ vma: vm_area_struct, _ address: UInt, _ ptep: UnsafeMutablePointer<pte_t>, _ function: StaticString = #function
) -> Bool {
    yield_point("pte", function)
    let young = pte_young(ptep.pointee)
    ptep.pointee = pte_mkold(ptep.pointee)
    return young
}

/// Widens what a pte allows.  Returns whether that changed it; without `dirty` only the hardware's bits would,
/// and those it sets itself.
func ptep_set_access_flags(
    _ vma: vm_area_struct, _ address: UInt, _ ptep: UnsafeMutablePointer<pte_t>, _ entry: pte_t, dirty: Bool,
    _ function: StaticString = #function
) -> Bool {
    yield_point("pte", function)
    let changed = !pte_same(ptep.pointee, entry)
    if changed && dirty { ptep.pointee = entry }
    return changed
}

/// Whether some TLB may hold the pte.
func pte_accessible(_ mm: mm_struct, _ pte: pte_t) -> Bool {
    pte_accessible(pte) || pte_protnone(pte) && mm.tlb_flush_pending > 0
}

// MARK: - pmds

func set_pmd_at(
    _ mm: mm_struct, _ address: UInt, _ pmdp: UnsafeMutablePointer<pmd_t>, _ pmd: pmd_t,
    _ function: StaticString = #function
) {
    yield_point("pmd", function)
    pmdp.pointee = pmd
}

func pmd_clear(_ pmdp: UnsafeMutablePointer<pmd_t>, _ function: StaticString = #function) {
    yield_point("pmd", function)
    pmdp.pointee = __pmd(0)
}

func pmdp_huge_get_and_clear(
    _ mm: mm_struct, _ address: UInt, _ pmdp: UnsafeMutablePointer<pmd_t>, _ function: StaticString = #function
) -> pmd_t {
    yield_point("pmd", function)
    let pmd = pmdp.pointee
    pmdp.pointee = __pmd(0)
    return pmd
}

func pmdp_set_wrprotect(
    _ mm: mm_struct, _ address: UInt, _ pmdp: UnsafeMutablePointer<pmd_t>, _ function: StaticString = #function
) {
    yield_point("pmd", function)
    pmdp.pointee = pmd_wrprotect(pmdp.pointee)
}

func pmdp_test_and_clear_young(
    _ vma: vm_area_struct, _ address: UInt, _ pmdp: UnsafeMutablePointer<pmd_t>,
    _ function: StaticString = #function
) -> Bool {
    yield_point("pmd", function)
    let young = pmd_young(pmdp.pointee)
    pmdp.pointee = pmd_mkold(pmdp.pointee)
    return young
}

/// Linux v5.13, arch/x86/mm/pgtable.c, pmdp_clear_flush_young(): x86 flushes here, unlike for a pte.
func pmdp_clear_flush_young(
    _ vma: vm_area_struct, _ address: UInt, _ pmdp: UnsafeMutablePointer<pmd_t>,
    _ function: StaticString = #function
) -> Bool {
    let young = pmdp_test_and_clear_young(vma, address, pmdp, function)
    if young { flush_tlb_range(vma, address, address + PMD_SIZE()) }
    return young
}

func pmdp_set_access_flags(
    _ vma: vm_area_struct, _ address: UInt, _ pmdp: UnsafeMutablePointer<pmd_t>, _ entry: pmd_t, dirty: Bool,
    _ function: StaticString = #function
) -> Bool {
    yield_point("pmd", function)
    let changed = !pmd_same(pmdp.pointee, entry)
    if changed && dirty { pmdp.pointee = entry }
    return changed
}

/// Keeps the hardware away from a huge pmd and returns what it was.
/// Linux v5.13, mm/pgtable-generic.c, pmdp_invalidate().
func pmdp_invalidate(
    _ vma: vm_area_struct, _ address: UInt, _ pmdp: UnsafeMutablePointer<pmd_t>,
    _ function: StaticString = #function
) -> pmd_t {
    yield_point("pmd", function)
    let old = pmdp.pointee
    pmdp.pointee = pmd_mkinvalid(old)
    flush_pmd_tlb_range(vma, address, address + PMD_SIZE())
    return old
}

func flush_tlb_range(_ vma: vm_area_struct, _ start: UInt, _ end: UInt) {
    ops.flush_tlb_mm_range(vma.vm_mm, start, end)
}

func flush_pmd_tlb_range(_ vma: vm_area_struct, _ start: UInt, _ end: UInt) {
    ops.flush_tlb_mm_range(vma.vm_mm, start, end)
}

// MARK: - Page tables

/// An empty page table, nil when memory is short.
func pte_alloc_one(_ mm: mm_struct) -> page_table? {
    might_sleep()
    guard let memory = kmem_cache_zalloc(CACHE_page_table) else { return nil }
    let table = unsafeBitCast(memory, to: page_table.self)
    spin_lock_init(table.ptl, LOCK_ptl)
    table.mm = mm
    table.live = 1
    return table
}

/// Frees a page table that no pmd has led to, or whose walkers are gone.
func pte_free(_ mm: mm_struct, _ table: page_table) {
    checkNoIOMMUWalks(table)
    table.live = 0
    kmem_cache_free(CACHE_page_table, address(table))
}

func pmd_populate(
    _ mm: mm_struct, _ pmdp: UnsafeMutablePointer<pmd_t>, _ table: page_table, _ function: StaticString = #function
) {
    yield_point("pmd", function)
    pmdp.pointee = mk_pmd_table(table)
}

public func mm_inc_nr_ptes(_ mm: mm_struct) { mm.nr_ptes += 1 }
public func mm_dec_nr_ptes(_ mm: mm_struct) { mm.nr_ptes -= 1 }

// MARK: - Locks

public func pmd_lock(
    _ mm: mm_struct, _ pmdp: UnsafeMutablePointer<pmd_t>, _ function: StaticString = #function
) -> spinlock_t {
    let ptl = pmd_lockptr(mm, pmdp)
    spin_lock(ptl, function)
    return ptl
}

/// The pte of `address` in the table that `pmdp` leads to, and the table's lock, held.  From v6.5 on: nil if there
/// is no such table, or no more.
func pte_offset_map_lock(
    _ mm: mm_struct, _ pmdp: UnsafeMutablePointer<pmd_t>, _ address: UInt, _ function: StaticString = #function
) -> (pte: UnsafeMutablePointer<pte_t>, ptl: spinlock_t)? {
    var ptl: spinlock_t?
    guard let pte = ops.__pte_offset_map_lock(mm, pmdp, address, &ptl, function.cString) else { return nil }
    return (pte, ptl!)
}

/// The same without taking the lock: by then the table may be out of use, but it is a table until pte_unmap().
/// Linux v6.5, mm/pgtable-generic.c, pte_offset_map_nolock().
func pte_offset_map_nolock(
    _ mm: mm_struct, _ pmdp: UnsafeMutablePointer<pmd_t>, _ address: UInt, _ function: StaticString = #function
) -> (pte: UnsafeMutablePointer<pte_t>, ptl: spinlock_t)? {
    var pmdval = __pmd(0)
    guard let pte = ops.__pte_offset_map(pmdp, address, &pmdval, function.cString) else { return nil }
    return (pte, pte_lockptr(mm, &pmdval))
}

func pte_unmap_unlock(
    _ pte: UnsafeMutablePointer<pte_t>, _ ptl: spinlock_t, _ function: StaticString = #function
) {
    spin_unlock(ptl, function)
    ops.pte_unmap(pte)
}

/// pte_offset_map_lock() with a table where there was none; nil when memory is short, too.
func pte_alloc_map_lock(
    _ mm: mm_struct, _ pmdp: UnsafeMutablePointer<pmd_t>, _ address: UInt, _ function: StaticString = #function
) -> (pte: UnsafeMutablePointer<pte_t>, ptl: spinlock_t)? {
    ops.pte_alloc(mm, pmdp) != 0 ? nil : pte_offset_map_lock(mm, pmdp, address, function)
}

/// A look at a pmd that nothing keeps from changing: whether there is no page table to walk.  From v6.5 on the lookup
/// of the pte says so, and nobody asks before.  Linux v5.13, include/linux/pgtable.h.
func pmd_trans_unstable(_ pmdp: UnsafeMutablePointer<pmd_t>, _ function: StaticString = #function) -> Bool {
    ops.pmd_trans_unstable(pmdp, function.cString)
}

/// The same, of walkers that hold mmap_lock for reading only.  Linux v5.13, include/linux/pgtable.h.
func pmd_none_or_trans_huge_or_clear_bad(
    _ pmdp: UnsafeMutablePointer<pmd_t>, _ function: StaticString = #function
) -> Bool {
    ops.pmd_none_or_trans_huge_or_clear_bad(pmdp, function.cString)
}
