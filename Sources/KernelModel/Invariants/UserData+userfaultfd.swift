// SPDX-License-Identifier: GPL-2.0-only
// Invariant 1, pages that userfaultfd filled; invariant 6, write protection: from the time UFFDIO_WRITEPROTECT has
// returned, and until a call begins that takes the protection away, no store to a page happens, since each one is a
// fault that waits.  The protection lies in page table entries and markers, so one that vanished shows here.
//
// It goes legally with munmap, mremap, MADV_DONTNEED and MADV_FREE, when the file loses the page, with UFFDIO_UNREGISTER
// and close; and a child does not have it.

import CKernel
import Simulation

// MARK: - Filling

/// The current task's UFFDIO_COPY or UFFDIO_ZEROPAGE of the whole range is done: page n holds `token` + n, or zeros.
func userDataFilled(_ mm: mm_struct, _ start: UInt, _ len: UInt, _ token: UInt64) {
    guard let vma = ops.find_vma(mm, start), vma.vm_start <= start, vma.vm_flags & VM_SHARED == 0 else { return }
    let data = kernel.data_of(Int(mm.number))
    let mine = kernel.data_change(Int(current.number)).pointee
    let settled = userPages(start, len) & ~(mine.raced | mine.unprotected)
    data.pointee.checked |= settled
    data.pointee.known |= settled
    if vma.vm_file != nil { data.pointee.filled |= settled }
    for page in 0..<len >> UInt(PAGE_SHIFT) {
        let address = start + page << UInt(PAGE_SHIFT)
        if settled & pageBit(address) != 0 { setExpected(mm, address, token == 0 ? 0 : token + UInt64(page)) }
    }
}

/// Private copies of a file's pages that are judged no more.
func forgetFilledPages(_ data: UnsafeMutablePointer<user_data>, _ pages: UInt64) {
    let forgotten = data.pointee.filled & pages
    data.pointee.checked &= ~forgotten
    data.pointee.known &= ~forgotten
    data.pointee.filled &= ~forgotten
}

/// The file loses pages: private copies may go with them, and so does what protects them.  Call it when that begins and
/// when it has ended.
func userDataFileShrinks(_ mapping: address_space) {
    for number in 0..<Int(MAX_MMS) {
        guard let mm = kernel.mm_slot(number).pointee else { continue }
        var pages: UInt64 = 0
        var next = mm.mmap
        while let vma = next {
            if vma.vm_file === mapping { pages |= userPages(vma.vm_start, vma.vm_end - vma.vm_start) }
            next = vma.vm_next
        }
        let data = kernel.data_of(number)
        forgetFilledPages(data, pages)
        data.pointee.write_protected &= ~pages
        for task in 0..<Int(MAX_TASKS) {
            let change = kernel.data_change(task)
            guard concerns(change, number) else { continue }
            change.pointee.unprotected |= pages
        }
    }
}

// MARK: - Write protection

/// The current task's call has protected a range: of anonymous memory only what was there.
func writeProtected(_ mm: mm_struct, _ start: UInt, _ len: UInt) {
    let unprotected = kernel.data_change(Int(current.number)).pointee.unprotected
    for address in stride(from: start, to: start + len, by: Int(PAGE_SIZE)) {
        guard let vma = ops.find_vma(mm, address), vma.vm_start <= address, userfaultfd_wp(vma),
            vma.vm_file != nil || isWriteProtected(mm, address)
        else { continue }
        kernel.data_of(Int(mm.number)).pointee.write_protected |= pageBit(address) & ~unprotected
    }
}

private func isWriteProtected(_ mm: mm_struct, _ address: UInt) -> Bool {
    let pmd = pmd_offset(mm, address)
    guard pmd_is_table(pmd.pointee) else { return !pmd_none(pmd.pointee) && pmd_uffd_wp(pmd.pointee) }
    return pte_uffd_wp(pte_offset_map(pmd, address).pointee)
}

/// A store to a protected page has happened.
func reportLostProtection(_ mm: mm_struct, _ address: UInt, _ bit: UInt64) {
    kernel.data_of(Int(mm.number)).pointee.write_protected &= ~bit
    reportViolation(VIOLATION_lost_entry, address, UInt(mm.number))
}
