// SPDX-License-Identifier: GPL-2.0-only
// One trace that shows a difference, cut down: what `mmdiff shrink` does.

import CKernel
import KernelModel
import Simulation
import Traces
import VariantKit

/// How large a trace is, with the schedule that shows its difference.
public struct TraceSize: Codable, Equatable, Sendable {
    public var tasks, operations: Int
    /// Nil where no schedule was given.
    public var preemptions: Int?
    public var pages, cpus: Int

    public init(_ trace: Trace) {
        tasks = trace.tasks.count
        operations = trace.operations
        preemptions = trace.schedule?.preemptions
        (pages, cpus) = (trace.machine.pages, trace.machine.cpus)
    }
}

/// What became of a trace that was to be cut down.
public struct TraceShrinking: Codable, Sendable {
    /// The difference, with the trace that is left; nil if the trace shows none.
    public var finding: Finding?
    public var before: TraceSize
    public var after: TraceSize?
    /// How many executions it took.
    public var executions = 0
}

extension PairOfMachines {
    /// How many rounds of schedules a trace without one is searched for a difference by.
    private static let rounds = 16

    /// Looks for the gravest difference that a trace shows, by its own schedule first, and cuts the trace down to what
    /// it takes.
    ///
    /// - Returns: nil if the trace's set-up does not run.
    public func shrink(
        _ trace: Trace, _ vocabulary: Vocabulary, claims: [Claim], seed: UInt64, budget: SettlementBudget
    ) throws -> TraceShrinking? {
        suppose(claims)
        let compiled = try CompiledTrace(trace, vocabulary)
        guard load(compiled) else { return nil }
        var result = TraceShrinking(before: TraceSize(trace))
        var open: Finding?
        for round in -1..<PairOfMachines.rounds where result.finding == nil {
            let place = ScheduleSeed(seed: seed, trace: round + 1, schedule: 0, focused: true)
            guard load(compiled) else { return nil }
            for witness in round < 0 ? own(trace, compiled) : drawn(trace, compiled, place) {
                guard load(compiled), let witness = screen(witness, place, budget) else { continue }
                switch settle(witness, place, budget, strictly: true) {
                case .settled(let settled):
                    result.finding = try finding(settled, place)
                    result.after = TraceSize(settled.witness.scheduled)
                case .undecided(let witness): open = open ?? Finding(undecided: witness, place, budget)
                case .dismissed, .outOfTime: continue
                }
                if result.finding != nil { break }
            }
        }
        result.finding = result.finding ?? open
        result.executions = executions
        return result
    }

    /// What the schedule that comes with a trace shows, on either side.
    private func own(_ trace: Trace, _ compiled: CompiledTrace) -> [Witness] {
        guard let schedule = trace.schedule else { return [] }
        var unscheduled = trace
        unscheduled.schedule = nil
        let nowhere = ScheduleSeed(seed: 0, trace: 0, schedule: 0)
        var found: [Witness?] = []
        for side in [Side.base, .patched] {
            let run = execute(schedule, on: side)
            CompiledSchedule(run.schedule).install()
            let other = essence(side.other)
            var candidate = Candidate(side: side, essence: run.essence, seed: nowhere)
            if run.essence != other { found.append(witness(candidate, unscheduled, compiled, run.schedule)) }
            candidate.attempts = run.essence.attempts & ~other.attempts
            if candidate.attempts != 0 { found.append(witness(candidate, unscheduled, compiled, run.schedule)) }
        }
        let witnesses = found.compactMap { $0 }
        return Subject.levels.indices.flatMap { rank in witnesses.filter { $0.subject.rank == rank } }
    }

    /// What random schedules of a trace show.
    private func drawn(_ trace: Trace, _ compiled: CompiledTrace, _ seed: ScheduleSeed) -> [Witness] {
        var unscheduled = trace
        unscheduled.schedule = nil
        let comparison = compare(seed, schedules: CampaignConfiguration().schedules)
        return comparison.candidates.compactMap { witness($0, unscheduled, compiled) }
    }
}
