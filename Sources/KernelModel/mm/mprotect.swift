// SPDX-License-Identifier: GPL-2.0-only
// mm/mprotect.c of Linux v5.13: mprotect(2), and the change of what page tables allow.
//
// Left out: device-private entries, protection keys, PROT_GROWSDOWN and PROT_GROWSUP, READ_IMPLIES_EXEC,
// soft-dirty, overcommit.

import CKernel
import Simulation

func install_mprotect(_ ops: kernel_ops) {
    ops.do_mprotect = do_mprotect
    ops.change_protection = change_protection
    ops.vma_wants_manual_pte_write_upgrade = vma_wants_writenotify
    ops.write_protected_migration_entry = make_migration_entry_read
}

// MARK: - Page tables

/// Returns how many entries were changed; from v6.5 on -EAGAIN if there is no page table.
/// Linux v5.13, mm/mprotect.c, change_pte_range().
private func change_pte_range(
    _ vma: vm_area_struct, _ pmd: UnsafeMutablePointer<pmd_t>, _ start: UInt, _ end: UInt, _ newprot: UInt,
    _ cp_flags: UInt
) -> Int {
    // Nothing but mmap_lock for reading may be held, so another thread may have made a huge page of it.
    if pmd_trans_unstable(pmd) { return 0 }
    let mm = vma.vm_mm
    guard let (start_pte, ptl) = pte_offset_map_lock(mm, pmd, start) else { return -Int(EAGAIN) }
    var pte = start_pte
    ops.flush_tlb_batched_pending(mm)
    var pages = 0
    var address = start
    while address != end {
        noteCost(EVENT_pte_visit, UInt(mm.number), 1)
        let oldpte = pte.pointee
        if pte_present(oldpte) {
            if cp_flags & MM_CP_PROT_NUMA != 0 && !mayHintAtNode(vma, oldpte) {
                pte += 1
                address += PAGE_SIZE
                continue
            }
            // No accessed or dirty bit may be lost: the entry is none for a moment (ptep_modify_prot_start()).
            var ptent = pte_modify(ptep_get_and_clear(mm, address, pte), newprot)
            // A hint takes no right away (pte_mk_savedwrite()).
            if cp_flags & MM_CP_PROT_NUMA != 0 && pte_write(oldpte) { ptent = pte_mkwrite(ptent) }
            // Whether the page may be written is for a fault to find out.
            if cp_flags & MM_CP_UFFD_WP != 0 {
                ptent = pte_mkuffd_wp(ptent)
            } else if cp_flags & MM_CP_UFFD_WP_RESOLVE != 0 {
                ptent = pte_clear_uffd_wp(ptent)
            }
            // A page known to be dirty needs no fault to become so.
            if cp_flags & MM_CP_DIRTY_ACCT != 0 && can_change_pte_writable(vma, ptent) { ptent = pte_mkwrite(ptent) }
            set_pte_at(mm, address, pte, ptent)
            pages += 1
        } else if is_swap_pte(oldpte) {
            let newpte = change_nonpresent_pte(oldpte, cp_flags)
            if !pte_same(oldpte, newpte) {
                set_pte_at(mm, address, pte, newpte)
                pages += 1
            }
        } else if cp_flags & MM_CP_UFFD_WP != 0 && !vma_is_anonymous(vma) {
            // From v5.19 on: the file may have the page, and a fault bring it in.
            set_pte_at(mm, address, pte, make_pte_marker(PTE_MARKER_UFFD_WP))
            pages += 1
        }
        pte += 1
        address += PAGE_SIZE
    }
    pte_unmap_unlock(pte - 1, ptl)
    return pages
}

/// Whether a write would find nothing to do.  Linux v6.1, mm/mprotect.c, can_change_pte_writable(); v5.13 has what is
/// about shared memory in change_pte_range().
private func can_change_pte_writable(_ vma: vm_area_struct, _ pte: pte_t) -> Bool {
    if pte_protnone(pte) || !pte_dirty(pte) || userfaultfd_pte_wp(vma, pte) { return false }
    if vma.vm_flags & VM_SHARED != 0 { return true }
    return PageAnon(pte_page(pte)) && PageAnonExclusive(pte_page(pte))
}

/// What change_pte_range() makes of an entry that is not present.
private func change_nonpresent_pte(_ oldpte: pte_t, _ cp_flags: UInt) -> pte_t {
    let entry = pte_to_swp_entry(oldpte)
    var newpte = oldpte
    if is_write_migration_entry(entry) {
        // Whether the page may be written is for a fault to find out.
        newpte = swp_entry_to_pte(ops.write_protected_migration_entry(entry))
        if pte_swp_uffd_wp(oldpte) { newpte = pte_swp_mkuffd_wp(newpte) }
    } else if pte_marker_entry_uffd_wp(entry) {
        return cp_flags & MM_CP_UFFD_WP_RESOLVE != 0 ? __pte(0) : oldpte
    }
    if cp_flags & MM_CP_UFFD_WP != 0 {
        newpte = pte_swp_mkuffd_wp(newpte)
    } else if cp_flags & MM_CP_UFFD_WP_RESOLVE != 0 {
        newpte = pte_swp_clear_uffd_wp(newpte)
    }
    return newpte
}

