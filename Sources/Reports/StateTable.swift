// SPDX-License-Identifier: GPL-2.0-only
// An exploration for people, in the manner of herd7: one line a state, with how often each side reached it.

import Differential

public struct StateTable {
    public let text: String

    /// - Parameter title: the trace and the pair.
    public init(_ exploration: Exploration, title: String) {
        var lines = ["Test \(title)", "States \(exploration.states.count)"]
        for (number, state) in exploration.states.enumerated() {
            lines.append(StateTable.line(number, state))
            lines += state.difference.map { "                                     " + $0 }
        }
        lines.append(StateTable.line("before", exploration.base))
        lines.append(StateTable.line("after", exploration.patched))
        lines.append("explored under sequential consistency")
        text = lines.joined(separator: "\n")
    }

    private static func line(_ number: Int, _ state: Exploration.State) -> String {
        let place = state.patched == 0 ? "only before" : state.base == 0 ? "only after " : "both       "
        let mark = state.base == 0 || state.patched == 0 ? "*>" : ":>"
        let words = [state.end == "complete" ? nil : state.end] + state.broken
        let told = words.compactMap { $0 }.joined(separator: ", ")
        return "\(place) \(padded(state.base)) \(padded(state.patched)) \(mark) s\(number)"
            + (told.isEmpty ? "" : "  \(told)")
    }

    private static func line(_ side: String, _ search: Exploration.Search) -> String {
        let extent = !search.complete ? "not all" : search.unbounded ? "all" : "all within the bound"
        return "\(side): \(search.schedules) schedules, \(extent)"
    }

    private static func padded(_ number: Int) -> String {
        let text = "\(number)"
        return String(repeating: " ", count: max(0, 9 - text.count)) + text
    }
}
