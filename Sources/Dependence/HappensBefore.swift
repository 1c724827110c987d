// SPDX-License-Identifier: GPL-2.0-only
// Which steps of an execution come before which in every order of it that does the same: those of one task, and those
// that touch the same memory, one of them writing.  And races: two steps that could also come the other way round.

import CRecording

/// The steps of an execution so far.  Step `n` was taken from node `n` of the search.
public final class HappensBefore {
    /// How many steps of each task come before, or are the step itself.
    private typealias Clock = SIMD8<UInt32>

    /// A step that might come before that of node `node`.
    public struct Race {
        public var node: Int
        /// The later step's.
        public var task: Int
        /// Tasks whose next step leads there: what comes between does not come after the earlier step.
        public var initials: UInt32
    }

    private struct Step {
        var task: Int
        var clock: Clock
        /// The clocks of all tasks before it.
        var before: [Clock]
        var firstRecord: Int
    }

    /// An access of the past.
    private struct Record {
        var word: UInt32
        var read, written: UInt8
        var step: Int32
        /// The access to the same word before it; -1: none.
        var previous: Int32
        /// The one before it that wrote.
        var previousWrite: Int32
    }

    private var steps: [Step] = []
    private var clocks: [Clock] = []
    private var records: [Record] = []
    /// Steps that may end the run: all others come before or after them.
    private var ends: [Int] = []
    /// By word, its last record, and its last that wrote; -1: none.
    private let latest: UnsafeMutablePointer<(record: Int32, write: Int32)>
    private static let words = Int(RECORDED_WORDS)

    public init() {
        latest = .allocate(capacity: HappensBefore.words)
        latest.initialize(repeating: (-1, -1), count: HappensBefore.words)
    }

    deinit {
        latest.deallocate()
    }

    @inline(never)
    public func reset(tasks: Int) {
        while !steps.isEmpty { removeLast() }
        clocks = Array(repeating: Clock(), count: tasks)
    }

    /// All steps to come are after all steps so far.
    @inline(never)
    public func joinAll() {
        let all = clocks.reduce(Clock()) { pointwiseMax($0, $1) }
        for task in clocks.indices { clocks[task] = all }
    }

    @inline(never)
    public func removeLast() {
        let step = steps.removeLast()
        clocks = step.before
        if ends.last == steps.count { ends.removeLast() }
        while records.count > step.firstRecord {
            let record = records.removeLast()
            latest[Int(record.word)] = (record.previous, record.previousWrite)
        }
    }

    /// Takes a step into the past.
    ///
    /// - Returns: its races with earlier ones.
    @inline(never)
    public func append(_ footprint: Footprint, enabledAt: (Int) -> UInt32) -> [Race] {
        let task = footprint.task
        var (clock, rivals) = meet(footprint, enabledAt: enabledAt)
        clock[task] += 1
        let found = races(of: task, clock, rivals, enabledAt: enabledAt)
        steps.append(Step(task: task, clock: clock, before: clocks, firstRecord: records.count))
        clocks[task] = clock
        if footprint.endsRun { ends.append(steps.count - 1) }
        for access in footprint.accesses {
            let word = Int(access >> 16)
            records.append(
                Record(
                    word: UInt32(word), read: UInt8(access >> 8 & 0xff), written: UInt8(access & 0xff),
                    step: Int32(steps.count - 1), previous: latest[word].record, previousWrite: latest[word].write))
            latest[word].record = Int32(records.count - 1)
            if access & 0xff != 0 { latest[word].write = latest[word].record }
        }
        return found
    }

    /// The races of a step that has not been taken.
    @inline(never)
    public func races(of footprint: Footprint, enabledAt: (Int) -> UInt32) -> [Race] {
        let (clock, rivals) = meet(footprint, enabledAt: enabledAt)
        return races(of: footprint.task, clock, rivals, enabledAt: enabledAt)
    }

    /// Whether step `first` comes before a step with that clock.
    private func comesBefore(_ first: Int, _ clock: Clock) -> Bool {
        steps[first].clock[steps[first].task] <= clock[steps[first].task]
    }

    /// All earlier steps that the step comes after, as a clock; and those of them that it comes after only for what
    /// itself does.
    private func meet(_ footprint: Footprint, enabledAt: (Int) -> UInt32) -> (clock: Clock, rivals: [Int]) {
        let task = footprint.task
        let before = clocks[task]
        var clock = before
        var rivals: [Int] = []
        if footprint.endsRun {
            // It comes after everything.
            var seen: UInt32 = 1 << UInt32(task)
            for step in steps.indices.reversed() where seen & 1 << UInt32(steps[step].task) == 0 {
                seen |= 1 << UInt32(steps[step].task)
                clock = pointwiseMax(clock, steps[step].clock)
                if !comesBefore(step, before) { rivals.append(step) }
            }
        } else if let end = ends.last, !comesBefore(end, before) {
            clock = pointwiseMax(clock, steps[end].clock)
            rivals.append(end)
        }
        for access in footprint.accesses {
            let (read, written) = (UInt8(access >> 8 & 0xff), UInt8(access & 0xff))
            // The bytes whose last write is yet to be found.
            var open = read | written
            // What only reads has nothing to do with other reads, of which there may be many.
            let last = latest[Int(access >> 16)]
            var number = written == 0 ? last.write : last.record
            while number >= 0 && open != 0 {
                let record = records[Int(number)]
                number = written == 0 ? record.previousWrite : record.previous
                guard open & (written & (record.read | record.written) | read & record.written) != 0 else { continue }
                let step = Int(record.step)
                if comesBefore(step, before) {
                    open &= ~record.written
                    continue
                }
                clock = pointwiseMax(clock, steps[step].clock)
                if !rivals.contains(step) { rivals.append(step) }
                // A step that only let this one go on hides those before it that kept it waiting.
                if enabledAt(step) & 1 << UInt32(task) != 0 { open &= ~record.written }
            }
        }
        return (clock, rivals)
    }

    private func races(of task: Int, _ clock: Clock, _ rivals: [Int], enabledAt: (Int) -> UInt32) -> [Race] {
        rivals.compactMap { rival in
            var initials: UInt32 = 0
            // A step that comes after one of a task comes after that task's first one, too.
            var firsts: [Int] = []
            var seen: UInt32 = 0
            var leads = enabledAt(rival) & 1 << UInt32(task) != 0
            for step in steps[(rival + 1)...].indices where !comesBefore(rival, steps[step].clock) {
                if comesBefore(step, clock) { leads = true }
                let own: UInt32 = 1 << UInt32(steps[step].task)
                guard seen & own == 0 else { continue }
                seen |= own
                if !firsts.contains(where: { comesBefore($0, steps[step].clock) }) { initials |= own }
                firsts.append(step)
            }
            // Otherwise it was the earlier step that let the later one go on.
            guard leads else { return nil }
            if !firsts.contains(where: { comesBefore($0, clock) }) { initials |= 1 << UInt32(task) }
            return Race(node: rival, task: task, initials: initials)
        }
    }
}
