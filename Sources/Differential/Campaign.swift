// SPDX-License-Identifier: GPL-2.0-only
// A campaign: trace after trace on one pair, until the budget is used up.  Its findings are a pure function
// of its configuration; only how far it comes within a time limit depends on the machine.

import CKernel
import KernelModel
import Simulation
import Traces
import VariantKit

/// What to run, and how long.
public struct CampaignConfiguration: Codable, Sendable {
    public var seed: UInt64 = CampaignConfiguration.defaultSeed
    /// Traces to run; nil: until the time is up.
    public var traces: Int?
    /// Schedules of each trace before it is compared.
    public var schedules = 128
    /// Seconds; nil: until the traces are run.
    public var seconds: Double?
    /// This part of the traces, of so many parts: how parallel workers share the work.
    public var part = 0
    public var parts = 1
    /// The traces before this one are left out: how a campaign goes on after a trace that ended its process.
    public var first = 0
    /// Preempt in changed functions alone in one schedule of four.
    public var focused = false
    public var strategy = StrategyChoice.portfolio
    /// Lay the second machine's memory out in another order.
    public var permuted = true

    public init() {}

    /// Fixed, so that two people who type the same see the same.
    public static let defaultSeed: UInt64 = 1

    /// The number of the first trace to run.
    var firstOfPart: Int {
        guard first > part else { return part }
        return part + (first - part + parts - 1) / parts * parts
    }
}

/// How far a campaign has come.
public struct CampaignProgress: Codable, Sendable {
    public var traces = 0
    /// Traces whose set-up did not run.
    public var skipped = 0
    public var schedules = 0
    /// Different ones among them.
    public var distinct = 0
    /// Schedules that entered a changed function.
    public var reached = 0
    public var steps = 0
    public var differences = 0
    public var seconds = 0.0
    /// The trace that runs now.
    public var current = 0

    public init() {}
}

/// Where traces come from: a generator, or one given trace again and again, alone or with other kernel threads each time.
public enum TraceSource: Sendable {
    case generator(Generator)
    case given(Trace)
    case accompanied(Trace, by: [Operation])

    public func trace(_ seed: UInt64, _ number: Int) -> Trace {
        let key = mix(seed ^ mix(UInt64(number)))
        switch self {
        case .generator(let generator): return generator.trace(seed: key)
        case .given(let trace): return trace
        // Whether they can be added is asked before.
        case .accompanied(let trace, let operations):
            return (try? trace.with(kernelTasks: operations, seed: key)) ?? trace
        }
    }

    /// Whether all its traces are one.
    public var isOneTrace: Bool { if case .given = self { true } else { false } }
}

/// Runs traces on a pair and collects findings, each distinct one once.
public final class Campaign {
    public let configuration: CampaignConfiguration
    public private(set) var progress = CampaignProgress()
    /// In the order of their discovery.
    public private(set) var findings: [Finding] = []
    /// Called now and then with the progress, and for each new finding; false ends the campaign.
    public var observer: (Campaign, Finding?) -> Bool = { _, _ in true }

    /// What was drawn from which strategy, on the traces that entered a changed function.
    public var strategies: [StrategyFigures] { tally.figures }
    /// How much of what the pair changes was run.
    public var coverage: Coverage { Coverage(ofProcess: ()) }

    private var tally = StrategyTally()
    private let pair: PairOfMachines
    private let source: TraceSource
    private let vocabulary: Vocabulary
    private let claims: [Claim]
    private let budget: SettlementBudget
    /// For look-ups only: the order of a dictionary differs from run to run.
    private var dismissed: [String: Int] = [:]
    private var aliases: [String: String] = [:]
    private var undecided = 0

    public init(
        _ pair: PairOfMachines, _ source: TraceSource, _ vocabulary: Vocabulary, claims: [Claim],
        configuration: CampaignConfiguration, budget: SettlementBudget = SettlementBudget()
    ) {
        self.pair = pair
        self.source = source
        self.vocabulary = vocabulary
        self.claims = claims
        self.configuration = configuration
        self.budget = budget
        pair.leaveOut(claims)
    }

    /// Finds out what is near changed functions, and which yield points they have, on traces of its own; run before
    /// everything else.  Only a run that asks for focused schedules preempts near them: see docs/TESTING.md.
    public func survey(_ source: TraceSource) {
        pair.survey(source, vocabulary)
        if configuration.strategy != .focused { Focus.current = Focus() }
    }

