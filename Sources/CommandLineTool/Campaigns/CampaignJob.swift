// SPDX-License-Identifier: GPL-2.0-only
// A part of a campaign in a worker process.

import Differential
import KernelModel
import Processes
import Traces
import VariantKit

/// What a worker needs to run its part of a campaign on a pair.
struct CampaignJob: Codable {
    var pair: CompiledPair
    /// Whose weights count.
    var family: String?
    /// What may differ on purpose.
    var claims: [Claim]
    /// A trace to run again and again; nil: random ones.
    var given: String?
    /// Operations of kernel threads that are added to it.
    var kernelTasks: [String] = []
    var configuration: CampaignConfiguration
    /// When to stop before its traces and its time are used up.
    var goal: CampaignGoal?

    /// What it sends.
    enum Message: Codable {
        /// Before each trace.
        case progress(CampaignProgress)
        case found(Finding)
        /// An execution was another one when it was run again.
        case irreproducible(String)
        /// At the end, with all findings as they are then.
        case finished(CampaignProgress, [Finding], CampaignFigures)
    }

    func run(_ worker: Worker) throws {
        let era = try self.era()
        let (base, patched) = try commandLineCatalog.load(pair, era: era.name)
        let family = try family.map(commandLineCatalog.family)
        let machines = try PairOfMachines(base: base, patched: patched, permuted: configuration.permuted)
        var configuration = configuration
        configuration.focused = family?.focused ?? false
        let campaign = Campaign(
            machines, try source(), Vocabulary(era),
            claims: claims, configuration: configuration)
        campaign.observer = { campaign, finding in
            if finding == nil { worker.begin("trace \(campaign.progress.judged ?? campaign.progress.current)") }
            return send(finding.map(Message.found) ?? .progress(campaign.progress), worker)
                && goal?.isReached(by: campaign) != true
        }
        // A given trace does not say what else there is to reach.
        if configuration.strategy == .focused || given != nil {
            worker.begin("the survey")
            campaign.survey(try generator())
        }
        campaign.run()
        if let words = campaign.irreproducible { return try worker.send(Message.irreproducible(words)) }
        let figures = CampaignFigures(strategies: campaign.strategies, coverage: campaign.coverage)
        campaign.repeatFindings()
        try worker.send(Message.finished(campaign.progress, campaign.findings, figures))
    }

    /// Where its traces come from; needs no simulation.
    func source() throws -> TraceSource {
        if let given {
            let (era, trace) = (try era(), try trace(given.utf8, in: era().name))
            let operations = era.kernelOperations.filter { kernelTasks.contains($0.name) }
            return operations.isEmpty ? .given(trace) : .accompanied(trace, by: operations)
        }
        return try generator()
    }

    private func generator() throws -> TraceSource {
        let weights = try family.map(commandLineCatalog.family)?.weights ?? [:]
        return .generator(Generator(Vocabulary(try era()), weights: weights))
    }

    /// That of its variants; two files are compared in the era of the given trace.
    func era() throws -> Era {
        let name = try commandLineCatalog.era(of: pair) ?? given.map { try trace($0.utf8, in: nil).era }
        return name.flatMap(Era.named) ?? Era.all[0]
    }

    /// - Returns: false if nobody listens any more.
    private func send(_ message: Message, _ worker: Worker) -> Bool {
        (try? worker.send(message)) != nil
    }
}

extension Era {
    /// What kernel threads do.
    var kernelOperations: [Operation] { operations.filter { $0.actor == .kernel } }
}

/// What a campaign was made of, and how much of the patch it ran.
struct CampaignFigures: Codable {
    var strategies: [StrategyFigures]
    var coverage: Coverage

    /// Adds those of another part of the same pair.
    mutating func add(_ other: CampaignFigures, oneTrace: Bool) {
        coverage.add(other.coverage)
        for figures in other.strategies {
            let isSame = { (known: StrategyFigures) in
                known.name == figures.name && known.parameter == figures.parameter
            }
            if let known = strategies.firstIndex(where: isSame) {
                strategies[known].add(figures, oneTrace: oneTrace)
            } else {
                strategies.append(figures)
            }
        }
    }
}
