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
    /// Whose weights and claims count.
    var family: String?
    /// A trace to run again and again; nil: random ones.
    var given: String?
    var configuration: CampaignConfiguration

    /// What it sends.
    enum Message: Codable {
        /// Before each trace.
        case progress(CampaignProgress)
        case found(Finding)
        /// At the end, with all findings as they are then.
        case finished(CampaignProgress, [Finding])
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
            claims: family?.claims(base: base.name, patched: patched.name) ?? [], configuration: configuration)
        campaign.observer = { campaign, finding in
            if finding == nil { worker.begin("trace \(campaign.progress.current)") }
            return send(finding.map(Message.found) ?? .progress(campaign.progress), worker)
        }
        campaign.run()
        try worker.send(Message.finished(campaign.progress, campaign.findings))
    }

    /// Where its traces come from; needs no simulation.
    func source() throws -> TraceSource {
        let era = try self.era()
        if let given { return .given(try trace(given.utf8, in: era.name)) }
        let weights = try family.map(commandLineCatalog.family)?.weights ?? [:]
        return .generator(Generator(Vocabulary(era), weights: weights))
    }

    /// That of its variants; two files are compared in the era of the given trace.
    private func era() throws -> Era {
        let name = try commandLineCatalog.era(of: pair) ?? given.map { try trace($0.utf8, in: nil).era }
        return name.flatMap(Era.named) ?? Era.all[0]
    }

    /// - Returns: false if nobody listens any more.
    private func send(_ message: Message, _ worker: Worker) -> Bool {
        (try? worker.send(message)) != nil
    }
}
