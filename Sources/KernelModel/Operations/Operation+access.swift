// SPDX-License-Identifier: GPL-2.0-only
// What programs do to their memory by plain instructions, and devices by their own translations.

import CKernel
import Simulation

extension Operation {
    /// Loads the content of a page; -EFAULT for SIGSEGV and SIGBUS.
    static let read = Operation("read", .process, [Parameter("addr", .address)], weight: 10) {
        access_memory(current.mm!, UInt(bitPattern: $0[0]), write: false, token: 0)
    }

    static let write = Operation("write", .process, [Parameter("addr", .address)], weight: 10) {
        access_memory(current.mm!, UInt(bitPattern: $0[0]), write: true, token: newToken())
    }

    /// Lets a device mirror the process's memory.
    static let register_device = Operation("register_device", .process, weight: 1) { _ in
        secondary_mmu_register(current.mm!)
    }

    private static let mirrored = [Parameter("process", .process), Parameter("addr", .address)]

    static let device_read = Operation("device_read", .device, mirrored, weight: 6) {
        accessThroughDevice($0[0], UInt(bitPattern: $0[1]), write: false)
    }

    static let device_write = Operation("device_write", .device, mirrored, weight: 6) {
        accessThroughDevice($0[0], UInt(bitPattern: $0[1]), write: true)
    }

    /// Lets an IOMMU walk the process's page tables for a device (shared virtual addressing).
    static let sva_bind_device = Operation("sva_bind_device", .process, weight: 1) { _ in
        iommu_sva_bind_device(current.mm!)
    }

    static let sva_read = Operation("sva_read", .device, mirrored, weight: 6) {
        accessThroughIOMMU($0[0], UInt(bitPattern: $0[1]), write: false)
    }

    static let sva_write = Operation("sva_write", .device, mirrored, weight: 6) {
        accessThroughIOMMU($0[0], UInt(bitPattern: $0[1]), write: true)
    }
}

/// The device holds no reference to the mm: it is cut off when the address space ends.  -ESRCH if it never was let in.
private func accessThroughIOMMU(_ process: Int, _ address: UInt, write: Bool) -> Int {
    guard let svm = kernel.intel_svm_slot(process).pointee else { return -Int(ESRCH) }
    return iommu_access(svm, address, write: write, token: newToken())
}

/// The device keeps the mm alive while it faults (mmget_not_zero()); -ESRCH if there is none to mirror.
private func accessThroughDevice(_ process: Int, _ address: UInt, write: Bool) -> Int {
    yield_point("mm_users", "mmget_not_zero")
    guard let mm = kernel.mm_slot(process).pointee, mm.live, mm.mm_users > 0, let mmu = mm.notifier_subscriptions
    else { return -Int(ESRCH) }
    mm.mm_users += 1
    let result = secondary_mmu_access(mmu, mm, address, write: write, token: newToken())
    ops.mmput(mm)
    return result
}
