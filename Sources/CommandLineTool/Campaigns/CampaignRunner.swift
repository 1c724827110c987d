// SPDX-License-Identifier: GPL-2.0-only
// The parent's side of a run: a worker process for each part of each pair.  A worker that crashes is a
// finding, and its part goes on behind the trace that it crashed on.

import Differential
import Processes
import Traces
import VariantKit

/// What became of one part of a pair's traces.
struct PartOfPair {
    let pair: Int
    var job: CampaignJob
    var progress = CampaignProgress()
    var findings: [Finding] = []
    /// Once it has come to its end.
    var figures: CampaignFigures?
    /// What it had done before its last worker was started.
    private var done = CampaignProgress()
    private var kept: [Finding] = []
    private(set) var crashes = 0
    /// Set if an execution was another one when it was run again.
    private(set) var irreproducible: String?

    /// A variant that crashes on every trace says nothing new after a few.
    private static let mostCrashes = 3

    init(pair: Int, job: CampaignJob) {
        self.pair = pair
        self.job = job
    }

    mutating func receive(_ message: CampaignJob.Message) {
        switch message {
        case .progress(let progress):
            self.progress = done + progress
        case .found(let finding):
            findings.append(finding)
        case .irreproducible(let words):
            irreproducible = words
        case .finished(let progress, let all, let figures):
            self.progress = done + progress
            findings = kept + all
            self.figures = figures
        }
    }

    /// Notes a crash.
    ///
    /// - Returns: whether there is something left to run behind it.
    mutating func goOn(after crash: Finding, seconds lost: Double) -> Bool {
        findings.append(crash)
        crashes += 1
        progress.differences += 1
        progress.seconds += lost
        (done, kept) = (progress, findings)
        job.configuration.first = progress.current + 1
        if job.goal?.anyDifference == true { return false }
        if let traces = job.configuration.traces, job.configuration.first >= traces { return false }
        if let seconds = job.configuration.seconds {
            job.configuration.seconds = seconds - progress.seconds
            if job.configuration.seconds! <= 0 { return false }
        }
        return crashes < PartOfPair.mostCrashes
    }
}

extension CampaignProgress {
    fileprivate static func + (a: Self, b: Self) -> Self {
        var sum = b
        sum.traces += a.traces
        sum.skipped += a.skipped
        sum.schedules += a.schedules
        sum.distinct += a.distinct
        sum.reached += a.reached
        sum.steps += a.steps
        sum.differences += a.differences
        sum.seconds += a.seconds
        return sum
    }
}

/// Runs pairs in worker processes.
struct CampaignRunner {
    var pairs: [PairToRun]
    var configuration: CampaignConfiguration
    /// The text of a trace to run again and again.
    var given: String?
    /// Operations of kernel threads that are added to it.
    var kernelTasks: [String] = []
    /// When a campaign may stop early.
    var goal: CampaignGoal?
    /// How many workers run side by side.
    var jobs: Int
    /// How long a worker may stand still, in seconds.
    var patience = 5.0

    /// - Parameter watch: called with all parts whenever one has news.
    /// - Returns: all parts, in the order of the pairs.
    func run(watch: ([PartOfPair]) -> Void) throws -> [PartOfPair] {
        var parts = pairs.indices.flatMap { pair in
            (0..<jobs).map { PartOfPair(pair: pair, job: job(pair, part: $0)) }
        }
        let pool = WorkerPool(width: jobs, patience: patience)
        var open = Array(parts.indices)
        while !open.isEmpty {
            let ends = try pool.run(open.map { WorkerJob.campaign(parts[$0].job) }) {
                (number: Int, message: CampaignJob.Message) in
                parts[open[number]].receive(message)
                watch(parts)
            }
            var unfinished: [Int] = []
            for (number, end) in zip(open, ends) where try goesOn(&parts[number], end) { unfinished.append(number) }
            open = unfinished
        }
        return parts
    }

    func job(_ pair: Int, part: Int) -> CampaignJob {
        var configuration = configuration
        (configuration.part, configuration.parts) = (part, jobs)
        return CampaignJob(
            pair: pairs[pair].compiled, family: pairs[pair].family, claims: pairs[pair].claims, given: given,
            kernelTasks: kernelTasks, configuration: configuration, goal: goal)
    }

    /// Whether a part whose worker has ended must go on with another one.
    private func goesOn(_ part: inout PartOfPair, _ end: WorkerEnd) throws -> Bool {
        switch end {
        case .done:
            if let words = part.irreproducible { throw InternalFailure("\(pairs[part.pair].name): \(words)") }
            return false
        case .failed(let complaint):
            throw InputError("\(pairs[part.pair].name): \(complaint)")
        case .crashed(let signal, let place, let words):
            let said = words.split(separator: "\n").first.map { ": \($0)" } ?? ""
            let finding = try crash(part, place, "\(signalName(signal))\(said)")
            return part.goOn(after: finding, seconds: 0)
        case .hung(let place):
            let finding = try crash(part, place, "no end in \(Int(patience)) seconds: an endless loop")
            return part.goOn(after: finding, seconds: patience)
        }
    }

    private func crash(_ part: PartOfPair, _ place: WorkerPlace, _ what: String) throws -> Finding {
        // One that dies before its first trace has nothing to go on from.
        guard !place.activity.isEmpty else { throw InputError("\(pairs[part.pair].name): \(what)") }
        let number = part.progress.judged ?? part.progress.current
        let configuration = part.job.configuration
        let trace = try part.job.source().trace(configuration.seed, number)
        return Finding(
            crash: "\(what) at \(place.yieldPoint)", place: place.text, trace: trace,
            seed: ScheduleSeed(seed: configuration.seed, trace: number, schedule: 0))
    }
}

extension WorkerPlace {
    var text: String {
        guard let task, let op else { return "before any task ran" }
        return "t\(task) op \(op) \(yieldPoint)"
    }
}
