// SPDX-License-Identifier: GPL-2.0-only
// A user's access to memory, as the hardware does it, and the page fault it may take.
// Source: Linux v5.13, arch/x86/mm/fault.c, do_user_addr_fault().
//
// Modelled: the TLB of the CPU first, then a walk that sets accessed and dirty bits, then the fault.
// Left out: instruction fetches, protection keys, faults of the kernel itself, stack expansion; the OOM killer:
// an access that finds no memory returns -ENOMEM where the kernel would kill a process and go on.

import CKernel
import Simulation

/// More faults than this on one access are a livelock.
private let MAX_FAULTS = 64

/// Loads from `address`, or stores `token` there.
///
/// - Returns: what was loaded or stored, or a negative errno: -EFAULT for SIGSEGV and SIGBUS.
func access_memory(_ mm: mm_struct, _ address: UInt, write: Bool, token: UInt64) -> Int {
    guard address < TASK_SIZE() else { return -Int(EFAULT) }
    var faults = 0
    while faults < MAX_FAULTS {
        // The mm is loaded on this CPU (switch_mm()).
        mm.cpu_bitmap |= 1 << current.cpu
        yield_point("tlb")
        if let page = translate(mm, address, write) {
            return touch(mm, address, page, write, token)
        }
        if hardware_walk(mm, address, write) { continue }
        let error = do_user_addr_fault(mm, address, write)
        if error != 0 { return error }
        faults += 1
    }
    return -Int(EAGAIN)
}

// MARK: - The hardware

/// What this CPU's TLB says, be it stale.  An entry that does not allow the access, or a store through a clean
/// one, needs a new walk.
private func translate(_ mm: mm_struct, _ address: UInt, _ write: Bool) -> page? {
    guard let entry = translation(this_cpu, mm, address) else { return nil }
    let pte = entry.pointee.pte
    guard !write || pte_write(pte) && pte_dirty(pte) else {
        entry.pointee = tlb_entry()
        return nil
    }
    return translatedPage(entry, address)
}

/// The load or store itself: one step with the look into the TLB, since a flush waits for the instruction.
private func touch(_ mm: mm_struct, _ address: UInt, _ page: page, _ write: Bool, _ token: UInt64) -> Int {
    noteCost(EVENT_access, UInt(mm.number) << 32 | address >> UInt(PAGE_SHIFT), 1)
    // Reclaim keeps pages without a reference until the TLBs are flushed: what must not be used is a free page.
    if page.free_state != UInt8(PAGE_in_use.rawValue) {
        reportViolation(VIOLATION_stale_translation, address, UInt(mm.number))
    }
    if write {
        page.contents = token
        userDataStored(mm, address, token)
    } else {
        userDataLoaded(mm, address, page.contents)
    }
    return Int(truncatingIfNeeded: page.contents & UInt64(Int.max))
}

/// Walks the page table in one step: sets the accessed bit, for a store the dirty bit, and fills the TLB.
///
/// - Returns: false for a page fault.
private func hardware_walk(_ mm: mm_struct, _ address: UInt, _ write: Bool) -> Bool {
    let pmdp = pmd_offset(mm, address)
    let pmd = pmdp.pointee
    if pmd_is_table(pmd) {
        let table = pmd_page_table(pmd)
        if !isLive(CACHE_page_table, unsafeBitCast(table, to: UnsafeMutableRawPointer.self)) {
            reportViolation(VIOLATION_freed_reachable, UInt(CACHE_page_table.rawValue), address)
            return false
        }
        let ptep = page_table_pte(table, address)
        guard permits(ptep.pointee.pte, write) else { return false }
        ptep.pointee.pte |= UInt(_PAGE_ACCESSED) | (write ? UInt(_PAGE_DIRTY) : 0)
        fillTranslation(this_cpu, mm, address, ptep.pointee, huge: false)
    } else {
        guard permits(pmd.pmd, write) else { return false }
        pmdp.pointee.pmd |= UInt(_PAGE_ACCESSED) | (write ? UInt(_PAGE_DIRTY) : 0)
        fillTranslation(this_cpu, mm, address, __pte(pmdp.pointee.pmd), huge: true)
    }
    return true
}

private func permits(_ entry: UInt, _ write: Bool) -> Bool {
    entry & UInt(_PAGE_PRESENT) != 0 && (!write || entry & UInt(_PAGE_RW) != 0)
}

// MARK: - The fault

/// Linux v5.13, arch/x86/mm/fault.c, do_user_addr_fault().
///
/// - Returns: 0 when the access is to be tried again.
private func do_user_addr_fault(_ mm: mm_struct, _ address: UInt, _ write: Bool) -> Int {
    var flags = FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_USER | (write ? FAULT_FLAG_WRITE : 0)
    // From v6.4 on.
    if let vma = ops.lock_vma_under_rcu(mm, address) {
        let fault =
            access_error(vma, write) ? VM_FAULT_RETRY : ops.handle_mm_fault(vma, address, flags | FAULT_FLAG_VMA_LOCK)
        ops.vma_end_read(vma)
        if fault & VM_FAULT_RETRY == 0 { return fault_result(fault) }
    }
    while true {
        down_read(mm.mmap_lock)
        guard let vma = ops.find_vma(mm, address), vma.vm_start <= address, !access_error(vma, write) else {
            up_read(mm.mmap_lock)
            return -Int(EFAULT)
        }
        let fault = ops.handle_mm_fault(vma, address, flags)
        if fault & VM_FAULT_RETRY != 0 {
            // The mmap_lock has been dropped.
            if current.interrupted { return -Int(EINTR) }
            flags |= FAULT_FLAG_TRIED
            continue
        }
        up_read(mm.mmap_lock)
        return fault_result(fault)
    }
}

private func fault_result(_ fault: vm_fault_t) -> Int {
    if fault & VM_FAULT_OOM != 0 { return -Int(ENOMEM) }
    return fault & VM_FAULT_ERROR != 0 ? -Int(EFAULT) : 0
}

/// Linux v5.13, arch/x86/mm/fault.c, access_error().
private func access_error(_ vma: vm_area_struct, _ write: Bool) -> Bool {
    write ? vma.vm_flags & VM_WRITE == 0 : !vma_is_accessible(vma)
}
