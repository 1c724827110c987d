// SPDX-License-Identifier: GPL-2.0-only
// How far the strategies of a run went, in figures that a program reads and in a line for people.

import Differential

/// What was drawn from one strategy, and what can be said of it.
public struct ReportedStrategy: Encodable, Sendable {
    public var figures: StrategyFigures

    public init(_ figures: StrategyFigures) {
        self.figures = figures
    }

    enum CodingKeys: String, CodingKey {
        case strategy, depth, bound, traces, schedules, tasks, steps, published, probability, detection, distinct
        case possible
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(figures.name, forKey: .strategy)
        try container.encodeIfPresent(figures.parameter, forKey: figures.name == "pct" ? .depth : .bound)
        try container.encode(figures.traces, forKey: .traces)
        try container.encode(figures.schedules, forKey: .schedules)
        try container.encode(figures.tasks, forKey: .tasks)
        try container.encode(figures.steps, forKey: .steps)
        try container.encodeIfPresent(figures.published, forKey: .published)
        try container.encodeIfPresent(figures.probability, forKey: .probability)
        try container.encodeIfPresent(detection, forKey: .detection)
        try container.encodeIfPresent(figures.distinct, forKey: .distinct)
        try container.encodeIfPresent(figures.possible, forKey: .possible)
    }

    /// The probability that the schedules of one trace meet a given defect, on average.
    var detection: Double? { figures.detection.map { $0 / Double(max(figures.traces, 1)) } }

    /// `n`, `k` and the like, and what follows from them.
    var line: String {
        let count = "\(figures.schedules) schedules"
        switch figures.name {
        case "pct":
            let depth = figures.parameter ?? 0
            let exponent = depth == 2 ? "" : "^\(depth - 1)"
            return
                "pct, depth \(depth): \(count); 1/(n·k\(exponent)) = \(short(figures.published ?? 0)) with n = \(figures.tasks)"
                + " and k = \(figures.steps), \(short(figures.probability ?? 0)) as change points are hashed;"
                + " a given defect of that depth shows in a trace with at least \(short(detection ?? 0)) on average"
        case "delay":
            let share = Double(figures.distinct ?? 0) / max(figures.possible ?? 1, 1)
            return "delay, bound \(figures.parameter ?? 0): \(count), \(figures.distinct ?? 0) different ones of about"
                + " \(short(figures.possible ?? 0)) within the bound (\(short(share)))"
        default:
            return "\(figures.name): \(count); no bound is known"
        }
    }
}

extension PairReport {
    /// What each strategy says of a run that found nothing.
    var strategyLines: [String] {
        guard !strategies.isEmpty else { return [] }
        return ["\(pair), on \(strategies.map(\.figures.traces).max() ?? 0) traces that reach the patch"]
            + strategies.map { "  " + $0.line } + [""]
    }

    /// The same in a line: what is certain whatever the defect is.
    var boundLines: [String] {
        let bounds = strategies.filter { $0.figures.name == "pct" }.map {
            "\(short($0.detection ?? 0)) for depth \($0.figures.parameter ?? 0)"
        }
        return bounds.isEmpty
            ? [] : ["\(pair): PCT meets a given defect of a trace with at least \(bounds.joined(separator: ", "))"]
    }
}

/// Two digits that count: `0.0042`, `3.1e-07`, `41000`.
func short(_ value: Double) -> String {
    guard value > 0 else { return "0" }
    var (mantissa, exponent) = (value, 0)
    while mantissa >= 10 { (mantissa, exponent) = (mantissa / 10, exponent + 1) }
    while mantissa < 1 { (mantissa, exponent) = (mantissa * 10, exponent - 1) }
    var digits = Int((mantissa * 10).rounded())
    if digits == 100 { (digits, exponent) = (10, exponent + 1) }
    switch exponent {
    case 1...5: return "\(digits)" + String(repeating: "0", count: exponent - 1)
    case 0: return "\(digits / 10).\(digits % 10)"
    case -4 ... -1: return "0." + String(repeating: "0", count: -exponent - 1) + "\(digits)"
    default:
        let sign = exponent < 0 ? "-" : "+"
        return "\(digits / 10).\(digits % 10)e\(sign)\(abs(exponent) < 10 ? "0" : "")\(abs(exponent))"
    }
}
