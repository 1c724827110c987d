// SPDX-License-Identifier: GPL-2.0-only
// Which memory of the arena a step reads and writes: what tells whether two steps may change places.  Only the second
// build knows: see CRecording.h.

import CKernel
import CRecording
import Glibc

/// Whether this build knows what its steps read and write.
public var recordsAccesses: Bool { accesses_are_recorded() }

/// What a step read and wrote.
struct Footprint: Equatable {
    /// By words of eight bytes, ascending: the word's number, the bytes read, the bytes written.
    private(set) var accesses: [UInt64] = []
    private(set) var task: Int
    /// It ended the run, so all that others had done by then, and had not, was part of what came of it.
    private(set) var endsRun = false

    /// The recording of a step of `task`.
    init(of task: Int, endsRun: Bool) {
        self.task = task
        self.endsRun = endsRun
        let count = recorded_count()
        accesses.reserveCapacity(count)
        for access in UnsafeBufferPointer(start: recorded_accesses(), count: count) {
            accesses.append(UInt64(access.word) << 16 | UInt64(access.read) << 8 | UInt64(access.written))
        }
        accesses.sort()
    }

    /// Whether one of two steps writes what the other reads or writes: then their order may matter.
    func conflicts(with other: Footprint) -> Bool {
        if endsRun || other.endsRun { return true }
        var (i, j) = (0, 0)
        while i < accesses.count && j < other.accesses.count {
            let (a, b) = (accesses[i], other.accesses[j])
            if a >> 16 == b >> 16 {
                if a & (b | b >> 8) & 0xff != 0 || b & (a >> 8) & 0xff != 0 { return true }
                i += 1
                j += 1
            } else if a < b {
                i += 1
            } else {
                j += 1
            }
        }
        return false
    }

    /// What it does that another one does not; nil if there is nothing.
    func exceeding(_ other: Footprint) -> Footprint? {
        var more = self
        more.endsRun = endsRun && !other.endsRun
        more.accesses.removeAll(keepingCapacity: true)
        var j = 0
        for access in accesses {
            while j < other.accesses.count && other.accesses[j] >> 16 < access >> 16 { j += 1 }
            let known = j < other.accesses.count && other.accesses[j] >> 16 == access >> 16 ? other.accesses[j] : 0
            let bytes = access & ~known & 0xffff
            if bytes != 0 { more.accesses.append(access & ~0xffff | bytes) }
        }
        return more.endsRun || !more.accesses.isEmpty ? more : nil
    }

    /// Adds what the same step did in another case of it, or in its beginning.
    mutating func formUnion(_ other: Footprint) {
        endsRun = endsRun || other.endsRun
        var union: [UInt64] = []
        union.reserveCapacity(accesses.count + other.accesses.count)
        var (i, j) = (0, 0)
        while i < accesses.count || j < other.accesses.count {
            let a = i < accesses.count ? accesses[i] : UInt64.max
            let b = j < other.accesses.count ? other.accesses[j] : UInt64.max
            if a >> 16 == b >> 16 {
                union.append(a | b)
                i += 1
                j += 1
            } else if a < b {
                union.append(a)
                i += 1
            } else {
                union.append(b)
                j += 1
            }
        }
        accesses = union
    }
}

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
