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
    /// The same of the set-ups; nil if they do the same, or if no claim asks.
    let setup: (base: EventTally, patched: EventTally)?
    /// Where the two executions first did something different.
    let firstDivergence: String?
    /// The yield points that each side passed.
    private let places: (base: [PassedPlace], patched: [PassedPlace])
    private let leavesOut: (String) -> Bool
    private let claims: [Claim]

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
        claims = pair.claims
        let isAsked = claims.contains { !$0.conditions.isEmpty }
        setup = isAsked && !pair.setupsDoTheSame(.cost) ? pair.setupTallies() : nil
        let log = StepLog()
        install()
        base = log.record { RunDetail(running: pair.base) }
        let before = log.places()
        let done = EventTally(ofLog: ())
        install()
        patched = log.record { RunDetail(running: pair.patched) }
        events = (done, EventTally(ofLog: ()))
        places = (before, log.places())
        firstDivergence = Picture.divergence(places.base, places.patched)
    }

    subscript(side: Side) -> RunDetail { side == .base ? base : patched }

    private func events(_ side: Side) -> EventTally { side == .base ? events.base : events.patched }

    func essence(_ side: Side) -> Outcome.Essence { self[side].outcome.essence }

    /// What the sides differ in, in the eyes of the one that has the outcome.
    func subject(_ side: Side, _ likeness: Likeness) -> Subject {
        let (level, names) = difference(side, likeness)
        return Subject(
            level: level, direction: side == .patched ? .new : .lost, names: names,
            isClaimed: claim(level, names) != nil, isDeadlock: !self[side].waits.isEmpty)
    }

    /// The claim that covers a difference of these two executions.
    fileprivate func claim(_ level: String, _ names: [String]) -> Claim? {
        switch Level(rawValue: level) {
        case .abi: claims.coveringResults(of: self)
        case .state: claims.coveringState(names, of: self)
        default: nil
        }
    }

    private func difference(_ side: Side, _ likeness: Likeness) -> (level: String, names: [String]) {
        if likeness.attempts != 0 { return ("attempts", events(side).endings(among: likeness.attempts)) }
        if likeness.violations != 0 {
            return ("invariants", invariants.filter { likeness.violations & 1 << $0.kind != 0 }.map(\.name))
        }
        if let end = likeness.end { return ("invariants", [endName(end)]) }
        let fields = stateDifference.fields.filter {
            !$0.hasPrefix("events.") && !leavesOut($0)
        }
        let results = fields.filter { $0.hasPrefix("results") }
        return results.isEmpty ? ("state", fields) : ("abi", results)
    }

    /// The fields that differ, and which way.
    var changes: [FieldChange] { stateDifference.changes }

    var stateDifference: StateDifference { StateDifference(base.tree, patched.tree) }

    func finding(_ settled: Settled, _ seed: ScheduleSeed) -> Finding {
        let witness = settled.witness
        return Finding(
            level: witness.subject.level, direction: witness.subject.direction, subject: witness.subject.names,
            verdict: self[witness.side].waits.isEmpty ? .divergent : .deadlock, traces: 1, seed: seed,
            firstDivergence: firstDivergence, broken: self[witness.side].broken, difference: difference,
            trace: witness.scheduled.description, effort: settled.effort, story: story(witness),
            preemptions: witness.schedule.preemptions, claim: nil)
    }

    /// One field, event or count that differs.
    func finding(
        _ level: Level, _ direction: Finding.Direction, _ name: String, _ difference: [String], _ trace: Trace,
        _ seed: ScheduleSeed, effort: String
    ) -> Finding {
        Finding(
            level: level.rawValue, direction: direction, subject: [name], verdict: .divergent, traces: 1, seed: seed,
            firstDivergence: firstDivergence, broken: [], difference: difference, trace: trace.description,
            effort: effort, claim: nil)
    }

    /// What the side that has the outcome does, in words.
    private func story(_ witness: Witness) -> [String] {
        let own = self[witness.side]
        return Story(
            witness.trace, own.schedule, witness.side == .base ? places.base : places.patched,
            end: own.outcome.end == UInt8(RUN_COMPLETE.rawValue) ? nil : endName(own.outcome.end)
        ).clauses
    }

    /// The difference of the two states; of the results alone where one side cannot come to rest.
    private var difference: [String] {
        let unsettled = [Side.base, .patched].filter { self[$0].outcome.state == 0 }
        guard unsettled.count == 1 else { return stateDifference.lines }
        let (before, after) = (base.tree.withoutState, patched.tree.withoutState)
        let side = unsettled[0] == .base ? "before" : "after"
        return StateDifference(before, after).lines + ["  \(side) the patch the machine does not come to rest"]
            + self[unsettled[0]].waits.map { "    " + $0 }
    }

    /// The first step that is not the same on both sides.
    private static func divergence(_ base: [PassedPlace], _ patched: [PassedPlace]) -> String? {
        let count = min(base.count, patched.count)
        guard
            let first = (0..<count).first(where: { base[$0] != patched[$0] })
                ?? (base.count == patched.count ? nil : count)
        else { return nil }
        guard first < patched.count else { return base[first].text + " (only before)" }
        guard first < base.count else { return patched[first].text + " (only after)" }
        return "\(base[first].text) before, \(patched[first].text) after"
    }
}

extension PairOfMachines {
    /// What a settled difference is reported as.  The loaded trace becomes its own.
    ///
    /// - Throws: `Irreproducible` if one of its executions is another one when it is run again.
    func finding(_ settled: Settled, _ seed: ScheduleSeed) throws -> Finding {
        let witness = settled.witness
        _ = load(witness.compiled)
        let compiled = CompiledSchedule(witness.schedule)
        try runTwice { compiled.install() }
        let picture = Picture(self, witness.schedule)
        var finding = picture.finding(settled, seed)
        if witness.likeness.attempts != 0 { finding.subject = picture.subject(witness.side, witness.likeness).names }
        guard finding.verdict == .divergent, let claim = picture.claim(finding.level, finding.subject) else {
            return finding
        }
        finding.isExpected(by: claim)
        return finding
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
