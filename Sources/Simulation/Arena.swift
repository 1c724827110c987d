// SPDX-License-Identifier: GPL-2.0-only
// Memory of a simulated machine.  An arena slot lies at a fixed address, so that pointers inside it mean
// the same in every run, and a snapshot is a copy of the used part and of the used stacks.

import CFiber
import CKernel
import Glibc

/// One slot of memory for a whole simulated machine and the stacks of its tasks.
///
/// Slots lie at different addresses, so running one trace in two of them shows whether an outcome
/// depends on an address.  The prefix below the high-water mark is all that is ever copied.
public final class Arena {
    /// Bytes a machine may use: a bound on mistakes, far above what any machine shape needs.
    public static let capacity = 1 << 20
    /// Bytes of stack of each task: kernel code in a debug build used up to 20 KiB.
    public static let stackSize = 256 << 10
    public static let slots = 5

    private static let firstAddress: UInt = 0x7e00_0000_0000
    private static let slotSpacing: UInt = 0x1000_0000
    private static let stackSpacing = 0x10_0000

    public let slot: Int
    public let base: UnsafeMutableRawPointer
    private let stacks: UnsafeMutableRawPointer
    private var template: UnsafeMutableRawPointer?
    private var templateSize = 0
    private var filledWith: UInt8?

    /// Maps slot `slot`; nil if its addresses are taken, by another arena of this process for one.
    public init?(slot: Int) {
        precondition(slot < Arena.slots)
        self.slot = slot
        let address = Arena.firstAddress + UInt(slot) * Arena.slotSpacing
        guard let memory = fiber_map(UnsafeMutableRawPointer(bitPattern: address), Arena.capacity) else { return nil }
        base = memory
        stacks = UnsafeMutableRawPointer(bitPattern: address + 0x100_0000)!
        for task in 0...Int(MAX_TASKS) {
            guard fiber_map(stacks + task * Arena.stackSpacing, Arena.stackSize) != nil else { return nil }
        }
    }

    deinit {
        template?.deallocate()
        fiber_unmap(base, Arena.capacity)
        for task in 0...Int(MAX_TASKS) { fiber_unmap(stacks + task * Arena.stackSpacing, Arena.stackSize) }
    }

    /// The machine in this arena.
    public var root: kernel_state {
        unsafeBitCast(base, to: kernel_state.self)
    }

    /// Bytes in use: all that lies below the high-water mark.
    public var used: Int {
        UnsafeMutableRawPointer(root.arena_end) - base
    }

    func stackTop(_ task: Int) -> UnsafeMutableRawPointer {
        stacks + task * Arena.stackSpacing + Arena.stackSize
    }

    /// Empties the arena: all of it becomes zero, or `poison` where nothing has been allocated yet.
    public func clear(poison: UInt8 = 0) {
        // What lies above the high-water mark still holds the poison.
        memset(base, Int32(poison), poison == filledWith ? used : Arena.capacity)
        filledWith = poison
        let header = (sizeof_kernel_state() + 63) & ~63
        memset(base, 0, header)
        root.arena_end = (base + header).assumingMemoryBound(to: CChar.self)
        root.poison = poison
    }

    /// Takes the machine as it is now as what `reset()` goes back to.
    public func keepAsTemplate() {
        template?.deallocate()
        templateSize = used
        let copy = UnsafeMutableRawPointer.allocate(byteCount: templateSize, alignment: 64)
        copy.copyMemory(from: base, byteCount: templateSize)
        template = copy
    }

    /// Goes back to the template.
    @inline(__always)
    public func reset() {
        base.copyMemory(from: template!, byteCount: templateSize)
    }
}

/// Zeroed memory from the arena of the running machine, never given back.
public func arenaAllocate(_ size: Int, alignment: Int = 16) -> UnsafeMutableRawPointer {
    let end = UInt(bitPattern: kernel.arena_end)
    let start = (end + UInt(alignment) - 1) & ~UInt(alignment - 1)
    let memory = UnsafeMutableRawPointer(bitPattern: start)!
    memset(memory, 0, size)
    kernel.arena_end = (memory + size).assumingMemoryBound(to: CChar.self)
    return memory
}
