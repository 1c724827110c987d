// SPDX-License-Identifier: GPL-2.0-only
// How far the strategies of a run went: for PCT the probability with which a defect of its depth is met, for
// delay-bounded schedules how many there are within the bound, for the others how many were drawn.

import CKernel
import Simulation

/// What was drawn from one strategy.
public struct StrategyFigures: Codable, Equatable, Sendable {
    /// As on the command line.
    public var name: String
    /// PCT's depth, or the bound of delays.
    public var parameter: Int?
    public var schedules = 0
    /// Traces among whose schedules these were.
    public var traces = 0
    /// The most tasks, and the most yield points of a run: n and k.
    public var tasks = 0
    public var steps = 0
    /// PCT: the least probability, of all traces, with which one schedule meets a given defect of that depth.
    public var probability: Double?
    /// PCT: the probability that the schedules of a trace meet it, or a bound below; the sum over the traces.
    public var detection: Double?
    /// Delays: schedules that were different within their trace; and schedules within the bound, as many as there are
    /// ways to place the delays.
    public var distinct: Int?
    public var possible: Double?

    init(_ name: String, _ parameter: Int? = nil) {
        (self.name, self.parameter) = (name, parameter)
    }

    init(_ strategy: Strategy) {
        switch strategy {
        case .pct(_, let depth, _): self.init("pct", depth)
        case .delay(_, let bound, _): self.init("delay", bound)
        case .pos: self.init("pos")
        case .focused: self.init("focused")
        case .random(_, switchChance: 0): self.init("sequential")
        default: self.init("random")
        }
    }

    /// The bound of Burckhardt et al., 1/(n·k^(d-1)), with the largest n and k.
    public var published: Double? {
        guard name == "pct", let depth = parameter, tasks > 0 else { return nil }
        return 1 / (Double(tasks) * power(Double(steps), depth - 1))
    }

    /// Adds what another worker drew.
    ///
    /// - Parameter oneTrace: whether all traces of both are one.
    public mutating func add(_ other: StrategyFigures, oneTrace: Bool) {
        schedules += other.schedules
        traces = oneTrace ? max(traces, other.traces) : traces + other.traces
        (tasks, steps) = (max(tasks, other.tasks), max(steps, other.steps))
        probability = [probability, other.probability].compactMap { $0 }.min()
        if let first = detection, let second = other.detection {
            detection = oneTrace ? 1 - (1 - first) * (1 - second) : first + second
        }
        distinct = distinct.map { $0 + (other.distinct ?? 0) }
        if let first = possible, let second = other.possible {
            possible = oneTrace ? max(first, second) : first + second
        }
    }
}

/// Counts what is drawn, trace by trace.
struct StrategyTally {
    private(set) var figures: [StrategyFigures] = []
    /// Yield points of the longest run of the trace.
    private(set) var steps = 0
    private var tasks = 0
    private var moves = 0
    private var members: [Member] = []

    /// The schedules of a trace by one strategy.
    private struct Member {
        var strategy: Strategy
        var figures: StrategyFigures
        var schedules = 0
        var distinct: Set<UInt64> = []
    }

    /// Notes a run that has just ended, under a strategy.
    mutating func note(_ strategy: Strategy, schedule: UInt64) {
        noteSteps()
        let figures = StrategyFigures(strategy)
        let index = members.firstIndex { $0.figures.name == figures.name && $0.figures.parameter == figures.parameter }
        if index == nil { members.append(Member(strategy: strategy, figures: figures)) }
        let member = index ?? members.count - 1
        members[member].strategy = strategy
        members[member].schedules += 1
        if case .delay = strategy { members[member].distinct.insert(schedule) }
    }

    /// Notes how long a run was.
    mutating func noteSteps() {
        steps = max(steps, Int(kernel.steps))
        tasks = Int(kernel.nr_tasks)
        moves = max(moves, Int(scheduler.nr_cpu_choices))
    }

    /// Takes in what was drawn for another trace, or for this one again.
    mutating func add(_ other: StrategyTally) {
        (steps, tasks, moves) = (max(steps, other.steps), max(tasks, other.tasks), max(moves, other.moves))
        for member in other.members {
            if let known = members.firstIndex(where: {
                $0.figures.name == member.figures.name && $0.figures.parameter == member.figures.parameter
            }) {
                members[known].schedules += member.schedules
                members[known].distinct.formUnion(member.distinct)
            } else {
                members.append(member)
            }
        }
    }

    /// Ends a trace: turns what was counted into figures.
    mutating func endTrace() {
        for member in members {
            let figures = figures(of: member)
            if let known = self.figures.firstIndex(where: {
                $0.name == figures.name && $0.parameter == figures.parameter
            }) {
                self.figures[known].add(figures, oneTrace: false)
            } else {
                self.figures.append(figures)
            }
        }
        (members, steps, tasks, moves) = ([], 0, 0, 0)
    }

    private func figures(of member: Member) -> StrategyFigures {
        var figures = member.figures
        (figures.schedules, figures.traces, figures.tasks, figures.steps) = (member.schedules, 1, tasks, steps)
        switch member.strategy {
        case .pct(_, let depth, let assumed):
            let probability = detectionBound(
                depth: depth, tasks: tasks, steps: steps, moves: moves,
                chance: Strategy.changeChance(depth: depth, steps: assumed))
            figures.probability = probability
            figures.detection = chanceOfOne(probability, member.schedules)
        case .delay(_, let bound, let assumed):
            figures.distinct = member.distinct.count
            figures.possible = delayedSchedules(steps: assumed, bound: bound)
        default: break
        }
        return figures
    }
}
