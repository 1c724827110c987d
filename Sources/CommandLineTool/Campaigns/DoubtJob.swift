// SPDX-License-Identifier: GPL-2.0-only
// The doubts of a run, in worker processes: one for each pair, before its campaign.

import Differential
import KernelModel
import Processes
import Simulation
import Traces
import VariantKit

/// What a worker needs to doubt a pair: the same as to run it.
struct DoubtJob: Codable {
    var campaign: CampaignJob

    /// What it sends, whenever it knows more.
    struct Message: Codable {
        var doubt: SelfDoubt
        var seconds: Double
    }

    func run(_ worker: Worker) throws {
        let start = ContinuousClock.now
        let era = try campaign.era()
        let (base, patched) = try commandLineCatalog.load(campaign.pair, era: era.name)
        guard let first = Arena(slot: 0), let second = Arena(slot: 1) else { throw NoAddressSpace() }
        let doubter = Doubter(
            base: base, patched: patched, try campaign.source(), Vocabulary(era),
            configuration: campaign.configuration, arenas: (first, second))
        worker.begin("self-doubt")
        try doubter.run { doubt in
            worker.progress()
            try worker.send(Message(doubt: doubt, seconds: (ContinuousClock.now - start).inSeconds))
        }
    }
}

extension CampaignRunner {
    /// Doubts all pairs.
    ///
    /// - Returns: what came of it, in the order of the pairs.
    func doubt() throws -> [DoubtJob.Message] {
        var results = [DoubtJob.Message](
            repeating: DoubtJob.Message(doubt: SelfDoubt(), seconds: 0), count: pairs.count)
        let jobs = pairs.indices.map { WorkerJob.doubt(DoubtJob(campaign: job($0, part: 0))) }
        let ends = try WorkerPool(width: self.jobs, patience: patience).run(jobs) {
            (number: Int, message: DoubtJob.Message) in results[number] = message
        }
        for (number, end) in ends.enumerated() {
            switch end {
            case .done: break
            case .failed(let complaint): throw InputError("\(pairs[number].name): \(complaint)")
            case .crashed(let signal, let place, _):
                results[number].doubt.stop("\(signalName(signal)) at \(place.text)")
            case .hung(let place): results[number].doubt.stop("an endless loop at \(place.text)")
            }
        }
        return results
    }
}

extension SelfDoubt {
    /// Code that crashes for want of a lock is heard, too; any other crash ends the doubts early.
    fileprivate mutating func stop(_ crash: String) {
        if canary?.lock != nil && canary?.heard == nil { canary!.heard = crash } else { stopped = crash }
    }
}

extension Duration {
    var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}
