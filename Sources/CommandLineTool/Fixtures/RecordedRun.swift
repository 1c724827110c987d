// SPDX-License-Identifier: GPL-2.0-only
// The report of `mmdiff run --json` as a source of fixtures.

import Differential
import FixtureStore
import Foundation
import Traces

struct RecordedRun {
    /// What is read of a report; whatever else it tells is for others.
    private struct Report: Decodable {
        struct Pair: Decodable {
            var family: String?
            var pair: String
            var findings: [Reported]
        }
        struct Reported: Decodable { var finding: Found }
        struct Found: Decodable {
            struct Seed: Decodable { var seed: UInt64? }
            var verdict: Verdict
            var subject: [String]
            var direction: String
            var trace: String
            var seed: Seed?
        }
        var pairs: [Pair]
    }

    private let report: Report
    private let file: String

    init(_ bytes: [UInt8], file: String) throws {
        self.file = file
        do {
            report = try JSONDecoder().decode(Report.self, from: Data(bytes))
        } catch {
            throw InputError("\(file): no report of 'mmdiff run --json'")
        }
    }

    /// Its unexpected findings.
    func drafts(_ references: [Provenance.Reference]) throws -> [FixtureDraft] {
        try report.pairs.flatMap { pair -> [FixtureDraft] in
            let findings = pair.findings.map(\.finding).filter(\.verdict.isUnexpected)
            guard !findings.isEmpty else { return [] }
            let sides = try FixturePair(pair.pair, in: try pair.family.map(commandLineCatalog.family))
            return try findings.map { finding in
                FixtureDraft(
                    source: file, trace: try CommandLineTool.trace(finding.trace.utf8, file: file, in: nil),
                    pair: sides, verdict: finding.verdict,
                    shows: shows(finding, sides.base, sides.patched), seed: finding.seed?.seed, references: references)
            }
        }
    }

    private func shows(_ finding: Report.Found, _ base: String, _ patched: String) -> String {
        let what = finding.subject.joined(separator: ", ")
        switch finding.direction {
        case "new": return "\(patched) has what \(base) cannot have: \(what)"
        case "lost": return "\(base) has what \(patched) cannot have: \(what)"
        default: return "\(base)..\(patched): \(what)"
        }
    }
}
