// SPDX-License-Identifier: GPL-2.0-only
// How soon a strategy sees a difference: the measure by which strategies are chosen.  What is seen is not settled, which
// takes longer than seeing it and has nothing to do with the strategy.

import CKernel
import KernelModel
import Simulation
import Traces

/// A kind of difference and when it was seen first.
public struct Detection: Codable, Equatable, Sendable {
    /// `new held-at-return`: an invariant, the ending of an attempt, or a level.
    public var kind: String
    /// Traces and schedules run until it was seen first, that one included.
    public var traces: Int
    public var schedules: Int
    /// Traces that showed it.  When it is seen first depends on the traces above all; in how many of the same traces, on the
    /// schedules.
    public var seen = 0
}

/// What is compared.
public struct DetectionPlan: Sendable {
    public var choice: StrategyChoice
    /// Whether the portfolio preempts in changed functions, and whether around them, too.
    public var focused = false
    public var around = false
    /// Whether the portfolio takes the length of a run from the trace's first one.
    public var measured = false
    public var traces = 1000
    public var schedules = CampaignConfiguration().schedules

    public init(_ choice: StrategyChoice, focused: Bool = false, around: Bool = false, measured: Bool = false) {
        (self.choice, self.focused, self.around, self.measured) = (choice, focused, around, measured)
    }

    public var name: String {
        if measured { return choice.rawValue + " measured" }
        guard focused || choice == .focused else { return choice.rawValue }
        return choice.rawValue + (around ? " around" : " inside")
    }
}

extension PairOfMachines {
    /// When each kind of difference is seen first among the traces of a seed, in the order in which they are seen; and
    /// how many schedules there were in all.
    public func detections(
        _ plan: DetectionPlan, _ source: TraceSource, _ vocabulary: Vocabulary, seed: UInt64
    ) -> (seen: [Detection], schedules: Int) {
        Focus.current = Focus()
        if plan.around { survey(source, vocabulary) }
        var seen: [Detection] = []
        var schedules = 0
        for number in 0..<plan.traces {
            guard let compiled = try? CompiledTrace(source.trace(seed, number), vocabulary), load(compiled) else {
                continue
            }
            let place = ScheduleSeed(
                seed: seed, trace: number, schedule: 0, focused: plan.focused ? true : nil, choice: plan.choice,
                steps: plan.measured ? 0 : nil)
            let comparison = compare(place, schedules: plan.schedules)
            let here = comparison.candidates.map { (kinds: kinds($0), schedule: $0.seed.schedule) }
            for kind in Set(here.flatMap(\.kinds)).sorted() {
                if !seen.contains(where: { $0.kind == kind }) {
                    let schedule = here.filter { $0.kinds.contains(kind) }.map(\.schedule).min()!
                    seen.append(Detection(kind: kind, traces: number + 1, schedules: schedules + schedule + 1))
                }
                seen[seen.firstIndex { $0.kind == kind }!].seen += 1
            }
            schedules += comparison.schedules
        }
        return (seen, schedules)
    }

    /// What a candidate of the loaded trace is about.
    private func kinds(_ candidate: Candidate) -> [String] {
        let direction = candidate.side == .patched ? "new" : "lost"
        candidate.seed.strategy().install()
        let other = self[candidate.side.other].run().essence
        candidate.seed.strategy().install()
        let log = StepLog()
        _ = log.record { self[candidate.side].run() }
        let endings = EventTally(ofLog: ()).endings(among: candidate.attempts)
        if candidate.attempts != 0 { return endings.map { "\(direction) \($0)" } }
        guard let likeness = Likeness(candidate, other: other) else { return [] }
        if likeness.violations != 0 {
            return invariants.filter { likeness.violations & 1 << $0.kind != 0 }.map { "\(direction) \($0.name)" }
        }
        if let end = likeness.end { return ["\(direction) \(endName(end))"] }
        return ["\(direction) \(candidate.essence.abi != other.abi ? "results" : "state")"]
    }
}
