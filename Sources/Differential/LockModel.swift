// SPDX-License-Identifier: GPL-2.0-only
// A model as small as a model can be, by which searches are compared with those of other model checkers: three tasks
// that take a lock, touch what it protects and drop it, all in one step.  Step k of a task takes lock k modulo three.

import CKernel
import Simulation

/// The model, ready to be searched.
final class LockModel {
    static let tasks = 3
    static let locks = 3

    let arena: Arena

    /// - Parameter steps: of each task.
    init?(steps: Int) {
        guard let arena = Arena(slot: LockModel.slot) else { return nil }
        self.arena = arena
        arena.clear()
        kernel = arena.root
        kernel.simulation = simulationOperations
        kernel.step_limit = UInt32(LockModel.tasks * (steps + 1))
        kernel.nr_cpus = UInt8(LockModel.tasks)
        kernel.nr_tasks = UInt8(LockModel.tasks)
        kernel.cpus = unsafeBitCast(arenaAllocate(sizeof_per_cpu() * LockModel.tasks), to: per_cpu.self)
        kernel.tasks = unsafeBitCast(
            arenaAllocate(sizeof_task_struct() * (LockModel.tasks + 1), alignment: 64), to: task_struct.self)
        for number in 0..<LockModel.tasks {
            kernel.task(number).number = UInt8(number)
            kernel.task(number).cpu = UInt8(number)
        }
        LockModel.words = arenaAllocate(MemoryLayout<Int>.size * 2 * LockModel.locks)
            .assumingMemoryBound(to: Int.self)
        LockModel.steps = steps
        scheduler.run_op = { task, op in
            guard op == 0 else { return false }
            for step in 0..<LockModel.steps {
                if step > 0 { yield_point("step", "touch") }
                LockModel.touch(step % LockModel.locks, by: Int(task.number))
            }
            return true
        }
        arena.keepAsTemplate()
    }

    private static let slot = 3
    nonisolated(unsafe) private static var steps = 0
    /// The locks, and behind them what they protect.
    nonisolated(unsafe) private static var words = UnsafeMutablePointer<Int>(bitPattern: 8)!

    /// In one step, so nobody ever waits.
    private static func touch(_ lock: Int, by task: Int) {
        words[lock] = task + 1
        words[LockModel.locks + lock] += task
        words[lock] = 0
    }

    /// How many interleavings there are: (3k)! / (k!)^3.
    static func interleavings(steps: Int) -> Int {
        var count = 1
        for task in 1..<(tasks + 1) {
            // Each product of so many numbers in a row can be divided.
            for step in 1...max(steps, 1) { count = count * ((task - 1) * steps + step) / step }
        }
        return count
    }
}
