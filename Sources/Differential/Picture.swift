// SPDX-License-Identifier: GPL-2.0-only
// Both sides of a pair under one schedule, told in full: what a finding shows.

import CKernel
import KernelModel
import Simulation
import Traces
import VariantKit

struct Picture {
    let base: RunDetail
    let patched: RunDetail
    /// What each side did, for the levels `events` and `cost`.
    let events: (base: EventTally, patched: EventTally)
    /// Where the two executions first did something different.
    let firstDivergence: String?
    private let leavesOut: (String) -> Bool

    /// Runs the loaded trace under the schedule on both sides.
    init(_ pair: PairOfMachines, _ seed: ScheduleSeed) {
        self.init(pair) { seed.strategy().install() }
    }

    init(_ pair: PairOfMachines, _ schedule: Schedule) {
        let compiled = CompiledSchedule(schedule)
        self.init(pair) { compiled.install() }
    }

    private init(_ pair: PairOfMachines, installing install: () -> Void) {
        leavesOut = pair.leavesOut
        let log = StepLog()
        install()
        base = log.record { RunDetail(running: pair.base) }
        let steps = log.steps()
        let done = EventTally(ofLog: ())
        install()
        patched = log.record { RunDetail(running: pair.patched) }
        events = (done, EventTally(ofLog: ()))
        firstDivergence = Picture.divergence(steps, log.steps(), pair.base)
    }

    subscript(side: Side) -> RunDetail { side == .base ? base : patched }

    private func events(_ side: Side) -> EventTally { side == .base ? events.base : events.patched }

    func essence(_ side: Side) -> Outcome.Essence { self[side].outcome.essence }

    /// The level at which the sides differ, and what differs there.
    func subject(_ candidate: Candidate, _ likeness: Likeness) -> (level: String, subject: [String]) {
        if likeness.attempts != 0 {
            return ("attempts", events(candidate.side).endings(among: likeness.attempts))
        }
        if likeness.violations != 0 {
            return ("invariants", invariants.filter { likeness.violations & 1 << $0.kind != 0 }.map(\.name))
        }
        if let end = likeness.end { return ("invariants", [endName(end)]) }
        let fields = StateDifference(base.tree, patched.tree).fields.filter {
            !$0.hasPrefix("events.") && !leavesOut($0)
        }
        let results = fields.filter { $0.hasPrefix("results") }
        return results.isEmpty ? ("state", fields) : ("abi", results)
    }

    /// The results of calls that differ.
    var changedResults: [FieldChange] {
        StateDifference(base.tree, patched.tree).changes.filter { $0.field.hasPrefix("results") }
    }

    func finding(
        _ level: String, _ direction: Finding.Direction, _ subject: [String], _ settled: Settled, _ seed: ScheduleSeed
    ) -> Finding {
        var trace = settled.trace
        trace.schedule = settled.schedule
        return Finding(
            level: level, direction: direction, subject: subject,
            verdict: self[settled.side].waits.isEmpty ? .divergent : .deadlock, traces: 1, seed: seed,
            firstDivergence: firstDivergence, broken: self[settled.side].broken,
            difference: difference, trace: trace.description,
            effort: settled.effort, claim: nil)
    }

    /// The difference of the two states; of the results alone where one side cannot come to rest.
    private var difference: [String] {
        let unsettled = [Side.base, .patched].filter { self[$0].outcome.state == 0 }
        guard unsettled.count == 1 else { return StateDifference(base.tree, patched.tree).lines }
        let (before, after) = (base.tree.withoutState, patched.tree.withoutState)
        let side = unsettled[0] == .base ? "before" : "after"
        return StateDifference(before, after).lines + ["  \(side) the patch the machine does not come to rest"]
            + self[unsettled[0]].waits.map { "    " + $0 }
    }

    /// The first step that is not the same on both sides.
    private static func divergence(_ base: [Step], _ patched: [Step], _ machine: Machine) -> String? {
        let count = min(base.count, patched.count)
        guard
            let first = (0..<count).first(where: { base[$0] != patched[$0] })
                ?? (base.count == patched.count ? nil : count)
        else { return nil }
        guard first < patched.count else { return base[first].described + " (only before)" }
        guard first < base.count else { return patched[first].described + " (only after)" }
        return "\(base[first].described) before, \(patched[first].described) after"
    }
}

/// One yield point passed.
struct Step: Equatable {
    var task: Int
    var op: Int
    var place: String

    var described: String { "t\(task) op \(op) \(place)" }
}

/// Keeps the steps of a run.
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

    func steps() -> [Step] {
        (0..<Int(scheduler.nr_log)).map { scheduler.log![$0] }.filter { $0.kind == UInt8(LOG_STEP.rawValue) }.map {
            Step(task: Int($0.task), op: Int($0.op), place: yieldPointName(Int($0.yield_point)))
        }
    }
}

/// How a run ended, in a word.
func endName(_ end: UInt8) -> String {
    switch run_end(UInt32(end)) {
    case RUN_COMPLETE: "complete"
    case RUN_DEADLOCK: "deadlock"
    case RUN_STEP_LIMIT: "step-limit"
    case RUN_LIVELOCK: "livelock"
    case RUN_BUG: "bug"
    default: "unfinished"
    }
}

extension StateNode {
    /// The results and the events of a run, without what it left behind.
    fileprivate var withoutState: StateNode {
        var node = self
        node.children = children.filter { $0.name == "events" || $0.name.hasPrefix("results") }
        return node
    }
}
