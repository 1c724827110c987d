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
        try report.pairs.flatMap { pair in
            let (family, base, patched) = try familyPair(pair.family.map { Self.qualified(pair.pair, $0) } ?? pair.pair)
            return try pair.findings.map(\.finding).filter(\.verdict.isUnexpected).map { finding in
                FixtureDraft(
                    source: file, trace: try CommandLineTool.trace(finding.trace.utf8, file: file, in: nil),
                    family: family, base: base, patched: patched, verdict: finding.verdict,
                    shows: shows(finding, base, patched), seed: finding.seed?.seed, references: references)
            }
        }
    }

    /// `family/a..family/b`: a variant's name may be that of another family's variant, too.
    private static func qualified(_ pair: String, _ family: String) -> String {
        let sides = pair.split(separator: "..", omittingEmptySubsequences: false)
        return sides.count == 2 ? "\(family)/\(sides[0])..\(family)/\(sides[1])" : pair
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
