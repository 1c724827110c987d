// SPDX-License-Identifier: GPL-2.0-only
// Jobs about one trace: to replay it, and to explore it.

import Differential
import KernelModel
import Processes
import Traces
import VariantKit

/// Runs one trace once, on one variant.
struct ReplayJob: Codable {
    /// The variant is its patched side; a C file stands on the base.
    var pair: CompiledPair
    var trace: String

    func run(_ worker: Worker) throws {
        worker.begin("a replay")
        let (trace, _, variant) = try pair.read(self.trace)
        guard let replay = try Replay(trace, on: variant, vocabulary: trace.vocabulary) else { throw SetupFailure() }
        try worker.send(replay)
    }
}

/// Runs one trace under all schedules, on both sides.
struct ExploreJob: Codable {
    var pair: CompiledPair
    var trace: String
    var plan: SearchPlan

    func run(_ worker: Worker) throws {
        worker.begin("an exploration")
        let (trace, base, patched) = try pair.read(self.trace)
        let compiled = try CompiledTrace(trace, trace.vocabulary)
        let machines = try PairOfMachines(base: base, patched: patched)
        let exploration = Exploration(machines, compiled, plan) { worker.progress() }
        guard let exploration else { throw SetupFailure() }
        try worker.send(exploration)
    }
}

/// Cuts one trace down to what its gravest difference takes.
struct ShrinkJob: Codable {
    var pair: CompiledPair
    var trace: String
    var claims: [Claim]
    var seed: UInt64
    /// Executions to cut down with.
    var budget: Int

    func run(_ worker: Worker) throws {
        worker.begin("the cutting down of a trace")
        let (trace, base, patched) = try pair.read(self.trace)
        let machines = try PairOfMachines(base: base, patched: patched)
        var budget = SettlementBudget()
        budget.shrinking = self.budget
        let shrinking = try machines.shrink(trace, trace.vocabulary, claims: claims, seed: seed, budget: budget)
        guard let shrinking else { throw SetupFailure() }
        try worker.send(shrinking)
    }
}

extension CompiledPair {
    /// A trace for this pair, as the user gave it, and the two variants, loaded.
    fileprivate func read(_ text: String) throws -> (trace: Trace, base: Variant, patched: Variant) {
        let trace = try CommandLineTool.trace(text.utf8, in: try commandLineCatalog.era(of: self))
        let (base, patched) = try commandLineCatalog.load(self, era: trace.era)
        return (trace, base, patched)
    }
}

private struct SetupFailure: Error, CustomStringConvertible {
    var description: String { "the set-up of the trace does not run to its end" }
}

extension Trace {
    /// That of the era which it was parsed for.
    fileprivate var vocabulary: Vocabulary { Vocabulary.all.first { $0.era == era }! }
}

/// Runs a job that sends one result.
///
/// - Parameter program: the build of mmdiff that does it.
func runJob<Result: Decodable>(_ job: WorkerJob, by program: String = "/proc/self/exe") throws -> Result {
    var result: Result?
    let end = try WorkerPool(command: [program, "worker"]).run([job]) { result = $1 }[0]
    switch end {
    case .done: break
    case .failed(let complaint): throw InputError(complaint)
    case .crashed(let signal, let place, _): throw CrashedRun("\(signalName(signal)) at \(place.text)")
    case .hung(let place): throw CrashedRun("an endless loop at \(place.text)")
    }
    guard let result else { throw CrashedRun("the worker sent no result") }
    return result
}

/// A run that ended its process: for a variant that crashes, that is what is to be seen.
struct CrashedRun: Error, CustomStringConvertible {
    var description: String

    init(_ description: String) {
        self.description = description
    }
}
