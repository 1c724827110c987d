// SPDX-License-Identifier: GPL-2.0-only
// One finding for people, wherever it is shown.

import Differential

/// A headline, and below it what is known: a word in front, then the text.
public struct FindingText {
    public private(set) var lines: [String]

    /// - Parameter number: stands before the headline.
    public init(_ item: ReportedFinding, _ number: String = "") {
        let finding = item.finding
        lines = ["\(number)\(finding.verdict.rawValue): \(finding.headline)"]
        // The headline says so.
        if finding.verdict != .preExisting { add("settled", [finding.effort]) }
        add("how", Array(told(finding.story)))
        add(finding.verdict == .crash ? "at" : "diverges", finding.firstDivergence.map { [$0] } ?? [])
        add("breaks", finding.broken.flatMap(\.told))
        add("state", finding.difference)
        add("claim", finding.claim.map { ["\"\($0)\""] } ?? [])
        add("trace", item.traceFile.map { [$0] } ?? [])
        add("replay", item.replay.map { [$0] } ?? [])
        add("again", item.again.map { [$0] } ?? [])
    }

    private mutating func add(_ title: String, _ text: [String]) {
        let width = 10
        for (number, line) in text.enumerated() {
            let head = number == 0 ? title : ""
            lines.append("   " + head + String(repeating: " ", count: width - head.count) + line)
        }
    }
}

/// The clauses of a story as lines of one sentence.
func told(_ story: [String]) -> [String] {
    story.enumerated().map { $1 + ($0 < story.count - 1 ? ";" : "") }
}

extension Finding {
    var headline: String {
        let seen = "\(traces) \(traces == 1 ? "trace" : "traces")"
        return "\(subject.joined(separator: ", ")) (\(level); \(possible); seen on \(seen))"
    }

    private var possible: String {
        switch (direction, level) {
        case (.both, "crash"): "side unknown"
        case (.both, _) where verdict == .inconclusive: "on either side"
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
        return ["\(name): \(rule)", isAtRest ? "  at rest" : "  at t\(task) op \(op) \(place)\(held)"]
    }
}
