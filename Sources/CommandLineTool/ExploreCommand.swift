// SPDX-License-Identifier: GPL-2.0-only
// mmdiff explore: what one trace can lead to on both sides of a pair, under all schedules where possible.

import ArgumentParser
import Differential
import Reports
import VariantKit

struct ExploreCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explore", abstract: "Compare the outcome sets of one trace on a pair.",
        discussion: """
            Runs every schedule of the trace on both sides (depth-first), every one with few preemptions (bounded), one \
            of each kind (reduced: steps that touch different memory are tried in one order only), or every state once \
            (stateful). Each state is listed with how many of the schedules of the base and of the patched side end in \
            it, and with what differs from the first; a state of one side alone comes with a schedule that leads there, \
            as a trace file has it.

            Reduced and stateful search need the build that records what steps read and write, beside this one: \
            make explore-build.
            """)

    @Argument(help: "The trace, a file.", completion: .file())
    var trace: String

    @Option(help: "BASE..PATCHED, each a variant's name or a C file.")
    var pair: String

    @Option(help: "How to search: depth-first, bounded, reduced or stateful; bounded if --preemptions is given.")
    var mode: SearchMode?

    @Option(help: "The most preemptions of a schedule of a bounded search.")
    var preemptions: Int?

    @Option(help: "How many schedules of each side to run at most; states, if stateful.")
    var schedules = 100_000

    @OptionGroup var output: OutputOptions

    func validate() throws {
        if schedules < 1 { throw ValidationError("--schedules must be at least 1") }
        if preemptions ?? 0 < 0 { throw ValidationError("--preemptions must not be negative") }
        if let mode, mode != .bounded, preemptions != nil {
            throw ValidationError("--preemptions is for --mode bounded")
        }
    }

    func run() throws {
        _ = try readTrace(trace)
        let plan = SearchPlan(
            mode ?? (preemptions == nil ? .depthFirst : .bounded), preemptions: preemptions ?? 2, limit: schedules)
        let program =
            plan.mode.needsRecording
            ? try recordedBuild(for: "--mode \(plan.mode.rawValue)") : "/proc/self/exe"
        let compiled = try commandLineCatalog.pair(pair).compiled(recorded: plan.mode.needsRecording)
        let text = try readTrace(trace, in: try commandLineCatalog.era(of: compiled)).text
        let exploration: Exploration = try runJob(
            .explore(ExploreJob(pair: compiled, trace: text, plan: plan)), by: program)
        try output.print(exploration) { StateTable(exploration, title: "\(trace) \(pair)").text }
        try leave(exploration)
    }

    /// A state that only one side has is a difference as far as the other side was searched to its end.
    private func leave(_ exploration: Exploration) throws {
        let onlyAfter = exploration.states.contains { $0.base == nil }
        let onlyBefore = exploration.states.contains { $0.patched == nil }
        if onlyAfter && exploration.base.complete || onlyBefore && exploration.patched.complete {
            throw ExitStatus.difference
        }
        if !exploration.base.complete || !exploration.patched.complete { throw ExitStatus.cannotTell }
    }
}

extension SearchMode: ExpressibleByArgument {}
