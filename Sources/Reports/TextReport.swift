// SPDX-License-Identifier: GPL-2.0-only
// A report for people: one paragraph a finding, one line for what is not the patch's fault, a table at the end.

import Differential

/// A run as text.
public struct TextReport {
    private let report: RunReport
    private var lines: [String] = []

    /// - Parameters:
    ///   - coverage: show what was reached in changed functions.
    ///   - strategies: show what was drawn from each strategy, not only what that says at least.
    public init(_ report: RunReport, coverage: Bool = false, strategies: Bool = false) {
        self.report = report
        for pair in report.pairs { append(pair) }
        appendTable()
        for pair in report.pairs { appendNeverEntered(pair) }
        if coverage { for pair in report.pairs { appendCoverage(pair) } }
        lines += report.pairs.flatMap { strategies ? $0.strategyLines : $0.boundLines }
        lines.append("\(report.memoryModel); seed \(report.seed)")
    }

    public var text: String { lines.joined(separator: "\n") }

    // MARK: Findings

    private mutating func append(_ pair: PairReport) {
        guard !pair.findings.isEmpty else { return }
        lines.append("\(pair.family.map { "\($0): " } ?? "")\(pair.pair)")
        let (told, listed) = (pair.findings.filter(\.isTold), pair.findings.filter { !$0.isTold })
        for (number, finding) in told.enumerated() { append(finding, number + 1) }
        if !listed.isEmpty { lines.append("") }
        for item in listed { lines.append("  " + item.line) }
        lines.append("")
    }

    private mutating func append(_ item: ReportedFinding, _ number: Int) {
        let finding = item.finding
        lines.append("")
        lines.append("  \(number). \(finding.verdict.rawValue): \(finding.headline)")
        add("settled", [finding.effort])
        add(finding.verdict == .crash ? "at" : "diverges", finding.firstDivergence.map { [$0] } ?? [])
        add("breaks", finding.broken.flatMap(\.told))
        add("state", finding.difference)
        add("claim", finding.claim.map { ["\"\($0)\""] } ?? [])
        add("trace", item.traceFile.map { [$0] } ?? [])
        add("replay", item.replay.map { [$0] } ?? [])
        add("again", [item.again])
    }

    private mutating func add(_ title: String, _ text: [String]) {
        let width = 10
        for (number, line) in text.enumerated() {
            let head = number == 0 ? title : ""
            lines.append("     " + head + String(repeating: " ", count: width - head.count) + line)
        }
    }

    // MARK: The table

    private mutating func appendTable() {
        let counted: [Verdict] = [.divergent, .crash, .deadlock, .inconclusive, .expected, .preExisting]
        var rows = [["pair", "verdict", "traces", "schedules", "distinct", "reached"] + counted.map(\.rawValue)]
        for pair in report.pairs {
            rows.append(
                [pair.pair, pair.verdict.rawValue]
                    + [pair.traces, pair.schedules, pair.distinct, pair.reached].map { "\($0)" }
                    + counted.map { pair.count($0) == 0 ? "-" : "\(pair.count($0))" })
        }
        lines += aligned(rows)
        lines.append("")
    }

    // MARK: Coverage

    /// Nothing can be said of a function that was not entered, even if others were.
    private mutating func appendNeverEntered(_ pair: PairReport) {
        guard let coverage = pair.coverage, pair.verdict != .unreached else { return }
        let names = coverage.functions.filter { $0.runs.isZero }.map(\.name)
        if !names.isEmpty { lines.append("\(pair.pair): never entered: \(names.joined(separator: ", "))") }
    }

    private mutating func appendCoverage(_ pair: PairReport) {
        guard let coverage = pair.coverage else { return }
        lines.append("\(pair.pair), what was reached before the patch and after it")
        lines += coverage.lines.map { "  " + $0 }
        lines.append("")
    }
}

extension ReportedFinding {
    /// What the patch did, or is said to do, deserves a paragraph.
    fileprivate var isTold: Bool { finding.verdict.isUnexpected }

    fileprivate var line: String {
        let claim = finding.claim.map { ", as claimed: \"\($0)\"" } ?? ""
        return "\(finding.verdict.rawValue): \(finding.headline)\(claim)"
    }
}

extension Finding {
    fileprivate var headline: String {
        let seen = "\(traces) \(traces == 1 ? "trace" : "traces")"
        return "\(subject.joined(separator: ", ")) (\(level); \(possible); seen on \(seen))"
    }

    private var possible: String {
        switch (direction, level) {
        case (.both, "crash"): "side unknown"
        case (.both, _): "broken on both sides"
        case (.new, "events"), (.new, "cost"): "more after the patch"
        case (.lost, "events"), (.lost, "cost"): "more before the patch"
        case (.new, _) where claim != nil: "more after the patch"
        case (.lost, _) where claim != nil: "more before the patch"
        case (.new, _): "new: possible only after the patch"
        case (.lost, _): "lost: possible only before the patch"
        }
    }
}

extension BrokenInvariant {
    /// The rule, and where it was broken.
    var told: [String] {
        let held = lock.map { ", \($0)" } ?? ""
        return ["\(name): \(rule)", "  at t\(task) op \(op) \(place)\(held)"]
    }
}

/// Rows of cells, each column as wide as its widest cell; numbers stand on the right.
func aligned(_ rows: [[String]], words: Int = 2) -> [String] {
    let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max()! }
    return rows.map { row in
        let cells = row.enumerated().map { column, cell in
            let space = String(repeating: " ", count: widths[column] - cell.count)
            return column < words ? cell + space : space + cell
        }
        return cells.joined(separator: "  ")
    }
}
