// SPDX-License-Identifier: GPL-2.0-only
// A campaign: trace after trace on one pair, until the budget is used up.  Its findings are a pure function
// of its configuration; only how far it comes within a time limit depends on the machine.

import CKernel
import KernelModel
import Simulation
import Traces
import VariantKit

/// Runs traces on a pair and collects findings, each distinct one once.
public final class Campaign {
    public let configuration: CampaignConfiguration
    public internal(set) var progress = CampaignProgress()
    /// Set if a reported execution was another one when it was run again: then nothing that was found counts.
    public internal(set) var irreproducible: String?
    /// In the order of their discovery.
    public internal(set) var findings: [Finding] = []
    /// Called now and then with the progress, and for each new finding; false ends the campaign.
    public var observer: (Campaign, Finding?) -> Bool = { _, _ in true }

    /// What was drawn from which strategy, on the traces that entered a changed function.
    public var strategies: [StrategyFigures] { tally.figures }
    /// How much of what the pair changes was run.
    public var coverage: Coverage { Coverage(ofProcess: ()) }

    private var tally = StrategyTally()
    let pair: PairOfMachines
    private let source: TraceSource
    let vocabulary: Vocabulary
    let claims: [Claim]
    let budget: SettlementBudget
    var docket = Docket()
    /// The keys of findings by the keys that their candidates had.  For look-ups only: the order of a dictionary
    /// differs from run to run.
    var aliases: [String: String] = [:]
    /// Executions that comparing has taken.
    var compared = 0
    private var start = ContinuousClock.now

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
        pair.suppose(claims)
        if configuration.blind { pair.blind() }
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
        start = clock.now
        pair.deadline = configuration.seconds.map { start + .seconds($0 + Campaign.grace) }
        var number = configuration.firstOfPart
        defer { tally.endTrace() }
        while true {
            progress.seconds = seconds(clock.now - start)
            if let limit = configuration.traces, number >= limit { break }
            if let limit = configuration.seconds, progress.seconds >= limit { break }
            progress.current = number
            guard observer(self, nil) else { return }
            runTrace(number)
            guard !isEnded, settleWaiting(all: false) else { return }
            number += configuration.parts
        }
        guard settleWaiting(all: true) else { return }
        for rank in Subject.levels.indices { noteUnsettled(docket.entries.filter { $0.witness.subject.rank == rank }) }
        progress.seconds = seconds(clock.now - start)
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
        compared += 2 * comparison.schedules
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
        for (kinds, place) in comparison.brokenOnBoth { noteBrokenOnBoth(kinds, place, trace, .base) }
        for candidate in comparison.candidates.prefix(Campaign.candidatesPerTrace) {
            examine(candidate, trace, compiled)
        }
    }

    /// One trace's candidates are mostly one difference in many dresses.
    private static let candidatesPerTrace = 4

    // MARK: Findings

    /// Adds a finding of the loaded trace, if its execution can be repeated.
    ///
    /// - Parameter install: installs the strategy that shows it.
    func merge(_ finding: Finding, under install: () -> Void) {
        if findings.contains(where: { $0.isSame(as: finding) }) { return merge(finding) }
        reproduced {
            try pair.runTwice(install)
            merge(finding)
        }
    }

    /// Adds a finding, or counts one that is known; what was open until now is settled by it.
    func merge(_ finding: Finding) {
        guard let known = findings.firstIndex(where: { $0.isSame(as: finding) }) else {
            findings.append(detectedNow(finding))
            tell(finding)
            return
        }
        let traces = findings[known].traces + 1
        if findings[known].verdict == .inconclusive && finding.verdict != .inconclusive {
            findings[known] = detectedNow(finding)
            tell(finding)
        }
        findings[known].traces = traces
    }

    private func detectedNow(_ finding: Finding) -> Finding {
        var finding = finding
        finding.detection = Finding.Detection(
            traces: progress.traces, schedules: progress.schedules, seconds: seconds(ContinuousClock.now - start))
        return finding
    }

    func tell(_ finding: Finding) {
        progress.differences += 1
        isEnded = !observer(self, finding) || isEnded
    }

    /// Whether the observer has ended it.
    var isEnded = false
}
