// SPDX-License-Identifier: GPL-2.0-only
// What a run does to find out whether it can be believed: a variant must equal itself on another machine, and a
// variant without one of its locks must not pass for the variant.  How much is run depends on what was asked for,
// never on the clock, so that the same command doubts the same.

import CKernel
import KernelModel
import Simulation
import Traces
import VariantKit

/// How far a run of a pair can be believed.
public struct SelfDoubt: Codable, Sendable {
    /// One for each side.
    public var identities: [Identity] = []
    public var canary: Canary?
    /// What ended it early: a crash, and where.
    public var stopped: String?

    public init() {}

    /// Why the run is not to be believed; empty if it is.
    public var failures: [String] { identities.compactMap(\.failure) + [canary?.failure].compactMap { $0 } }

    /// A variant and itself, at another address, over poisoned memory, with another order of allocation.
    public struct Identity: Codable, Sendable {
        public var variant: String
        public var traces = 0
        public var schedules = 0
        /// The first schedule whose two outcomes were not equal, and what differs.
        public var difference: String?

        var failure: String? { difference.map { "\(variant) differs from itself: \($0)" } }
    }

    /// A variant and itself without one lock.
    public struct Canary: Codable, Sendable {
        public var variant: String
        /// Where the lock was to be taken, `function:lock`; nil if the changed functions take none, or do in no run
        /// that breaks no rule.
        public var lock: String?
        /// Traces run: to find the lock, then until its lack was found.
        public var traces = 0
        /// What the lack was found as; nil if it was not.
        public var heard: String?

        var failure: String? {
            guard let lock, heard == nil else { return nil }
            return "\(variant) without the lock of \(lock) passed for \(variant) on \(traces) traces"
        }
    }
}

/// How much of a run is spent on doubt.
public struct DoubtBudget: Sendable {
    /// Traces for each identity.
    var traces: Int
    /// Schedules of each.
    var schedules = 16

    /// One trace in 30 and, where only time was given, a few a second: some percent of what a second holds.
    public init(_ configuration: CampaignConfiguration) {
        let share = configuration.traces.map { $0 / 30 } ?? Int((configuration.seconds ?? 0) * 4)
        traces = min(max(share, 8), 1_000)
    }
}

/// Doubts a pair.
public struct Doubter {
    private let variants: [Variant]
    private let canaryVariant: Variant
    private let source: TraceSource
    private let vocabulary: Vocabulary
    private let configuration: CampaignConfiguration
    private let arenas: (Arena, Arena)

    /// - Parameter arenas: the two of this process.
    public init(
        base: Variant, patched: Variant, _ source: TraceSource, _ vocabulary: Vocabulary,
        configuration: CampaignConfiguration, arenas: (Arena, Arena)
    ) {
        variants = base.name == patched.name ? [patched] : [base, patched]
        canaryVariant = patched.changedFunctions.isEmpty ? base : patched
        (self.source, self.vocabulary, self.configuration, self.arenas) = (source, vocabulary, configuration, arenas)
    }

    /// - Parameter watch: called with what is known so far, whenever there is more.
    public func run(watch: (SelfDoubt) throws -> Void) throws {
        var doubt = SelfDoubt()
        for variant in variants {
            doubt.identities.append(try identity(of: variant))
            try watch(doubt)
        }
        let pair = try PairOfMachines(base: canaryVariant, patched: canaryVariant, arenas: arenas)
        var canary = SelfDoubt.Canary(variant: canaryVariant.name)
        let first = findLock(pair, &canary)
        doubt.canary = canary
        try watch(doubt)
        if let first {
            listen(pair, from: first, &canary)
            doubt.canary = canary
            try watch(doubt)
        }
    }

    /// The trace of that number, loaded on both sides; false if its set-up does not run.
    private func load(
        _ number: Int, _ pair: PairOfMachines, alike: Bool = true, pagesAlike: Bool = false
    ) -> Bool {
        guard let compiled = try? CompiledTrace(source.trace(configuration.seed, number), vocabulary) else {
            return false
        }
        return pair.load(compiled, alike: alike, pagesAlike: pagesAlike)
    }

    private func schedule(_ trace: Int, _ number: Int) -> ScheduleSeed {
        ScheduleSeed(seed: configuration.seed, trace: trace, schedule: number)
    }

    // MARK: Identity