/// The conditions of change_pte_range() for making a pte fault as a hint for NUMA balancing.  Left out: pages
/// of the node on which the only thread runs, whose faults change nothing.
private func mayHintAtNode(_ vma: vm_area_struct, _ oldpte: pte_t) -> Bool {
    if pte_protnone(oldpte) { return false }
    let page = pte_page(oldpte)
    yield_point("page_mapcount", "change_pte_range")
    // Pages shared for copy-on-write, and dirty ones that migration may not be able to move.
    if is_cow_mapping(vma.vm_flags) && page_mapcount(page) != 1 { return false }
    if page_is_file_lru(page) && PageDirty(page) { return false }
    return true
}

/// Linux v5.13, mm/mprotect.c, change_pmd_range(), with change_pud_range() and the levels above it folded
/// into it.
private func change_pmd_range(
    _ vma: vm_area_struct, _ start: UInt, _ end: UInt, _ newprot: UInt, _ cp_flags: UInt
) -> UInt {
    var range = mmu_notifier_range(
        vma: vma, mm: vma.vm_mm, start: 0, end: end, event: MMU_NOTIFY_PROTECTION_VMA.rawValue)
    var pages: UInt = 0
    var address = start
    while address != end {
        let next = pmd_addr_end(address, end)
        let pmd = pmd_offset(vma.vm_mm, address)
        if change_pmd_prepare(vma, pmd, cp_flags) != 0 {
            pages = UInt(bitPattern: -Int(ENOMEM))
            break
        }
        // One look for all checks: it may change below us.
        yield_point("pmd")
        if !pmd_none(pmd.pointee) {
            // Secondary MMUs hear of it once there is something to change.
            if range.start == 0 {
                range.start = address
                ops.mmu_notifier_invalidate_range_start(&range)
            }
            let changed = change_pmd(vma, pmd, address, next, newprot, cp_flags)
            // From v6.5 on: the page table has gone meanwhile.
            if changed == -Int(EAGAIN) { continue }
            if changed < 0 {
                pages = UInt(bitPattern: changed)
                break
            }
            pages += UInt(changed)
        }
        address = next
    }
    if range.start != 0 { ops.mmu_notifier_invalidate_range_end(&range) }
    return pages
}

/// Write protection of what a file maps needs ptes, for markers.
/// Linux v5.19, mm/mprotect.c, uffd_wp_protect_file(); pgtable_split_needed() of v6.5.
private func uffd_wp_protect_file(_ vma: vm_area_struct, _ cp_flags: UInt) -> Bool {
    cp_flags & MM_CP_UFFD_WP != 0 && !vma_is_anonymous(vma)
}

/// Linux v6.5, mm/mprotect.c, change_pmd_prepare(): until v6.3 a lack of memory goes unreported.
private func change_pmd_prepare(_ vma: vm_area_struct, _ pmd: UnsafeMutablePointer<pmd_t>, _ cp_flags: UInt) -> Int32 {
    uffd_wp_protect_file(vma, cp_flags) ? ops.pte_alloc(vma.vm_mm, pmd) : 0
}

/// One pmd, huge or not: a part of change_pmd_range(), whose name its yield point carries.
private func change_pmd(
    _ vma: vm_area_struct, _ pmd: UnsafeMutablePointer<pmd_t>, _ address: UInt, _ next: UInt, _ newprot: UInt,
    _ cp_flags: UInt
) -> Int {
    yield_point("pmd", "change_pmd_range")
    if is_swap_pmd(pmd.pointee) || pmd_trans_huge(pmd.pointee) {
        if next - address != PMD_SIZE() || uffd_wp_protect_file(vma, cp_flags) {
            ops.__split_huge_pmd(vma, pmd, address, false, nil)
            // A file's pmd is empty after that.
            if change_pmd_prepare(vma, pmd, cp_flags) != 0 { return -Int(ENOMEM) }
        } else {
            let nr_ptes = Int(ops.change_huge_pmd(vma, pmd, address, newprot, cp_flags))
            if nr_ptes != 0 { return nr_ptes == hpage_pmd_nr ? nr_ptes : 0 }
        }
        // It has been split.
    }
    return change_pte_range(vma, pmd, address, next, newprot, cp_flags)
}

