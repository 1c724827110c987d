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
            Runs every schedule of the trace on both sides, or every one within a bound. Each state is listed with \
            how many schedules of the base and of the patched side end in it, and with what differs from the first.
            """)

    @Argument(help: "The trace, a file.", completion: .file())
    var trace: String

    @Option(help: "BASE..PATCHED, each a variant's name or a C file.")
    var pair: String

    @Option(help: "The most preemptions of a schedule; no bound if not given.")
    var preemptions: Int?

    @Option(help: "How many schedules of each side to run at most.")
    var schedules = 100_000

    @OptionGroup var output: OutputOptions

    func validate() throws {
        if schedules < 1 { throw ValidationError("--schedules must be at least 1") }
        if preemptions ?? 0 < 0 { throw ValidationError("--preemptions must not be negative") }
    }

    func run() throws {
        _ = try readTrace(trace)
        let compiled = try commandLineCatalog.pair(pair).compiled()
        let text = try readTrace(trace, in: try commandLineCatalog.era(of: compiled)).text
        let exploration: Exploration = try runJob(
            .explore(ExploreJob(pair: compiled, trace: text, preemptions: preemptions, schedules: schedules)))
        try output.print(exploration) { StateTable(exploration, title: "\(trace) \(pair)").text }
        try leave(exploration)
    }

    /// A state that only one side has is a difference as far as the other side was searched to its end.
    private func leave(_ exploration: Exploration) throws {
        let onlyAfter = exploration.states.contains { $0.base == 0 }
        let onlyBefore = exploration.states.contains { $0.patched == 0 }
        if onlyAfter && exploration.base.complete || onlyBefore && exploration.patched.complete {
            throw ExitStatus.difference
        }
        if !exploration.base.complete || !exploration.patched.complete { throw ExitStatus.cannotTell }
    }
}
