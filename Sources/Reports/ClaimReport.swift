// SPDX-License-Identifier: GPL-2.0-only
// What became of a claim: the differences that it covers, so that one that is too wide is seen; or that there was none.

import Differential
import VariantKit

public struct ClaimReport: Encodable, Sendable {
    /// As a claims file has it.
    public var claim: String
    public var sentence: String
    public var swallowed: [Swallowed] = []
    /// Whether no execution exercised it.
    public var untested: Bool { swallowed.isEmpty }

    /// A difference that it covers.
    public struct Swallowed: Encodable, Equatable, Sendable {
        public var subject: [String]
        public var direction: Finding.Direction
        public var traces: Int
    }

    public init(_ claim: Claim) {
        self.claim = claim.description
        sentence = claim.sentence
    }

    /// With those of the findings that it covers.
    func swallowing(_ findings: [Finding]) -> ClaimReport {
        var report = self
        report.swallowed = findings.filter { $0.coveredBy == claim }.map {
            Swallowed(subject: $0.subject, direction: $0.direction, traces: $0.traces)
        }
        return report
    }

    enum CodingKeys: String, CodingKey {
        case claim, sentence, swallowed, untested
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(claim, forKey: .claim)
        try container.encode(sentence, forKey: .sentence)
        try container.encode(swallowed, forKey: .swallowed)
        try container.encode(untested, forKey: .untested)
    }

    /// For people.
    var lines: [String] {
        if untested { return ["\(claim): untested"] }
        return ["\(claim): expected"]
            + swallowed.map { item in
                let subject = item.subject.joined(separator: ", ")
                return "  \(subject), \(item.direction.rawValue) on \(counted(item.traces, "trace"))"
            }
    }
}

func counted(_ number: Int, _ noun: String) -> String {
    "\(number) \(noun)\(number == 1 ? "" : "s")"
}
