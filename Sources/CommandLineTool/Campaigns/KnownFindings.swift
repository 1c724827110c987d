// SPDX-License-Identifier: GPL-2.0-only
// Findings of a run that an allowlist names: nobody needs to be told of them again, for a time.

import FixtureStore
import Glibc
import Reports

/// An allowlist laid beside a report.
struct KnownFindings {
    let list: Allowlist
    let day: Day
    let file: String

    init(_ file: String, on day: Day?) throws {
        self.file = file
        list = try Allowlist(parsing: readInput(file), file: file)
        self.day = day ?? currentDay()
    }

    /// How the list names a finding of a pair.
    private static func words(_ pair: PairReport, _ finding: ReportedFinding) -> String {
        "\(pair.family.map { $0 + " " } ?? "")\(pair.pair) \(finding.finding.key)"
    }

    /// Takes what is known out of a report.
    ///
    /// - Returns: what was taken, and what is stale, each in a line.
    func setAside(from report: inout RunReport) -> [String] {
        var lines: [String] = []
        var seen: Set<String> = []
        for number in report.pairs.indices {
            let pair = report.pairs[number]
            report.pairs[number].findings.removeAll { finding in
                let words = KnownFindings.words(pair, finding)
                seen.insert(words)
                guard let entry = list.entry(words, on: day) else { return false }
                lines.append("known since \(entry.since): \(words): \(entry.why)")
                return true
            }
        }
        for entry in list.entries where FixtureName(entry.what) == nil {
            let place = "stale: \(file):\(entry.line): \(entry.what)"
            let isOfThisRun = report.pairs.contains { pair in
                entry.what.hasPrefix("\(pair.family.map { $0 + " " } ?? "")\(pair.pair) ")
            }
            if !entry.counts(on: day) {
                lines.append("\(place): counts only \(entry.until.map { "until \($0)" } ?? "from \(entry.since)")")
            } else if isOfThisRun && !seen.contains(entry.what) {
                lines.append("\(place): this run has not found it")
            }
        }
        return lines
    }
}

/// Today in UTC.
func currentDay() -> Day { Day(civilDate(seconds: Int64(time(nil))))! }
