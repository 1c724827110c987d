// SPDX-License-Identifier: GPL-2.0-only
// What the kernel keeps on its stack and links into lists: list heads and batches of pages.  A Swift
// local has no lasting address, so each task has a few bytes in the arena that are used like a stack:
//
//     let page_list = LIST_HEAD()
//     defer { leaveFrame(page_list) }

import CKernel
import Simulation

/// An empty list head, good until `leaveFrame(_:)`.
public func LIST_HEAD() -> list_head {
    let list = unsafeBitCast(frameBytes(MemoryLayout<UInt>.size * 2), to: list_head.self)
    INIT_LIST_HEAD(list)
    return list
}

/// An empty batch of pages, good until `leaveFrame(_:)` (pagevec_init()).
public func pagevec_init() -> pagevec {
    unsafeBitCast(frameBytes(sizeof_pagevec()), to: pagevec.self)
}

/// An empty batch of page cache entries, good until `leaveFrame(_:)`.
public func entry_batch_init() -> entry_batch {
    unsafeBitCast(frameBytes(sizeof_entry_batch()), to: entry_batch.self)
}

/// Gives back this object and all that were made after it.
public func leaveFrame<Object: KernelObject>(_ first: Object) {
    let task = current
    let offset = address(first) - UnsafeMutableRawPointer(task.frame_byte(0))
    let size = Int(task.frame_used) - offset
    address(first).initializeMemory(as: UInt8.self, repeating: 0, count: size)
    task.frame_used = UInt16(offset)
}

private func frameBytes(_ size: Int) -> UnsafeMutableRawPointer {
    let task = current
    let offset = Int(task.frame_used)
    precondition(offset + size <= Int(FRAME_BYTES), "more than \(FRAME_BYTES) bytes of list heads and batches")
    task.frame_used += UInt16(size)
    return UnsafeMutableRawPointer(task.frame_byte(offset))
}
