// SPDX-License-Identifier: GPL-2.0-only
// All outcomes of one trace on both sides of a pair.

import CKernel
import KernelModel
import Simulation
import Traces

/// How the schedules of a trace are gone through.  Each is a search of its own: what they leave out, they leave out for
/// reasons that do not hold together.
public enum SearchMode: String, Codable, Sendable, CaseIterable {
    /// Every schedule.
    case depthFirst = "depth-first"
    /// Every schedule with few preemptions.
    case bounded
    /// One schedule of each kind: partial-order reduction.
    case reduced
    /// Every state once.
    case stateful

    /// Whether it needs the build that records what steps read and write.
    public var needsRecording: Bool { self == .reduced || self == .stateful }
}

/// What to search for how long.
public struct SearchPlan: Codable, Sendable {
    public var mode: SearchMode
    /// The most preemptions of a schedule, for a bounded search.
    public var preemptions: Int
    /// How many schedules of each side to run at most; in a stateful search, how many states to visit.
    public var limit: Int

    public init(_ mode: SearchMode, preemptions: Int = 2, limit: Int) {
        self.mode = mode
        self.preemptions = preemptions
        self.limit = limit
    }
}

/// The outcome sets of a trace, side by side.
public struct Exploration: Codable, Sendable {
    /// How far the search of a side went.
    public struct Search: Codable, Sendable {
        public var mode: SearchMode
        /// Complete executions.
        public var schedules = 0
        /// Executions left early, since all that they could end in was covered.
        public var redundant: Int?
        public var states: Int?
        public var steps = 0
        /// Whether every schedule was run that the mode and the bound ask for.
        public var complete = false
        /// The most preemptions of a schedule; nil if no bound kept one from being run.
        public var preemptionBound: Int?
        /// The schedules, or states, at which it was ended; nil if it came to its end.
        public var limit: Int?

        public init(mode: SearchMode) { self.mode = mode }

        init(_ plan: SearchPlan, _ result: SearchResult) {
            mode = plan.mode
            (schedules, steps, complete) = (result.schedules, result.steps, result.complete)
            redundant = mode == .reduced ? result.redundant : nil
            states = mode == .stateful ? result.states : nil
            preemptionBound = mode == .bounded && !result.unbounded ? plan.preemptions : nil
            limit = complete ? nil : plan.limit
        }
    }

    /// An outcome that a side has.
    public struct Reached: Codable, Sendable {
        /// In how many of the schedules that were run.
        public var schedules = 0
        /// The schedule with the fewest preemptions of those: the section `schedule` of a trace, a line each.
        public var witness: [String] = []
        var preemptions = 0
    }

    /// An outcome of one side or both.
    public struct State: Codable, Sendable {
        public var end: String
        public var broken: [String]
        public var base: Reached?
        public var patched: Reached?
        /// What is different from the first outcome.
        public var difference: [String]

        public subscript(side: Side) -> Reached? {
            get { side == .base ? base : patched }
            set { if side == .base { base = newValue } else { patched = newValue } }
        }
    }

    public var base: Search
    public var patched: Search
    /// In the order of their discovery, the base's first.
    public var states: [State]
}

extension Exploration {
    /// Searches both sides; nil if the trace's set-up does not run.
    ///
    /// - Parameter progress: called at the end of each schedule.
    public init?(_ pair: PairOfMachines, _ trace: CompiledTrace, _ plan: SearchPlan, progress: () -> Void) {
        guard pair.load(trace) else { return nil }
        var collector = Collector()
        base = search(pair.base, plan) { collector.count($0, pair.base, .base, progress) }
        patched = search(pair.patched, plan) { collector.count($0, pair.patched, .patched, progress) }
        states = collector.states
    }
}

/// Searches the loaded trace of `machine`.
///
/// - Parameters:
///   - atEnd: is called at the end of each execution, before the machine comes to rest.
///   - visit: is given the outcome of each execution, whose decisions are recorded.
public func search(
    _ machine: Machine, _ plan: SearchPlan, atEnd: () -> Void = {}, visit: (Outcome) -> Void
) -> Exploration.Search {
    machine.useTrace()
    return search(machine.arena, plan) { end in
        atEnd()
        visit(Outcome(end, machine))
        // Coming to rest has taken the machine over.
        machine.useTrace()
        return true
    }
}

/// Searches the machine in `arena`.
///
/// - Parameter visit: looks at it at the end of each execution; false ends the search.
public func search(_ arena: Arena, _ plan: SearchPlan, visit: (run_end) -> Bool) -> Exploration.Search {
    switch plan.mode {
    case .depthFirst: .init(plan, DepthFirstSearch(arena).run(schedules: plan.limit, visit: visit))
    case .bounded:
        .init(
            plan,
            DepthFirstSearch(arena).run(preemptionBound: plan.preemptions, schedules: plan.limit, visit: visit))
    case .reduced: .init(plan, PartialOrderReduction(arena).run(schedules: plan.limit, visit: visit))
    case .stateful: .init(plan, StatefulSearch(arena).run(states: plan.limit, visit: visit))
    }
}

private struct Collector {
    var states: [Exploration.State] = []
    /// For look-ups only.
    private var numbers: [Outcome.Essence: Int] = [:]
    private var first: StateNode?

    mutating func count(_ outcome: Outcome, _ machine: Machine, _ side: Side, _ progress: () -> Void) {
        let number = numbers[outcome.essence] ?? add(outcome, machine)
        note(side, in: &states[number])
        progress()
    }

    private func note(_ side: Side, in state: inout Exploration.State) {
        var reached = state[side] ?? Exploration.Reached()
        reached.schedules += 1
        let preemptions = recordedPreemptions()
        if reached.schedules == 1 || preemptions < reached.preemptions {
            reached.preemptions = preemptions
            reached.witness = recordedSchedule().lines
        }
        state[side] = reached
    }

    private mutating func add(_ outcome: Outcome, _ machine: Machine) -> Int {
        let detail = RunDetail(of: machine, outcome, Schedule())
        var tree = detail.tree
        tree.children.removeAll { $0.name == "events" }
        let difference = first.map { StateDifference($0, tree).lines } ?? []
        if first == nil { first = tree }
        let broken = invariants.filter { outcome.violations & 1 << $0.kind != 0 }.map(\.name)
        states.append(Exploration.State(end: endName(outcome.end), broken: broken, difference: difference))
        numbers[outcome.essence] = states.count - 1
        return states.count - 1
    }
}

/// How often the recorded run takes the CPU from a task that could have gone on, or moves it to another one.
private func recordedPreemptions() -> Int {
    // The first decision says who starts.
    (1..<max(Int(scheduler.nr_decisions), 1)).count { scheduler.decision($0).pointee.forced == 0 }
}

extension Schedule {
    /// As a trace has it, without the title.
    var lines: [String] {
        (start.map { ["start t\($0)"] } ?? []) + decisions.map { "\($0)" }
    }
}
