// SPDX-License-Identifier: GPL-2.0-only
// A worker that does what the tests of WorkerPool ask for, good or bad, in the middle of a simulated run.

import CKernel
import Glibc
import KernelModel
import Processes
import Simulation

nonisolated(unsafe) private var misdeed = ""

@inline(never)
private func overflowTheStack(_ depth: Int) -> Int {
    withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 16) { memory in
        memory[depth % 4096] = 1
        return overflowTheStack(depth + 1) + Int(memory[0])
    }
}

/// Op 1 of task 1 goes wrong.
private func page_mlock(_ task: task_struct, _ op: UInt32) {
    yield_point("vm_flags")
    guard task.number == 1 && op == 1 else { return }
    switch misdeed {
    case "crash": UnsafeMutablePointer<Int>(bitPattern: 0x6b6b)!.pointee = 1
    case "trap": fatalError("what a trap says")
    case "overflow": exit(Int32(truncatingIfNeeded: overflowTheStack(0)))
    case "loop": while true {}
    case "die": kill(getpid(), SIGKILL)
    default: break
    }
}

private struct Complaint: Error, CustomStringConvertible {
    let description = "cannot do that"
}

private func simulate(_ deed: String) {
    misdeed = deed
    let arena = Arena(slot: 0)!
    let tasks = [TaskShape(process: 0, cpu: 0), TaskShape(process: 0, cpu: 1)]
    arena.boot(MachineShape(), tasks: tasks, operations: makeOperationsTable { _ in })
    arena.keepAsTemplate()
    scheduler.strategy = UInt8(STRATEGY_SEQUENTIAL.rawValue)
    scheduler.run_op = { task, op in
        guard op < 2 else { return false }
        page_mlock(task, op)
        return true
    }
    _ = runInterleaved(arena)
}

Worker.main { (worker: Worker, job: [String]) in
    for text in job {
        worker.begin("working on \(text)")
        switch text {
        case "fail": throw Complaint()
        case "many": for number in 0..<10_000 { try worker.send("\(number)") }
        case "crash", "trap", "overflow", "loop", "die": simulate(text)
        default: try worker.send(text.uppercased())
        }
    }
}