    /// Under one and the same schedule the two must be equal in every level, so nothing needs to be settled.
    func identity(of variant: Variant) throws -> SelfDoubt.Identity {
        var result = SelfDoubt.Identity(variant: variant.name)
        let budget = DoubtBudget(configuration)
        let pair = try PairOfMachines(
            base: variant, patched: variant, permuted: configuration.permuted, arenas: arenas)
        if configuration.blind { pair.blind() }
        for trace in 0..<budget.traces where load(trace, pair, alike: false) {
            result.traces += 1
            for number in 0..<budget.schedules {
                let place = schedule(trace, number)
                result.schedules += 1
                if areEqual(pair, place) { continue }
                // Where free pages lie may decide whether there is a huge one; that is no difference of a variant.
                if load(trace, pair, alike: false, pagesAlike: true), !areEqual(pair, place) {
                    let fields = Picture(pair, place).stateDifference.fields.prefix(3).joined(separator: ", ")
                    result.difference = "trace \(trace), schedule \(number)" + (fields.isEmpty ? "" : ": \(fields)")
                    return result
                }
                _ = load(trace, pair, alike: false)
            }
        }
        return result
    }

    private func areEqual(_ pair: PairOfMachines, _ schedule: ScheduleSeed) -> Bool {
        schedule.strategy().install()
        let first = pair.base.run()
        return first == pair.patched.run()
    }

    // MARK: Canary

    /// Most traces that are looked through for a lock, and how many must take one.
    private static let mostTraces = 200
    private static let tracesWithLock = 3
    /// Of each trace.  The schedule without preemption is enough: who unlocks what he has not locked breaks a rule under any, and code
    /// that others interrupt for want of a lock may crash before it gets there.
    private static let listeningSchedules = 1

    /// Chooses the lock that the changed functions take most often in runs that break no rule: what is broken anyway
    /// hides what its lack would break.
    ///
    /// - Returns: the first trace on which they take one; nil if there is none.
    private func findLock(_ pair: PairOfMachines, _ canary: inout SelfDoubt.Canary) -> Int? {
        var first: Int?
        var found = 0
        var times: [Int: Int] = [:]
        while canary.traces < Doubter.mostTraces && found < Doubter.tracesWithLock {
            let trace = canary.traces
            canary.traces += 1
            guard load(trace, pair) else { continue }
            schedule(trace, 0).strategy().install()
            watchLocks()
            let outcome = pair.patched.run()
            let taken = acquisitions()
            guard outcome.violations == 0 && outcome.end == UInt8(RUN_COMPLETE.rawValue) && !taken.isEmpty else {
                continue
            }
            for (place, count) in taken { times[place, default: 0] += count }
            found += 1
            first = first ?? trace
        }
        // Numbers of places depend on what the process did before; names do not.
        let names = times.map { (times: $0.value, name: yieldPointName($0.key), place: $0.key) }
        let most = names.max { ($0.times, $1.name) < ($1.times, $0.name) }
        canary.lock = most?.name
        pair.patched.lockLeftOut = most?.place
        return first
    }

    /// Runs the variant beside itself without the lock, as any other pair.  Code may crash for want of it, so this
    /// belongs in a worker process.
    private func listen(_ pair: PairOfMachines, from first: Int, _ canary: inout SelfDoubt.Canary) {
        var configuration = configuration
        (configuration.first, configuration.traces) = (first, canary.traces)
        (configuration.seconds, configuration.schedules) = (nil, Doubter.listeningSchedules)
        (configuration.part, configuration.parts) = (0, 1)
        let campaign = Campaign(
            pair, source, vocabulary, claims: [], configuration: configuration, budget: Doubter.settlement)
        campaign.observer = { campaign, _ in !campaign.findings.contains { $0.verdict.isUnexpected } }
        campaign.run()
        let new = campaign.findings.filter { $0.direction == .new }
        canary.heard = (new.first { $0.verdict.isUnexpected } ?? new.first)?.subject.joined(separator: ", ")
    }

    /// What lacks a lock breaks a rule without any preemption.  Where even that is too much to search, the canary is
    /// heard as inconclusive: it has not passed for the variant.
    private static var settlement: SettlementBudget {
        var budget = SettlementBudget()
        (budget.sampled, budget.sampledAtTheEnd, budget.shrinking) = (100, 100, 1_000)
        (budget.searched, budget.preemptionBound) = (2_000, 1)
        return budget
    }
}
