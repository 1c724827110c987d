// SPDX-License-Identifier: GPL-2.0-only
// What came of the known cases and the controls, as tables in Markdown.

import Differential
import Foundation
import Traces

struct GroundTruthTable: Encodable {
    /// One finding of a case.
    struct Detection: Encodable {
        var verdict: Verdict
        var traces, schedules: Int
        var seconds: Double
        /// Of the trace that the report shows.
        var tasks, operations, preemptions: Int

        init(_ finding: Finding) {
            let trace = try? trace(finding.trace.utf8, in: nil)
            verdict = finding.verdict
            traces = finding.detection?.traces ?? 0
            schedules = finding.detection?.schedules ?? 0
            seconds = finding.detection?.seconds ?? 0
            tasks = trace?.tasks.count ?? 0
            operations = trace?.tasks.reduce(0) { $0 + $1.steps.count } ?? 0
            preemptions = trace?.schedule?.decisions.count { !$0.forced } ?? 0
        }
    }

    struct Case: Encodable {
        var name, family, pair: String
        /// One for each seed that found it.
        var found: [Detection] = []
    }

    struct Control: Encodable {
        var family, pair: String
        var traces, schedules: Int
        var seconds: Double
        /// Small traces, explored completely.
        var complete: CompleteComparison
        var alarms: [String]
    }

    var seeds = 0
    var secondsPerSeed = 0
    var cases: [Case] = []
    var controls: [Control] = []

    var text: String {
        var lines = [
            "\(seeds) \(seeds == 1 ? "seed" : "seeds"), \(secondsPerSeed) s each, one core. Traces, schedules and seconds"
                + " to the first detection, its settlement included: the median, where a seed that found nothing counts as"
                + " the longest. Tasks, operations and preemptions of the shrunk trace: from the smallest to the largest.",
            "",
            "| case | pair | found | verdict | traces | schedules | seconds | tasks | ops | preemptions |",
            "|---|---|--:|---|--:|--:|--:|--:|--:|--:|",
        ]
        lines += cases.map { row($0) }
        guard !controls.isEmpty else { return lines.joined(separator: "\n") }
        lines += [
            "",
            "Controls: schedules of random traces; small traces explored completely by reduced search, and its schedules.",
            "",
            "| control | random schedules | false alarms | small traces | schedules | different outcomes |",
            "|---|--:|---|--:|--:|--:|",
        ]
        lines += controls.map {
            "| `\($0.pair)` | \($0.schedules) | \($0.alarms.isEmpty ? "none" : $0.alarms.joined(separator: "; "))"
                + " | \($0.complete.traces) | \($0.complete.schedules) | \($0.complete.different.count) |"
        }
        return lines.joined(separator: "\n")
    }

    private func row(_ item: Case) -> String {
        let found = item.found
        let verdicts = Verdict.allCases.filter { verdict in found.contains { $0.verdict == verdict } }.map(\.rawValue)
        let cells =
            [item.name, "`\(item.pair)`", "\(found.count) of \(seeds)", verdicts.joined(separator: ", ")]
            + [
                median(found.map { Double($0.traces) }), median(found.map { Double($0.schedules) }),
                median(found.map(\.seconds)), range(found.map(\.tasks)), range(found.map(\.operations)),
                range(found.map(\.preemptions)),
            ]
        return "| " + cells.joined(separator: " | ") + " |"
    }

    /// Of all seeds; the lower of two.
    private func median(_ values: [Double]) -> String {
        let sorted = values.sorted()
        let middle = (seeds - 1) / 2
        guard middle < sorted.count else { return "-" }
        let tenths = Int((sorted[middle] * 10).rounded())
        return tenths % 10 == 0 || tenths >= 1000 ? "\(tenths / 10)" : "\(tenths / 10).\(tenths % 10)"
    }

    private func range(_ values: [Int]) -> String {
        guard let least = values.min(), let most = values.max() else { return "-" }
        return least == most ? "\(least)" : "\(least)-\(most)"
    }

    // MARK: Into a document

    private static let begin = "<!-- ground truth: begin -->"
    private static let end = "<!-- ground truth: end -->"

    /// Replaces what stands between the two marks of a document.
    func write(into path: String) throws {
        let old = String(decoding: try readInput(path), as: UTF8.self)
        guard let first = old.range(of: GroundTruthTable.begin),
            let last = old.range(of: GroundTruthTable.end, range: first.upperBound..<old.endIndex)
        else {
            throw InputError("\(path): has no lines '\(GroundTruthTable.begin)' and '\(GroundTruthTable.end)'")
        }
        let new = old[..<first.upperBound] + "\n\n\(text)\n\n" + old[last.lowerBound...]
        do {
            try String(new).write(toFile: path, atomically: true, encoding: .utf8)
        } catch {
            throw InputError("cannot write \(path)")
        }
    }
}
