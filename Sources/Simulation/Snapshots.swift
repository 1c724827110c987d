// SPDX-License-Identifier: GPL-2.0-only
// Snapshots of a machine that is being explored: the used part of the arena and of each task's stack, one
// behind the other, so that going back is a copy.  Stacks stay at their addresses, so fibers go on from where
// they were.

import CFiber
import CKernel

/// A stack of snapshots of the machine in one arena.
final class Snapshots {
    /// Where a snapshot begins.
    struct Position {
        fileprivate var offset: Int
    }

    /// Address space; what is touched is bounded by the depth of a search, about 40 KiB a choice.
    private static let capacity = 1 << 32

    private let arena: Arena
    private let buffer: UnsafeMutableRawPointer
    private var end = 0

    init(of arena: Arena) {
        self.arena = arena
        guard let memory = memory_reserve(Snapshots.capacity) else { fatalError("no address space for snapshots") }
        buffer = memory
    }

    deinit {
        memory_release(buffer, Snapshots.capacity)
    }

    func removeAll() { end = 0 }

    /// Forgets this snapshot and all that were taken after it.
    func remove(from position: Position) { end = position.offset }

    /// Keeps the machine as it is now.
    func save() -> Position {
        let position = Position(offset: end)
        append(arena.base, arena.used)
        for number in 0..<Int(kernel.nr_tasks) {
            let task = kernel.task(number)
            guard task.state != UInt8(TASK_DONE.rawValue), let context = task.context else { continue }
            append(context, arena.stackTop(number) - context)
        }
        precondition(end < Snapshots.capacity - Arena.capacity * 2, "snapshots fill their address space")
        return position
    }

    /// The arena as it was.
    func arena(at position: Position) -> UnsafeRawPointer { UnsafeRawPointer(buffer + position.offset) }

    private func append(_ bytes: UnsafeMutableRawPointer, _ count: Int) {
        (buffer + end).copyMemory(from: bytes, byteCount: count)
        end += (count + 15) & ~15
    }

    /// Makes the machine what it was; what was kept later is forgotten, this snapshot is not.
    ///
    /// - Parameter keepingLater: unless this is said.
    func restore(_ position: Position, keepingLater: Bool = false) {
        let last = end
        defer { if keepingLater { end = last } }
        let header = unsafeBitCast(buffer + position.offset, to: kernel_state.self)
        end = position.offset
        take(arena.base, UnsafeMutableRawPointer(header.arena_end) - arena.base)
        for number in 0..<Int(kernel.nr_tasks) {
            let task = kernel.task(number)
            guard task.state != UInt8(TASK_DONE.rawValue), let context = task.context else { continue }
            take(context, arena.stackTop(number) - context)
        }
    }

    private func take(_ bytes: UnsafeMutableRawPointer, _ count: Int) {
        bytes.copyMemory(from: buffer + end, byteCount: count)
        end += (count + 15) & ~15
    }
}

/// Makes the machine in `arena` ready to run from its template, with an explorer to decide who goes on.
///
/// - Parameter stepwise: ask it at each yield point, even where nobody else could run, and when nobody can go on.
func startExploration(_ arena: Arena, stepwise: Bool = false) {
    kernel = arena.root
    arena.reset()
    Strategy.external.install()
    scheduler.stepwise = stepwise ? 1 : 0
    kernel.interleaving = 1
    kernel.run_end = UInt8(RUN_GOES_ON.rawValue)
    startFibers(arena)
    scheduler.nr_decisions = 0
}