    /// Runs until the budget is used up or the observer ends it.
    public func run() {
        let clock = ContinuousClock()
        let start = clock.now
        pair.deadline = configuration.seconds.map { start + .seconds($0 + Campaign.grace) }
        var number = configuration.firstOfPart
        defer { tally.endTrace() }
        while true {
            progress.seconds = seconds(clock.now - start)
            if let limit = configuration.traces, number >= limit { return }
            if let limit = configuration.seconds, progress.seconds >= limit { return }
            progress.current = number
            guard observer(self, nil) else { return }
            runTrace(number)
            number += configuration.parts
        }
    }

    /// How long after its time a campaign may settle what it has found, in seconds.
    private static let grace = 3.0

    private func runTrace(_ number: Int) {
        let trace = source.trace(configuration.seed, number)
        guard let compiled = try? CompiledTrace(trace, vocabulary), pair.load(compiled, alike: false) else {
            progress.skipped += 1
            return
        }
        let seed = ScheduleSeed(
            seed: configuration.seed, trace: number, schedule: 0, focused: configuration.focused ? true : nil,
            choice: configuration.strategy)
        let comparison = pair.compare(seed, schedules: configuration.schedules)
        progress.traces += 1
        progress.schedules += comparison.schedules
        progress.distinct += comparison.distinct
        progress.reached += comparison.reached
        progress.steps += comparison.steps
        if comparison.reached > 0 { tally.add(comparison.strategies) }
        // A given trace is one trace, however often it is run.
        if !source.isOneTrace { tally.endTrace() }
        if let place = comparison.differsInEvents { noteCounts(.events, place, trace) }
        if let place = comparison.differsInCost { noteCounts(.cost, place, trace) }
        for place in comparison.differsAsClaimed { noteClaimedState(place, trace) }
        for (kinds, place) in comparison.brokenOnBoth { noteBrokenOnBoth(kinds, place, trace) }
        for candidate in comparison.candidates.prefix(Campaign.candidatesPerTrace) {
            examine(candidate, trace, compiled)
        }
    }

    /// One trace's candidates are mostly one difference in many dresses.
    private static let candidatesPerTrace = 3
    /// How often a subject may turn out to be reachable on both sides before it is taken to be so.
    private static let dismissals = 6
    /// How many candidates may stay undecided before no more are tried: each costs seconds.
    private static let undecidedLimit = 5

    // MARK: Candidates

    private func examine(_ candidate: Candidate, _ trace: Trace, _ compiled: CompiledTrace) {
        guard pair.load(compiled) else { return }
        let picture = Picture(pair, candidate.seed)
        guard picture.essence(candidate.side) == candidate.essence else { return }
        let likeness = Likeness(candidate, other: picture.essence(candidate.side.other))
        let (level, subject) = picture.subject(candidate, likeness)
        let direction: Finding.Direction = candidate.side == .patched ? .new : .lost
        let key = ([level, direction.rawValue] + subject).joined(separator: " ")
        if let known = findings.firstIndex(where: { $0.key == aliases[key] ?? key }) {
            findings[known].traces += 1
            return
        }
        guard dismissed[key, default: 0] < Campaign.dismissals, undecided < Campaign.undecidedLimit else { return }
        switch pair.settle(candidate, likeness, trace: trace, vocabulary: vocabulary, budget: budget) {
        case .dismissed:
            dismissed[key, default: 0] += 1
        case .outOfTime:
            return
        case .undecided:
            dismissed[key, default: 0] += 1
            undecided += 1
            noteUndecided(level, direction, candidate, trace)
        case .settled(let settled):
            guard pair.load(settled.compiled) else { return }
            let final = Picture(pair, settled.schedule)
            // On the cut-down trace less differs.
            let (finalLevel, finalSubject) = final.subject(
                Candidate(side: settled.side, essence: final.essence(settled.side), seed: candidate.seed), likeness)
            var finding = final.finding(
                finalLevel, direction, finalSubject.isEmpty ? subject : finalSubject, settled, candidate.seed)
            if finding.verdict == .divergent, finalLevel == Level.abi.rawValue,
                let claim = claims.covering(final.changedResults)
            {
                (finding.verdict, finding.claim) = (.expected, claim.sentence)
            }
            add(finding, also: key)
        }
    }

    /// A difference that shows only under many preemptions: nobody knows whether the other side has it.
    private func noteUndecided(
        _ level: String, _ direction: Finding.Direction, _ candidate: Candidate, _ trace: Trace
    ) {
        merge(
            Finding(
                level: level, direction: direction, subject: ["an outcome under many preemptions"],
                verdict: .inconclusive, traces: 1, seed: candidate.seed, firstDivergence: nil, broken: [],
                difference: [], trace: trace.description,
                effort: "the other side did not in \(budget.sampled) random schedules; no schedule with at most"
                    + " \(budget.preemptionBound) preemptions shows it, or there were too many to run", claim: nil))
    }