/// Linux v5.13, mm/mprotect.c, change_protection(), change_protection_range().
private func change_protection(
    _ vma: vm_area_struct, _ start: UInt, _ end: UInt, _ newprot: UInt, _ cp_flags: UInt
) -> UInt {
    let mm = vma.vm_mm
    inc_tlb_flush_pending(mm)
    let pages = change_pmd_range(vma, start, end, newprot, cp_flags)
    if pages != 0 { flush_tlb_range(vma, start, end) }
    dec_tlb_flush_pending(mm)
    return pages
}

/// Linux v5.13, include/linux/mm_types.h, inc_tlb_flush_pending().
private func inc_tlb_flush_pending(_ mm: mm_struct) {
    yield_point("tlb_flush_pending", "change_protection_range")
    mm.tlb_flush_pending += 1
}

/// Linux v5.13, include/linux/mm_types.h, dec_tlb_flush_pending().
private func dec_tlb_flush_pending(_ mm: mm_struct) {
    yield_point("tlb_flush_pending", "change_protection_range")
    mm.tlb_flush_pending -= 1
}

// MARK: - mprotect(2)

/// Gives a part of one vma new flags; `prev` becomes the vma that covers it.
/// Linux v5.13, mm/mprotect.c, mprotect_fixup().
private func mprotect_fixup(
    _ area: vm_area_struct, _ prev: inout vm_area_struct?, _ start: UInt, _ end: UInt, _ newflags: UInt
) -> Int {
    var vma = area
    let mm = vma.vm_mm
    let oldflags = vma.vm_flags
    let nrpages = Int((end - start) >> UInt(PAGE_SHIFT))
    if newflags == oldflags {
        prev = vma
        return 0
    }
    let pgoff = vma.vm_pgoff + (start - vma.vm_start) >> UInt(PAGE_SHIFT)
    if let merged = ops.vma_merge(mm, prev, start, end, newflags, vma.anon_vma, vma.vm_file, pgoff) {
        vma = merged
        prev = vma
    } else {
        prev = vma
        if start != vma.vm_start {
            let error = ops.split_vma(mm, vma, start, true)
            if error != 0 { return Int(error) }
        }
        if end != vma.vm_end {
            let error = ops.split_vma(mm, vma, end, false)
            if error != 0 { return Int(error) }
        }
    }
    // mmap_lock is held for writing; rmap walks read the flags without it.
    vma_start_write(vma)
    yield_point("vm_flags")
    vma.vm_flags = newflags
    let cp_flags = ops.vma_wants_manual_pte_write_upgrade(vma) ? MM_CP_DIRTY_ACCT : 0
    _ = ops.change_protection(vma, start, end, vm_page_prot(vma), cp_flags)
    // What is locked must not fault when it is written: copy it now.
    if oldflags & (VM_WRITE | VM_SHARED | VM_LOCKED) == VM_LOCKED && newflags & VM_WRITE != 0 {
        _ = ops.populate_vma_page_range(vma, start, end, nil)
    }
    vm_stat_account(mm, oldflags, -nrpages)
    vm_stat_account(mm, newflags, nrpages)
    return 0
}

/// Linux v5.13, mm/mprotect.c, do_mprotect_pkey().
private func do_mprotect(_ start: UInt, _ length: UInt, _ prot: UInt) -> Int {
    if offset_in_page(start) != 0 { return -Int(EINVAL) }
    if length == 0 { return 0 }
    let len = PAGE_ALIGN(length)
    let end = start &+ len
    if end <= start { return -Int(ENOMEM) }
    if prot & ~(PROT_READ | PROT_WRITE | PROT_EXEC) != 0 { return -Int(EINVAL) }
    let mm = current.mm!
    down_write(mm.mmap_lock)
    let error = mprotect_range(mm, start, end, prot)
    mmap_write_unlock(mm)
    return error
}

/// The vmas of the range one by one: the part of do_mprotect_pkey() under mmap_lock.
private func mprotect_range(_ mm: mm_struct, _ start: UInt, _ end: UInt, _ prot: UInt) -> Int {
    guard var vma = ops.find_vma(mm, start), vma.vm_start <= start else { return -Int(ENOMEM) }
    var prev = start > vma.vm_start ? vma : vma.vm_prev
    var nstart = start
    while true {
        let newflags = calc_vm_prot_bits(prot) | vma.vm_flags & ~VM_ACCESS_FLAGS
        // VM_MAYREAD and its like are the access flags four bits up.
        if newflags & ~(newflags >> 4) & VM_ACCESS_FLAGS != 0 { return -Int(EACCES) }
        let part_end = min(vma.vm_end, end)
        let error = mprotect_fixup(vma, &prev, nstart, part_end, newflags)
        if error != 0 { return error }
        nstart = max(part_end, prev!.vm_end)
        if nstart >= end { return 0 }
        guard let next = prev!.vm_next, next.vm_start == nstart else { return -Int(ENOMEM) }
        vma = next
    }
}
