// SPDX-License-Identifier: GPL-2.0-only
// An exploration for people, in the manner of herd7: one line a state, with how often each side reached it, and a
// schedule that leads there.

import Differential

public struct StateTable {
    public let text: String

    /// - Parameter title: the trace and the pair.
    public init(_ exploration: Exploration, title: String) {
        let states = exploration.states.enumerated().map { (number: $0, state: $1) }
        var lines = ["Test \(title)", "States \(states.count)"]
        for (number, state) in states {
            lines.append(StateTable.line(number, state))
            lines += state.difference.map { StateTable.indentation + $0 }
        }
        lines.append("Witnesses")
        // Those that are to be looked at first.
        let oneSided = states.filter { $0.state.base == nil || $0.state.patched == nil }
        for (number, state) in oneSided + states.filter({ $0.state.base != nil && $0.state.patched != nil }) {
            lines += StateTable.witnesses(number, state)
        }
        let before = states.count { $0.state.patched == nil }
        let after = states.count { $0.state.base == nil }
        lines.append("Observation \(states.count - oneSided.count) in both, \(before) only before, \(after) only after")
        lines.append(StateTable.line("before", exploration.base, outcomes: states.count - after))
        lines.append(StateTable.line("after", exploration.patched, outcomes: states.count - before))
        lines.append("explored under sequential consistency")
        text = lines.joined(separator: "\n")
    }

    private static let indentation = String(repeating: " ", count: 37)

    private static func line(_ number: Int, _ state: Exploration.State) -> String {
        let place = state.patched == nil ? "only before" : state.base == nil ? "only after " : "both       "
        let mark = state.base == nil || state.patched == nil ? "*>" : ":>"
        let words = [state.end == "complete" ? nil : state.end] + state.broken
        let told = words.compactMap { $0 }.joined(separator: ", ")
        return "\(place) \(padded(state.base)) \(padded(state.patched)) \(mark) s\(number)"
            + (told.isEmpty ? "" : "  \(told)")
    }

    /// The schedules that lead to a state, as a trace file has them.
    private static func witnesses(_ number: Int, _ state: Exploration.State) -> [String] {
        let witness = { (sides: String, reached: Exploration.Reached?) in
            reached.map { ["schedule  # s\(number), \(sides)"] + $0.witness.map { "  " + $0 } } ?? []
        }
        if state.base?.witness == state.patched?.witness { return witness("both", state.base) }
        return witness("before", state.base) + witness("after", state.patched)
    }

    private static func line(_ side: String, _ search: Exploration.Search, outcomes: Int) -> String {
        let counts = [
            counted(search.schedules, "schedule"), search.redundant.map { "\($0) left early" },
            search.states.map { "\(counted($0, "state")) visited" }, counted(search.steps, "step"),
            counted(outcomes, "outcome"),
        ]
        let told = counts.compactMap { $0 }.joined(separator: ", ")
        return "\(side): \(search.mode.rawValue), \(told), \(extent(search))"
    }

    /// Which bound there was, if any.
    private static func extent(_ search: Exploration.Search) -> String {
        let bound = search.preemptionBound.map { " with at most \(counted($0, "preemption"))" } ?? ""
        if let limit = search.limit {
            return "not complete: ended at \(counted(limit, search.states == nil ? "schedule" : "state"))\(bound)"
        }
        return bound.isEmpty ? "complete" : "all\(bound)"
    }

    private static func padded(_ reached: Exploration.Reached?) -> String {
        let text = "\(reached?.schedules ?? 0)"
        return String(repeating: " ", count: max(0, 9 - text.count)) + text
    }
}
