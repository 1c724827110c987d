// SPDX-License-Identifier: GPL-2.0-only
// What `mmdiff shrink` says: the difference, and how much smaller its trace has become.

import Differential

public struct ShrinkingText {
    public let text: String

    /// - Parameter title: the trace and the pair.
    public init(_ shrinking: TraceShrinking, _ item: ReportedFinding?, title: String) {
        var lines = [title]
        if let item {
            lines += FindingText(item).lines
        } else {
            lines.append("no difference")
        }
        if let after = shrinking.after {
            lines +=
                ["", "cut down in \(shrinking.executions) executions"] + ShrinkingText.table(shrinking.before, after)
        }
        lines += ["", "explored under sequential consistency"]
        text = lines.joined(separator: "\n")
    }

    private static func table(_ before: TraceSize, _ after: TraceSize) -> [String] {
        let rows: [(String, Int?, Int?)] = [
            ("tasks", before.tasks, after.tasks), ("operations", before.operations, after.operations),
            ("preemptions", before.preemptions, after.preemptions), ("pages", before.pages, after.pages),
            ("CPUs", before.cpus, after.cpus),
        ]
        return rows.map { name, before, after in
            let space = String(repeating: " ", count: 13 - name.count)
            return "  \(name)\(space)\(before.map { "\($0)" } ?? "?") -> \(after.map { "\($0)" } ?? "?")"
        }
    }
}
