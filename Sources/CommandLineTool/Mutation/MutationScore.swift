// SPDX-License-Identifier: GPL-2.0-only
// What became of the mutants of a file.

import Differential
import VariantKit

struct MutationScore: Encodable {
    enum Fate: String, Encodable, CaseIterable {
        case killed, survived, equivalent
        case doesNotCompile = "does not compile"
    }

    struct Result: Encodable {
        var name: String
        var rule: Mutant.Rule
        /// Why no trace can tell it from the original, if that is so.
        var equivalent: String?
        var fate = Fate.survived
        /// The difference that killed it, and on which trace.
        var difference: String?
        var trace: Int?
        /// Schedules that entered a changed function.
        var reached = 0

        mutating func note(_ part: PartOfPair) {
            reached = part.progress.reached
            let finding = part.findings.first { $0.verdict.isUnexpected }
            difference = finding?.key
            trace = finding?.seed.trace
            fate = finding != nil ? .killed : equivalent != nil ? .equivalent : .survived
        }
    }

    var file: String
    var variant: String
    /// Run on each, at most.
    var traces: Int
    var results: [Result] = []

    /// Mutants that are said to be equivalent, and are not.
    var wronglyEquivalent: [Result] { results.filter { $0.equivalent != nil && $0.fate == .killed } }

    /// Of those that compile and can be told from the original, how many were.
    var percent: Int {
        let counted = count(.killed) + count(.survived)
        return counted == 0 ? 0 : count(.killed) * 100 / counted
    }

    private func count(_ fate: Fate, _ rule: Mutant.Rule? = nil) -> Int {
        results.count { $0.fate == fate && (rule == nil || $0.rule == rule) }
    }

    var text: String {
        var rows = [["rule"] + Fate.allCases.map(\.rawValue)]
        for rule in Mutant.Rule.allCases where results.contains(where: { $0.rule == rule }) {
            rows.append([rule.rawValue] + Fate.allCases.map { "\(count($0, rule))" })
        }
        rows.append(["all"] + Fate.allCases.map { "\(count($0))" })
        var lines = ["\(file) against \(variant), \(traces) traces each", "", table(rows), ""]
        for (title, fate) in [("survived", Fate.survived), ("equivalent", .equivalent)] {
            for result in results where result.fate == fate {
                lines.append("\(title): \(result.name)" + (result.reached == 0 ? " (never entered)" : ""))
                if let reason = result.equivalent { lines.append("    \(reason)") }
            }
        }
        lines += wronglyEquivalent.map { "said to be equivalent, but killed by \($0.difference ?? ""): \($0.name)" }
        lines.append("\(percent) % of \(count(.killed) + count(.survived)) mutants killed")
        return lines.joined(separator: "\n")
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(file, forKey: .file)
        try container.encode(variant, forKey: .variant)
        try container.encode(traces, forKey: .traces)
        try container.encode(percent, forKey: .percent)
        try container.encode(results, forKey: .results)
    }

    enum CodingKeys: String, CodingKey {
        case file, variant, traces, percent, results
    }
}
