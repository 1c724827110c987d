// SPDX-License-Identifier: GPL-2.0-only
// The fixed reference of the benchmarks: three fibers that do nothing but yield, and a copy of as much
// memory as a small machine has.  No kernel, no names, no decisions: what no model can be faster than.

import CFiber
import Glibc

/// Complete executions of three idle tasks from scratch.
final class BareFibers {
    /// Steps of an execution, as in the trials that the design rests on.
    private static let yieldsPerTask = 6
    private static let tasks = 3
    private static let stackSize = 64 << 10
    private static let arenaSize = 7_680

    private let stacks: UnsafeMutableRawPointer
    private let arena = UnsafeMutableRawPointer.allocate(byteCount: BareFibers.arenaSize, alignment: 64)
    private let template = UnsafeMutableRawPointer.allocate(byteCount: BareFibers.arenaSize, alignment: 64)

    init?() {
        guard let memory = memory_reserve(BareFibers.stackSize * BareFibers.tasks) else { return nil }
        stacks = memory
        memset(template, 0, BareFibers.arenaSize)
    }

    deinit {
        memory_release(stacks, BareFibers.stackSize * BareFibers.tasks)
        arena.deallocate()
        template.deallocate()
    }

    /// Runs one execution: each task in turn, until all are done.
    func execute() {
        memcpy(arena, template, BareFibers.arenaSize)
        withUnsafeTemporaryAllocation(of: fcontext_t?.self, capacity: BareFibers.tasks) { contexts in
            for task in 0..<BareFibers.tasks {
                let top = stacks + (task + 1) * BareFibers.stackSize
                contexts[task] = make_fcontext(top, BareFibers.stackSize, idleTask)
            }
            for _ in 0...BareFibers.yieldsPerTask {
                for task in 0..<BareFibers.tasks {
                    contexts[task] = jump_fcontext(contexts[task]!, nil).fctx
                }
            }
        }
    }
}

/// Yields for ever; the execution ends when it has yielded often enough.
private let idleTask: @convention(c) (transfer_t) -> Void = { transfer in
    var main = transfer.fctx
    while true { main = jump_fcontext(main!, nil).fctx }
}
