// SPDX-License-Identifier: GPL-2.0-only
// An exploration for people, in the manner of herd7: one line a state, with how often each side reached it, and a
// schedule that leads there.

import Differential

public struct StateTable {
    public let text: String

    /// - Parameter title: the trace and the pair.
    public init(_ exploration: Exploration, title: String) {
        var lines = ["Test \(title)", "States \(exploration.states.count)"]
        for (number, state) in exploration.states.enumerated() {
            lines.append(StateTable.line(number, state))
            lines += state.difference.map { StateTable.indentation + $0 }
        }
        let onlyOne = exploration.states.enumerated().filter { $1.base == nil || $1.patched == nil }
        lines.append("Witnesses" + (onlyOne.isEmpty ? " none: each state is on both sides" : ""))
        for (number, state) in onlyOne { lines += StateTable.witness(number, state) }
        lines.append(StateTable.line("before", exploration.base))
        lines.append(StateTable.line("after", exploration.patched))
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

    /// The schedule of a state that one side has, as a trace file has it.
    private static func witness(_ number: Int, _ state: Exploration.State) -> [String] {
        guard let reached = state.base ?? state.patched else { return [] }
        return ["schedule  # s\(number), \(state.base == nil ? "after" : "before")"] + reached.witness.map { "  " + $0 }
    }

    private static func line(_ side: String, _ search: Exploration.Search) -> String {
        let counts = [
            counted(search.schedules, "schedule"), search.redundant.map { "\($0) left early" },
            search.states.map { counted($0, "state") },
        ]
        let extent =
            !search.complete
            ? "not all"
            : search.preemptionBound.map { "all with at most \(counted($0, "preemption"))" } ?? "complete"
        return "\(side): \(search.mode.rawValue), \(counts.compactMap { $0 }.joined(separator: ", ")), \(extent)"
    }

    private static func counted(_ number: Int, _ noun: String) -> String {
        "\(number) \(noun)\(number == 1 ? "" : "s")"
    }

    private static func padded(_ reached: Exploration.Reached?) -> String {
        let text = "\(reached?.schedules ?? 0)"
        return String(repeating: " ", count: max(0, 9 - text.count)) + text
    }
}
