// SPDX-License-Identifier: GPL-2.0-only
// A replay for people: time runs down, one column a task.

import Differential

public struct TimeLine {
    public let text: String

    /// - Parameter title: what ran, on what.
    public init(_ replay: Replay, title: String) {
        // Where each column begins.
        var starts = [0]
        for (number, task) in replay.tasks.enumerated() {
            let cells = replay.lines.lazy.filter { $0.task == number }.map(\.marked.count)
            starts.append(starts[number] + max(task.count, cells.max() ?? 0) + 2)
        }
        var lines = [title, ""]
        lines.append(
            replay.tasks.enumerated().reduce("") { head, task in
                head + String(repeating: " ", count: starts[task.offset] - head.count) + task.element
            })
        lines += replay.lines.map { String(repeating: " ", count: starts[$0.task]) + $0.marked }
        let switches = replay.lines.count(where: \.isSwitch)
        lines += ["", "end: \(replay.end), after \(switches) switches; explored under sequential consistency"]
        for broken in replay.broken { lines += broken.told }
        lines += told(replay.story)
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
