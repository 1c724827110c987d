// SPDX-License-Identifier: GPL-2.0-only
// Shared virtual addressing: an IOMMU that walks the CPU's page tables for a device.
// Source: Linux v6.5, drivers/iommu/intel/svm.c, drivers/iommu/iommu-sva.c (v5.18: drivers/iommu/io-pgfault.c), and the
// Intel VT-d specification, 3.6 (first-stage translation) and 6.2 (its caches).
//
// Modelled: the IOTLB, the cache of what pmds led to, accessed and dirty bits in the CPU's entries, page requests,
// invalidations by range and the end of the mm.  A walk goes on from a cached page table without a look at the pmd,
// until it is told otherwise: neither RCU nor disabled interrupts hold a page table for it.
// Left out: more than one device an mm (they share the IOMMU's caches), unbinding, device TLBs (flushed with the
// IOTLB); huge translations are cached page by page, which the specification allows.

import CKernel
import Simulation

/// More page requests than this for one access are a livelock.
private let MAX_PAGE_REQUESTS = 64

// MARK: - Binding

/// Linux v6.5, drivers/iommu/iommu-sva.c, iommu_sva_bind_device(); drivers/iommu/intel/svm.c, intel_svm_bind_mm();
/// mm/mmu_notifier.c, __mmu_notifier_register().  A second bond shares what the first one made.
func iommu_sva_bind_device(_ mm: mm_struct) -> Int {
    down_write(mm.mmap_lock)
    defer { mmap_write_unlock(mm) }
    if mm.intel_svm != nil { return 0 }
    let slot = kernel.intel_svm_slot(Int(mm.number))!
    let svm = slot.pointee ?? unsafeBitCast(arenaAllocate(sizeof_intel_svm()), to: intel_svm.self)
    slot.pointee = svm
    mm_take_all_locks(mm)
    mm.intel_svm = svm
    svm.mm = mm
    return 0
}

/// Cuts the device off before the address space is torn down.
/// Linux v6.5, drivers/iommu/intel/svm.c, intel_mm_release().
func intel_mm_release(_ svm: intel_svm) {
    yield_point("pasid")
    svm.mm = nil
    flush(svm, 0, UInt.max)
}

// MARK: - Invalidation

/// Linux v6.5, drivers/iommu/intel/svm.c, intel_invalidate_range(): it returns when no walk or access that began
/// before is left.  Whoever calls it may hold a page table lock.
func intel_invalidate_range(_ svm: intel_svm, _ start: UInt, _ end: UInt) {
    yield_point("iotlb")
    flush(svm, start, end)
}

/// Drops the translations of [start, end), and the page tables that were found on the way to them.  An empty range,
/// as a nested mmu_gather asks for, drops nothing.
private func flush(_ svm: intel_svm, _ start: UInt, _ end: UInt) {
    for index in 0..<Int(IOTLB_ENTRIES) {
        let entry = svm.entry(index)
        if entry.pointee.address >= start && entry.pointee.address < end { entry.pointee = iotlb_entry() }
    }
    for index in 0..<Int(kernel.ptrs_per_pmd) {
        let address = UInt(index) << PMD_SHIFT()
        if address < end && start < address + PMD_SIZE() && start < end { svm.table(index).pointee = nil }
    }
}

// MARK: - Accesses

/// Loads from, or stores to, the memory of the mm that the device is bound to.
///
/// - Returns: what was loaded or stored, or a negative errno.
func iommu_access(_ svm: intel_svm, _ address: UInt, write: Bool, token: UInt64) -> Int {
    guard address < TASK_SIZE() else { return -Int(EFAULT) }
    var requests = 0
    while requests < MAX_PAGE_REQUESTS {
        yield_point("iotlb")
        guard let mm = svm.mm else { return -Int(EFAULT) }
        if let page = cachedTranslation(svm, address, write) { return touch(mm, address, page, write, token) }
        if walk(svm, mm, address, write) { continue }
        let error = iommu_sva_handle_iopf(svm, mm, address, write)
        if error != 0 { return error }
        requests += 1
    }
    return -Int(EAGAIN)
}

