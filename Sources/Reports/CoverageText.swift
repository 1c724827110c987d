// SPDX-License-Identifier: GPL-2.0-only
// What was reached in changed functions, for people: a line a function, and below it its yield points and branches.

import Differential

extension Coverage {
    /// A table: runs that entered a function and calls that did, how often each of its yield points was passed, and each
    /// branch from one to the next taken.
    var lines: [String] {
        var rows = [["", "before", "after"]]
        for function in functions {
            rows.append([function.name, "", ""])
            rows.append(row("  runs that entered it", function.runs))
            rows.append(row("  calls", function.calls))
            rows += function.yieldPoints.map { row("  \($0.label)", $0.passed) }
            rows += function.branches.map { row("  \($0.from ?? "entry") -> \($0.to)", $0.taken) }
        }
        let never = functions.flatMap { function in
            function.yieldPoints.filter(\.passed.isZero).map { "\(function.name):\($0.label)" }
        }
        return aligned(rows, words: 1).map(trimmed)
            + (never.isEmpty ? [] : ["never reached: \(never.joined(separator: ", "))"])
    }

    private func row(_ title: String, _ counts: Counts) -> [String] {
        [title, number(counts.base), number(counts.patched)]
    }

    private func number(_ count: Int) -> String { count == 0 ? "-" : "\(count)" }

    private func trimmed(_ line: String) -> String {
        String(line.reversed().drop { $0 == " " }.reversed())
    }
}
