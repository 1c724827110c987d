// SPDX-License-Identifier: GPL-2.0-only
// The yield points that a run passes, by their names.

import CKernel
import Simulation
import Traces

/// A yield point that a task passed, as schedules name it.
struct PassedPlace: Equatable {
    var task, op: Int
    var function, label: String
    /// How often the task has passed it in this step, this time included.
    var occurrence: Int

    /// Whether the function is one that the pair changes.
    var isChanged = false

    var text: String { "t\(task) op \(op) \(function):\(label)" }

    /// Whether it is passed in the step in which a decision is taken.
    func isOfStep(of decision: Decision) -> Bool { task == decision.task && op == decision.op }

    /// Whether a decision is taken there.
    func isPlace(of decision: Decision) -> Bool {
        isOfStep(of: decision) && function == decision.function && label == decision.label
            && occurrence == decision.occurrence
    }
}

/// Keeps what a run does.
struct StepLog {
    init() {
        if scheduler.log == nil { scheduler.log = .allocate(capacity: Int(MAX_LOG_ENTRIES)) }
    }

    func record<Result>(_ run: () -> Result) -> Result {
        scheduler.nr_log = 0
        scheduler.logging = 1
        defer { scheduler.logging = 0 }
        return run()
    }

    /// The yield points that tasks passed, in order.
    func places() -> [PassedPlace] {
        /// For look-ups only.
        var counts: [[UInt16]: Int] = [:]
        return (0..<Int(scheduler.nr_log)).compactMap { number in
            let entry = scheduler.log![number]
            // The machine comes to rest in a task of its own.
            guard entry.kind == UInt8(LOG_STEP.rawValue), entry.task < kernel.nr_tasks else { return nil }
            let key = [UInt16(entry.task), entry.op, entry.yield_point]
            counts[key, default: 0] += 1
            let point = Int(entry.yield_point)
            return PassedPlace(
                task: Int(entry.task), op: Int(entry.op), function: yieldPointFunction(point),
                label: yieldPointLabel(point), occurrence: min(counts[key]!, mostOccurrences),
                isChanged: liesInChangedFunction(point))
        }
    }
}

/// Further ones are not told apart.
private let mostOccurrences = 255

/// Whether a yield point is in a function that the pair changes.
func liesInChangedFunction(_ point: Int) -> Bool { scheduler.name(point).pointee.changed != 0 }
