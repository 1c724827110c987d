// SPDX-License-Identifier: GPL-2.0-only
// A replay for people: time runs down, one column a task.

import Differential

public struct TimeLine {
    public let text: String

    /// - Parameter title: what ran, on what.
    public init(_ replay: Replay, title: String) {
        let width = (replay.lines.map { $0.marked.count } + replay.tasks.map(\.count)).max() ?? 0
        func row(_ column: Int, _ text: String) -> String {
            String(repeating: " ", count: column * (width + 2)) + text
        }
        var lines = [title, ""]
        lines.append(
            replay.tasks.map { $0 + String(repeating: " ", count: width + 2 - $0.count) }.joined().trimmedRight)
        lines += replay.lines.map { row($0.task, $0.marked) }
        let switches = replay.lines.count(where: \.isSwitch)
        lines += ["", "end: \(replay.end), after \(switches) switches; explored under sequential consistency"]
        for broken in replay.broken { lines += broken.told }
        lines += [""] + replay.state
        text = lines.joined(separator: "\n")
    }
}

extension Replay.Line {
    fileprivate var marked: String {
        let mark =
            switch kind {
            case .opStart: "[ "
            case .opEnd: "] "
            case .yieldPoint: "  "
            case .event: "  ~ "
            case .violation: "*** "
            }
        return (isSwitch ? "> " : "  ") + mark + text
    }
}

extension String {
    fileprivate var trimmedRight: String {
        String(reversed().drop { $0 == " " }.reversed())
    }
}
