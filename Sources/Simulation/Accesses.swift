// SPDX-License-Identifier: GPL-2.0-only
// Which memory of the arena a step reads and writes: what tells whether two steps may change places.  Only the second
// build knows: see CRecording.h.

import CKernel
import CRecording
import Dependence
import Glibc

/// Whether this build knows what its steps read and write.
public var recordsAccesses: Bool { accesses_are_recorded() }

/// For each task a hash of all that it has read since its op began, with where it lay.  Its local variables, and so what it
/// does next, are a function of that, of the op, and of the memory that it reads next.
struct TaskReads {
    private var hashes = SIMD8<UInt64>()

    subscript(number: Int) -> UInt64 { hashes[number] }

    /// Adds what `task` has read in the recording that has just ended; it began in that op.
    mutating func add(_ task: task_struct, since op: UInt16) {
        let number = Int(task.number)
        hashes[number] = task.op == op ? mix(hashes[number] ^ recorded_reads()) : recorded_reads()
    }
}

/// A hash of the machine in `arena`, to which the recording is attached: of all memory by which anything is decided.
public func stateHash(_ arena: Arena) -> UInt64 {
    for number in 0..<Int(kernel.nr_tasks) { clearUnusedFrame(kernel.task(number)) }
    return recording_state_hash(arena.used)
}

/// What is left above the frames in use is garbage.
func clearUnusedFrame(_ task: task_struct) {
    let used = Int(task.frame_used)
    memset(task.frame_byte(used), 0, Int(FRAME_BYTES) - used)
}

/// Makes recordings be of the machine in `arena`, which runs.
public func attachRecording(_ arena: Arena) {
    recording_attach(arena.base)
    var number: UInt32 = 0
    while let start = bookkeeping(number).start {
        recording_leave_out(start, bookkeeping(number).size, bookkeeping(number).of_state)
        number += 1
    }
}

/// Lets `task` go on, and tells what it has done.
///
/// - Parameter beginning: what the step had done before, if this is not its beginning.
func recordedStep(of task: task_struct, after beginning: Footprint? = nil) -> Footprint {
    let number = Int(task.number)
    if beginning == nil { startRecording(number) } else { recording_start() }
    resume(number)
    recording_stop()
    var footprint = Footprint(of: number, endsRun: kernel.run_end != UInt8(RUN_GOES_ON.rawValue))
    if let beginning { footprint.formUnion(beginning) }
    return footprint
}

/// What keeps a task from going on.
func recordedWait(_ number: Int) -> Footprint {
    startRecording(number)
    recording_stop()
    return Footprint(of: number, endsRun: false)
}

/// Begins the recording of a step of task `number`.  What let the task go on is part of it: whoever changes that
/// must not change places with the step.
private func startRecording(_ number: Int) {
    recording_start()
    _ = isRunnable(kernel.task(number))
}