    // MARK: Other findings

    /// The level `events` or `cost`: what was done differs although the outcome is the same.
    private func noteCounts(_ level: Level, _ seed: ScheduleSeed, _ trace: Trace) {
        let picture = Picture(pair, seed)
        for event in eventKinds(level) {
            guard let difference = EventDifference(event, picture.events.base, picture.events.patched) else { continue }
            let name = eventName(event)
            let claim = claims.first { $0.covers(level, name, difference.direction) }
            let finding = Finding(
                level: level.rawValue, direction: difference.direction, subject: [name],
                verdict: claim == nil ? .divergent : .expected, traces: 1, seed: seed,
                firstDivergence: picture.firstDivergence, broken: [], difference: difference.lines,
                trace: trace.description,
                effort: "under the schedule without preemption, with the same results and state", claim: claim?.sentence
            )
            merge(finding)
        }
    }

    /// The level `state`: fields that claims are about, in runs with the same results and the same state otherwise.
    /// Under preemption one schedule by name is not one schedule: what differs the wrong way then may do so by chance.
    private func noteClaimedState(_ seed: ScheduleSeed, _ trace: Trace) {
        let picture = Picture(pair, seed)
        let difference = StateDifference(picture.base.tree, picture.patched.tree)
        for change in difference.changes where pair.leavesOut(change.field) {
            let direction: Finding.Direction = change.isMore ? .new : .lost
            let claim = claims.first { $0.covers(.state, change.field, direction) }
            if claim == nil && seed.schedule != 0 { continue }
            merge(
                Finding(
                    level: Level.state.rawValue, direction: direction, subject: [change.field],
                    verdict: claim == nil ? .divergent : .expected, traces: 1, seed: seed,
                    firstDivergence: picture.firstDivergence, broken: [], difference: difference.lines,
                    trace: trace.description,
                    effort: "under schedule \(seed.schedule), with the same results and the same state otherwise",
                    claim: claim?.sentence))
        }
    }

    private func eventKinds(_ level: Level) -> Range<Int> {
        let firstOfCost = Int(EVENT_lock.rawValue)
        return level == .events ? 0..<firstOfCost : firstOfCost..<Int(NR_EVENT_KINDS.rawValue)
    }

    private func noteBrokenOnBoth(_ mask: UInt32, _ seed: ScheduleSeed, _ trace: Trace) {
        for invariant in invariants where mask & 1 << invariant.kind != 0 {
            var finding = Finding(
                level: "invariants", direction: .both, subject: [invariant.name], verdict: .preExisting, traces: 1,
                seed: seed, firstDivergence: nil, broken: [], difference: [], trace: "",
                effort: "both sides break it", claim: nil)
            if !findings.contains(where: { $0.key == finding.key }) {
                let detail = Picture(pair, seed).base
                finding.broken = detail.broken.filter { $0.name == invariant.name }
                var scheduled = trace
                scheduled.schedule = detail.schedule
                finding.trace = scheduled.description
            }
            merge(finding)
        }
    }

    private func merge(_ finding: Finding) {
        if let known = findings.firstIndex(where: { $0.key == finding.key }) {
            findings[known].traces += 1
        } else {
            add(finding)
        }
    }

    /// - Parameter also: another key under which the same difference will come again.
    private func add(_ finding: Finding, also key: String) {
        if finding.key != key { aliases[key] = finding.key }
        merge(finding)
    }

    private func add(_ finding: Finding) {
        findings.append(finding)
        progress.differences += 1
        _ = observer(self, finding)
    }
}

extension [Claim] {
    /// The claim that covers these results, or the last of those that do so together; nil if one is not covered.
    fileprivate func covering(_ changes: [FieldChange]) -> Claim? {
        var last: Claim?
        for change in changes {
            last = first { $0.level == .abi && $0.subject == change.field && $0.hasValues(of: change) }
            if last == nil { return nil }
        }
        return last
    }
}

extension Claim {
    fileprivate func hasValues(of change: FieldChange) -> Bool {
        values.map { $0.before == change.before && $0.after == change.after } ?? false
    }

    func covers(_ level: Level, _ subject: String, _ direction: Finding.Direction) -> Bool {
        self.level == level && self.subject == subject
            && (self.direction == .either || self.direction.rawValue == direction.rawValue)
    }
}
