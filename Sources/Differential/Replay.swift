// SPDX-License-Identifier: GPL-2.0-only
// One execution told step by step.

import CKernel
import KernelModel
import Simulation
import Traces
import VariantKit

/// What happened in one execution, in the order of time.
public struct Replay: Codable, Sendable {
    public struct Line: Codable, Sendable {
        public enum Kind: String, Codable, Sendable {
            case opStart, opEnd, yieldPoint, event, violation
        }

        public var task: Int
        public var kind: Kind
        public var text: String
        /// Whether another task ran before.
        public var isSwitch: Bool
    }

    /// `t0 p1 cpu 0`, in the order of the tasks.
    public var tasks: [String]
    public var lines: [Line]
    /// The schedule in words.
    public var story: [String]
    public var end: String
    public var broken: [BrokenInvariant]
    /// The results of all calls and the state at rest.
    public var state: [String]

    /// Runs `trace` on `variant` under its schedule; nil if its set-up does not run.
    public init?(_ trace: Trace, on variant: Variant, vocabulary: Vocabulary) throws {
        let machine = try Machine(variant, slot: 0)
        let compiled = try CompiledTrace(trace, vocabulary)
        markChangedFunctions(variant.changedFunctions)
        guard machine.load(compiled) == RUN_COMPLETE else { return nil }
        CompiledSchedule(trace.schedule ?? Schedule()).install()
        let log = StepLog()
        let detail = log.record { RunDetail(running: machine) }
        tasks = trace.tasks.enumerated().map { "t\($0) \($1.performer.name) cpu \($1.cpu)" }
        lines = Replay.lines(trace)
        let isComplete = detail.outcome.end == UInt8(RUN_COMPLETE.rawValue)
        story =
            Story(trace, detail.schedule, log.places(), end: isComplete ? nil : endName(detail.outcome.end)).clauses
        end = endName(detail.outcome.end)
        broken = detail.broken
        state = detail.tree.children.flatMap { $0.lines() }
    }

    private static func lines(_ trace: Trace) -> [Line] {
        var lines: [Line] = []
        for number in 0..<Int(scheduler.nr_log) {
            let entry = scheduler.log![number]
            // The machine comes to rest in a task of its own.
            guard Int(entry.task) < trace.tasks.count, let (kind, text) = told(entry, trace) else { continue }
            let isSwitch = lines.last.map { $0.task != Int(entry.task) } ?? false
            lines.append(Line(task: Int(entry.task), kind: kind, text: text, isSwitch: isSwitch))
        }
        return lines
    }

    private static func told(_ entry: log_entry, _ trace: Trace) -> (Line.Kind, String)? {
        switch log_kind(UInt32(entry.kind)) {
        case LOG_OP_START:
            let steps = trace.tasks[Int(entry.task)].steps
            guard Int(entry.op) < steps.count else { return nil }
            return (.opStart, "op \(entry.op) \(steps[Int(entry.op)])")
        case LOG_OP_END: return (.opEnd, "op \(entry.op) = \(Int64(bitPattern: entry.value))")
        case LOG_MOVE: return (.event, "goes on on cpu \(entry.cpu)")
        case LOG_STEP: return (.yieldPoint, yieldPointName(Int(entry.yield_point)))
        // Locks and visits are told by their yield points.
        case LOG_EVENT where UInt32(entry.event) < EVENT_lock.rawValue:
            return (.event, String(cString: event_kind_name(UInt32(entry.event))!))
        case LOG_VIOLATION:
            return (.violation, invariants.first { $0.kind == UInt32(entry.event) }?.name ?? "violation")
        default: return nil
        }
    }
}

extension Performer {
    fileprivate var name: String {
        switch self {
        case .process(let number): "p\(number)"
        case .kernel: "kernel"
        case .device: "device"
        }
    }
}

extension StateNode {
    /// The node and all below it, indented.
    func lines(depth: Int = 0) -> [String] {
        let own = String(repeating: "  ", count: depth) + (value.map { "\(name): \($0)" } ?? name)
        return [own] + children.flatMap { $0.lines(depth: depth + 1) }
    }
}
