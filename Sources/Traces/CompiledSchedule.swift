// SPDX-License-Identifier: GPL-2.0-only
// From a schedule to the engine's list of decisions, and back.

import CKernel
import Simulation

/// A schedule in the form that the engine replays.
public final class CompiledSchedule {
    private let decisions: UnsafeMutableBufferPointer<decision>

    public init(_ schedule: Schedule) {
        var compiled: [decision] = []
        if let start = schedule.start { compiled.append(startDecision(start)) }
        // A place without a number is one that no run passes.
        compiled += schedule.decisions.compactMap { item in
            yieldPointNumber(named: item.function, item.label).map { decision(item, place: $0) }
        }
        decisions = .allocate(capacity: compiled.count)
        _ = decisions.initialize(from: compiled)
    }

    deinit {
        decisions.deallocate()
    }

    /// Makes the next runs take these decisions.
    public func install() {
        Strategy.replay.install()
        let count = min(decisions.count, Int(MAX_DECISIONS))
        if count > 0 { scheduler.replayed(0).update(from: decisions.baseAddress!, count: count) }
        scheduler.nr_replay = UInt32(count)
    }
}

extension Schedule {
    /// The decisions of the last run, which must have been recorded.
    ///
    /// - Parameter start: the task it started with.
    public init(recordedFrom start: Int) {
        self.init(
            start: start,
            decisions: (0..<Int(scheduler.nr_decisions)).map { Decision(scheduler.decision($0).pointee) })
    }
}

extension Decision {
    fileprivate init(_ recorded: decision) {
        let place = Int(recorded.yield_point)
        self.init(
            task: Int(recorded.task), op: Int(recorded.op), function: yieldPointFunction(place),
            label: yieldPointLabel(place), occurrence: Int(recorded.occurrence), forced: recorded.forced != 0,
            next: Int(recorded.next), cpu: recorded.cpu == 0 ? nil : Int(recorded.cpu) - 1)
    }
}

extension decision {
    fileprivate init(_ item: Decision, place: Int) {
        self.init(
            task: UInt8(item.task), next: UInt8(item.next), op: UInt16(item.op), yield_point: UInt16(place),
            occurrence: UInt16(item.occurrence), forced: item.forced ? 1 : 0,
            cpu: item.cpu.map { UInt8($0) + 1 } ?? 0)
    }
}

/// In the engine's list, a first decision for the task itself says who starts.
private func startDecision(_ task: Int) -> decision {
    decision(task: UInt8(task), next: UInt8(task), op: 0, yield_point: 0, occurrence: 0, forced: 0, cpu: 0)
}
