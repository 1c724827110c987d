// SPDX-License-Identifier: GPL-2.0-only
// mmdiff worker: the process that does one job for another mmdiff.  The parent never simulates.

import ArgumentParser
import Processes

/// A job of a worker process.
enum WorkerJob: Codable {
    /// Sends the text back: for `mmdiff doctor`.
    case echo(String)
    /// Says which build it is.
    case identity
    case campaign(CampaignJob)
    case doubt(DoubtJob)
    case replay(ReplayJob)
    case explore(ExploreJob)
    case complete(CompleteComparisonJob)
    case benchExplore(BenchExploreJob)
    case fixtures(FixtureJob)
    case shrink(ShrinkJob)
}

struct WorkerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "worker", abstract: "Do a job for another mmdiff.", shouldDisplay: false)

    func run() throws {
        Worker.main { (worker: Worker, job: WorkerJob) in
            switch job {
            case .echo(let text): try worker.send(text)
            case .identity: try worker.send(BuildIdentity.own)
            case .campaign(let campaign): try campaign.run(worker)
            case .doubt(let doubt): try doubt.run(worker)
            case .replay(let replay): try replay.run(worker)
            case .explore(let exploration): try exploration.run(worker)
            case .complete(let comparison): try comparison.run(worker)
            case .benchExplore(let measurement): try measurement.run(worker)
            case .fixtures(let fixtures): try fixtures.run(worker)
            case .shrink(let shrinking): try shrinking.run(worker)
            }
        }
    }
}
