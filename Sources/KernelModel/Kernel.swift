// SPDX-License-Identifier: GPL-2.0-only
// The few words that let Swift code read like the kernel's: the table of operations, identity of kernel
// objects, list walks, the current task and CPU.

import CKernel
import Simulation

/// The functions of the kernel that runs.  Model code calls every function with external linkage, and
/// every one that a variant replaces, through this table.
@inline(__always)
public var ops: kernel_ops { kernel.ops }

@inline(__always)
public var current: task_struct { kernel.current }

/// A struct of the kernel, known by its address.
public protocol KernelObject {}

extension page: KernelObject {}
extension vm_area_struct: KernelObject {}
extension mm_struct: KernelObject {}
extension anon_vma: KernelObject {}
extension anon_vma_chain: KernelObject {}
extension address_space: KernelObject {}
extension page_table: KernelObject {}
extension list_head: KernelObject {}
extension spinlock: KernelObject {}
extension rw_semaphore: KernelObject {}
extension task_struct: KernelObject {}
extension per_cpu: KernelObject {}
extension pagevec: KernelObject {}
extension entry_batch: KernelObject {}
extension swap_info_struct: KernelObject {}
extension secondary_mmu: KernelObject {}
extension intel_svm: KernelObject {}
extension pglist_data: KernelObject {}
extension userfaultfd_ctx: KernelObject {}
extension khugepaged_mm_slot: KernelObject {}

@inline(__always)
public func === <Object: KernelObject>(a: Object?, b: Object?) -> Bool {
    unsafeBitCast(a, to: UInt.self) == unsafeBitCast(b, to: UInt.self)
}

@inline(__always)
public func !== <Object: KernelObject>(a: Object?, b: Object?) -> Bool {
    !(a === b)
}

/// The address of a kernel object, for the slab, for waits and for hashes within one arena.
@inline(__always)
public func address<Object: KernelObject>(_ object: Object) -> UnsafeMutableRawPointer {
    unsafeBitCast(object, to: UnsafeMutableRawPointer.self)
}

/// The per-CPU data of the CPU the current task runs on (this_cpu_ptr()).
@inline(__always)
public var this_cpu: per_cpu { kernel.cpu(Int(kernel.current.cpu)) }
