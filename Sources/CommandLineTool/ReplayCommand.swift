// SPDX-License-Identifier: GPL-2.0-only
// mmdiff replay: one execution of a trace under its schedule, step by step.

import ArgumentParser
import Differential
import Reports
import VariantKit

struct ReplayCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replay", abstract: "Show one execution of a trace as a time line.",
        discussion: """
            One column a task, one line for each yield point that a task passes. [ and ] are the start and the end \
            of an operation, > another task than on the line before, ~ an event, *** a broken invariant.
            """)

    @Argument(help: "The trace, a file.", completion: .file())
    var trace: String

    @Option(help: "The variant to run it on: a name or a C file; the trace's era if none is given.")
    var variant: String?

    @Option(help: "The variant that a C file stands on; the trace's era if none is given.")
    var on: String?

    @OptionGroup var output: OutputOptions

    func run() throws {
        let own = try readTrace(trace).trace.era
        let name = variant ?? own
        let base = on ?? (try? commandLineCatalog.variant(name).era) ?? own
        let pair = try commandLineCatalog.pair("\(base)..\(name)").compiled()
        let text = try readTrace(trace, in: try commandLineCatalog.era(of: pair)).text
        let replay: Replay = try runJob(.replay(ReplayJob(pair: pair, trace: text)))
        try output.print(replay) { TimeLine(replay, title: "\(self.trace) on \(name)").text }
    }
}
