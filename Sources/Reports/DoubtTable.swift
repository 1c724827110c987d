// SPDX-License-Identifier: GPL-2.0-only
// What mmdiff did to doubt itself, one line a pair, and what came of it where it went wrong.

import Differential

struct DoubtTable {
    let rows: [[String]]

    init(_ report: RunReport, tellsTime: Bool) {
        rows =
            [["self-doubt", "equal to itself", "canary", "seen again"] + (tellsTime ? ["time"] : [])]
            + report.pairs.map { pair in
                [
                    pair.pair, DoubtTable.identity(pair.doubt), DoubtTable.canary(pair.doubt), DoubtTable.again(pair),
                ] + (tellsTime ? [DoubtTable.share(pair.measured)] : [])
            }
    }

    private static func identity(_ doubt: SelfDoubt) -> String {
        if doubt.identities.contains(where: { $0.difference != nil }) { return "NO" }
        // After both sides comes the canary: without it, a side is missing.
        if doubt.canary == nil { return doubt.stopped == nil ? "not run" : "ended early" }
        return "in \(doubt.identities.reduce(0) { $0 + $1.schedules }) schedules"
    }

    private static func canary(_ doubt: SelfDoubt) -> String {
        guard let canary = doubt.canary else { return "not run" }
        guard let lock = canary.lock else { return "none: no lock is taken in \(canary.traces) traces" }
        return canary.heard == nil ? "SILENT without \(lock)" : "heard without \(lock)"
    }

    private static func again(_ pair: PairReport) -> String {
        let tried = pair.findings.compactMap(\.finding.isRepeatable)
        return tried.isEmpty ? "-" : "\(tried.count { $0 }) of \(tried.count)"
    }

    /// `0.3 of 10.2 s`.
    private static func share(_ measured: PairReport.Measured) -> String {
        "\(tenths(measured.secondsOfDoubt)) of \(tenths(measured.seconds + measured.secondsOfDoubt)) s"
    }

    private static func tenths(_ seconds: Double) -> String {
        let tenths = Int((seconds * 10).rounded())
        return "\(tenths / 10).\(tenths % 10)"
    }

    /// One line for each reason not to believe the run; red where a terminal shows it.
    static func complaints(_ report: RunReport, inColour: Bool) -> [String] {
        let failures = report.pairs.flatMap { pair in pair.failures.map { "\(pair.pair): \($0)" } }
        let stopped = report.pairs.compactMap { pair in
            pair.doubt.stopped.map { "\(pair.pair): the self-doubt ended early: \($0)" }
        }
        guard !failures.isEmpty || !stopped.isEmpty else { return [] }
        let lines =
            [""] + stopped
            + (failures.isEmpty
                ? [] : failures + ["This run is not to be believed: mmdiff is wrong about its own variants."])
        return inColour ? lines.map { $0.isEmpty ? $0 : "\u{1b}[31m\($0)\u{1b}[0m" } : lines
    }
}