/// One step with the look into the IOTLB: an invalidation waits for it.
private func touch(_ mm: mm_struct, _ address: UInt, _ page: page, _ write: Bool, _ token: UInt64) -> Int {
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

/// A step of the walk, which may end with a translation in the IOTLB.  False: a page request is needed.
private func walk(_ svm: intel_svm, _ mm: mm_struct, _ address: UInt, _ write: Bool) -> Bool {
    let upper = svm.table(Int(address >> PMD_SHIFT()))!
    guard upper.pointee != nil else {
        let pmdp = pmd_offset(mm, address)
        if pmd_is_table(pmdp.pointee) {
            upper.pointee = pmd_page_table(pmdp.pointee)
            return true
        }
        guard permits(pmdp.pointee.pmd, write) else { return false }
        pmdp.pointee.pmd |= accessBits(write)
        let offset = (address & ~PMD_MASK()) >> UInt(PAGE_SHIFT)
        let flags = pmdp.pointee.pmd & UInt(_PAGE_PRESENT | _PAGE_RW | _PAGE_DIRTY)
        cacheTranslation(svm, address, pfn_pte(pmd_pfn(pmdp.pointee) + offset, flags))
        return true
    }
    yield_point("pte")
    // Flushed meanwhile, or cut off: the walk begins anew.
    guard let table = upper.pointee else { return true }
    if !isLive(CACHE_page_table, KernelModel.address(table)) {
        reportViolation(VIOLATION_freed_reachable, UInt(CACHE_page_table.rawValue), address)
        return false
    }
    let ptep = page_table_pte(table, address)
    guard permits(ptep.pointee.pte, write) else { return false }
    ptep.pointee.pte |= accessBits(write)
    cacheTranslation(svm, address, ptep.pointee)
    return true
}

private func permits(_ entry: UInt, _ write: Bool) -> Bool {
    entry & UInt(_PAGE_PRESENT) != 0 && (!write || entry & UInt(_PAGE_RW) != 0)
}

private func accessBits(_ write: Bool) -> UInt {
    UInt(_PAGE_ACCESSED) | (write ? UInt(_PAGE_DIRTY) : 0)
}

// MARK: - The IOTLB

private func slot(_ svm: intel_svm, _ address: UInt) -> UnsafeMutablePointer<iotlb_entry> {
    svm.entry(Int(address >> UInt(PAGE_SHIFT)) % Int(IOTLB_ENTRIES))
}

private func cacheTranslation(_ svm: intel_svm, _ address: UInt, _ pte: pte_t) {
    slot(svm, address).pointee = iotlb_entry(address: address & PAGE_MASK, pte: pte)
}

/// What does not allow the access, or a write through a clean entry, needs a new walk.
private func cachedTranslation(_ svm: intel_svm, _ address: UInt, _ write: Bool) -> page? {
    let entry = slot(svm, address)
    guard entry.pointee.pte.pte != 0, entry.pointee.address == address & PAGE_MASK else { return nil }
    if write && !(pte_write(entry.pointee.pte) && pte_dirty(entry.pointee.pte)) {
        entry.pointee = iotlb_entry()
        return nil
    }
    return pte_page(entry.pointee.pte)
}

// MARK: - Page requests

/// Linux v6.5, drivers/iommu/iommu-sva.c, iommu_sva_handle_iopf(): the fault keeps mmap_lock, since it does not allow a
/// retry.
private func iommu_sva_handle_iopf(_ svm: intel_svm, _ mm: mm_struct, _ address: UInt, _ write: Bool) -> Int {
    yield_point("mm_users", "mmget_not_zero")
    // The bond keeps the struct by mm_count; here the end of the bond tells as much, before the struct goes.
    guard svm.mm === mm, mm.mm_users > 0 else { return -Int(EFAULT) }
    mm.mm_users += 1
    down_read(mm.mmap_lock)
    var fault = VM_FAULT_SIGSEGV
    if let vma = ops.find_vma(mm, address), vma.vm_start <= address,
        vma.vm_flags & (write ? VM_WRITE : VM_READ) != 0
    {
        let flags = FAULT_FLAG_REMOTE | FAULT_FLAG_USER | (write ? FAULT_FLAG_WRITE : 0)
        fault = ops.handle_mm_fault(vma, address, flags)
    }
    up_read(mm.mmap_lock)
    ops.mmput(mm)
    return fault & VM_FAULT_ERROR != 0 ? -Int(EFAULT) : 0
}

// MARK: - Invariants

/// A page that goes back to the allocator must be in no IOTLB.
func checkNoTranslationOfIOMMU(_ page: page, _ nr_pages: Int) {
    let first = page_to_pfn(page)
    for number in 0..<Int(MAX_MMS) {
        guard let svm = kernel.intel_svm_slot(number)?.pointee, svm.mm != nil else { continue }
        for index in 0..<Int(IOTLB_ENTRIES) {
            let entry = svm.entry(index).pointee
            if entry.pte.pte != 0 && pte_pfn(entry.pte) >= first && pte_pfn(entry.pte) < first + UInt(nr_pages) {
                reportViolation(VIOLATION_stale_translation, entry.address, UInt(number))
            }
        }
    }
}

/// A page table that is given up, now or after a grace period, must be one that no IOMMU finds any more.
func checkNoIOMMUWalks(_ table: page_table) {
    for number in 0..<Int(MAX_MMS) {
        guard let svm = kernel.intel_svm_slot(number)?.pointee, svm.mm != nil else { continue }
        for index in 0..<Int(kernel.ptrs_per_pmd) where svm.table(index).pointee === table {
            reportViolation(VIOLATION_freed_reachable, UInt(CACHE_page_table.rawValue), UInt(number))
        }
    }
}
