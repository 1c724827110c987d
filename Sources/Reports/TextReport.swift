// SPDX-License-Identifier: GPL-2.0-only
// A report for people: one paragraph a finding, fewer lines for what is not the patch's fault, a table at the end.

import Differential

/// A run as text.
public struct TextReport {
    private let report: RunReport
    private var lines: [String] = []

    /// - Parameters:
    ///   - coverage: show what was reached in changed functions.
    ///   - strategies: show what was drawn from each strategy, not only what that says at least.
    ///   - inColour: whether a terminal shows it.
    ///   - tellsTime: whether what was run depended on the clock anyway.
    public init(
        _ report: RunReport, coverage: Bool = false, strategies: Bool = false, inColour: Bool = false,
        tellsTime: Bool = false
    ) {
        self.report = report
        for pair in report.pairs { append(pair) }
        appendTable()
        for pair in report.pairs { appendNeverEntered(pair) }
        if coverage { for pair in report.pairs { appendCoverage(pair) } }
        lines += report.pairs.flatMap { strategies ? $0.strategyLines : $0.boundLines }
        lines.append("")
        lines += aligned(DoubtTable(report, tellsTime: tellsTime).rows, words: 5)
        lines += DoubtTable.complaints(report, inColour: inColour)
        lines.append("")
        lines.append("\(report.memoryModel); seed \(report.seed)")
    }

    public var text: String { lines.joined(separator: "\n") }

    // MARK: Findings

    private mutating func append(_ pair: PairReport) {
        guard !pair.findings.isEmpty || !pair.claims.isEmpty else { return }
        lines.append("\(pair.family.map { "\($0): " } ?? "")\(pair.pair)")
        let told = pair.findings.filter(\.isTold)
        // What is expected is told with the claims.
        let listed = pair.findings.filter { !$0.isTold && $0.finding.coveredBy == nil }
        for (number, finding) in told.enumerated() { append(finding, number + 1) }
        if !listed.isEmpty { lines.append("") }
        for item in listed { lines += item.lines.map { "  " + $0 } }
        appendClaims(pair)
        lines.append("")
    }

    private mutating func append(_ item: ReportedFinding, _ number: Int) {
        lines.append("")
        lines += FindingText(item, "\(number). ").lines.map { "  " + $0 }
    }

    /// Claims with what they cover, each group with the sentence that they have in common.
    private mutating func appendClaims(_ pair: PairReport) {
        let findings = pair.findings.map(\.finding)
        let claims = pair.claims.map { $0.swallowing(findings) }
        if !claims.isEmpty { lines += ["", "  claims"] }
        for (number, claim) in claims.enumerated() {
            lines += claim.lines.map { "    " + $0 }
            let isLast = number + 1 == claims.count || claims[number + 1].sentence != claim.sentence
            if isLast { lines.append("      \"\(claim.sentence)\"") }
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

    /// What is broken anyway deserves to be looked at, if another time.
    fileprivate var lines: [String] {
        finding.verdict == .preExisting
            ? FindingText(self).lines : ["\(finding.verdict.rawValue): \(finding.headline)"]
    }
}

/// Rows of cells, each column as wide as its widest cell; numbers stand on the right.
func aligned(_ rows: [[String]], words: Int = 2) -> [String] {
    let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max()! }
    return rows.map { row in
        let cells = row.enumerated().map { column, cell in
            let space = String(repeating: " ", count: widths[column] - cell.count)
            if column + 1 == row.count && column < words { return cell }
            return column < words ? cell + space : space + cell
        }
        return cells.joined(separator: "  ")
    }
}
