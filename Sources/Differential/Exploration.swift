// SPDX-License-Identifier: GPL-2.0-only
// All outcomes of one trace on both sides of a pair.

import CKernel
import KernelModel
import Simulation
import Traces

/// The outcome sets of a trace, side by side.
public struct Exploration: Codable, Sendable {
    /// How far the search of a side went.
    public struct Search: Codable, Sendable {
        public var schedules: Int
        /// Whether every schedule (within the bound) was run.
        public var complete: Bool
        /// Whether the bound kept no schedule from being run.
        public var unbounded: Bool
    }

    /// An outcome, and how many schedules have it.
    public struct State: Codable, Sendable {
        public var end: String
        public var broken: [String]
        public var base = 0
        public var patched = 0
        /// What is different from the first outcome.
        public var difference: [String]
    }

    public var base: Search
    public var patched: Search
    /// In the order of their discovery, the base's first.
    public var states: [State]

    /// Searches both sides; nil if the trace's set-up does not run.
    ///
    /// - Parameters:
    ///   - bound: the most preemptions of a schedule; nil for no bound.
    ///   - schedules: how many schedules of each side to run at most.
    ///   - progress: called at the end of each schedule.
    public init?(
        _ pair: PairOfMachines, _ trace: CompiledTrace, preemptionBound bound: Int?, schedules: Int,
        progress: () -> Void
    ) {
        guard pair.load(trace) else { return nil }
        var collector = Collector()
        base = collector.search(pair.base, .base, bound, schedules, progress)
        patched = collector.search(pair.patched, .patched, bound, schedules, progress)
        states = collector.states
    }
}

private struct Collector {
    var states: [Exploration.State] = []
    /// For look-ups only.
    private var numbers: [Outcome.Essence: Int] = [:]
    private var first: StateNode?

    mutating func search(
        _ machine: Machine, _ side: Side, _ bound: Int?, _ limit: Int, _ progress: () -> Void
    ) -> Exploration.Search {
        machine.useTrace()
        let result = DepthFirstSearch(machine.arena).run(preemptionBound: bound, schedules: limit) { end in
            count(Outcome(end, machine), machine, side)
            // Coming to rest has taken the machine over.
            machine.useTrace()
            progress()
            return true
        }
        return Exploration.Search(
            schedules: result.schedules, complete: result.complete, unbounded: result.unbounded)
    }

    private mutating func count(_ outcome: Outcome, _ machine: Machine, _ side: Side) {
        let number = numbers[outcome.essence] ?? add(outcome, machine)
        switch side {
        case .base: states[number].base += 1
        case .patched: states[number].patched += 1
        }
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
