// SPDX-License-Identifier: GPL-2.0-only
// mmdiff shrink: a trace that shows a difference, cut down to what the difference takes.

import ArgumentParser
import Differential
import Foundation
import Reports
import VariantKit

struct ShrinkCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "shrink", abstract: "Cut a trace down to what its gravest difference takes.",
        discussion: """
            Looks for a difference by the schedule in the trace, else by random ones, and settles it as run does. Then \
            it leaves out tasks, operations and preemptions, makes arguments simpler and the machine smaller, as long \
            as the difference stays the same. The trace that is left has the schedule that shows it.
            """)

    @Argument(help: "The trace, a file.", completion: .file())
    var trace: String

    @Option(help: "BASE..PATCHED, each a variant's name or a C file.")
    var pair: String

    @Option(name: [.customShort("o"), .customLong("output")], help: "Where to write the trace.", completion: .file())
    var file: String?

    @Option(help: "The seed that schedules are drawn from.")
    var seed = CampaignConfiguration.defaultSeed

    @Option(help: "How many executions to cut down with.")
    var budget = SettlementBudget().shrinking

    @OptionGroup var output: OutputOptions

    func validate() throws {
        if budget < 1 { throw ValidationError("--budget must be at least 1") }
    }

    func run() throws {
        let pair = try PairToRun(self.pair)
        let text = try readTrace(trace, in: try commandLineCatalog.era(of: pair.compiled)).text
        let shrinking: TraceShrinking = try runJob(
            .shrink(ShrinkJob(pair: pair.compiled, trace: text, claims: pair.claims, seed: seed, budget: budget)))
        var item = shrinking.finding.map { ReportedFinding($0) }
        if let finding = shrinking.finding, let file {
            try write(finding.trace, to: file)
            item?.traceFile = file
            item?.replay = pair.side(finding.direction).map { "mmdiff replay \(file) --variant \($0)" }
        }
        try output.print(shrinking) {
            let text = ShrinkingText(shrinking, item, title: "\(trace) \(self.pair)").text
            guard file == nil, let trace = shrinking.finding?.trace else { return text }
            return text + "\n\n" + trace
        }
        guard let verdict = shrinking.finding?.verdict else { return }
        if verdict == .inconclusive { throw ExitStatus.cannotTell }
        if verdict.isUnexpected { throw ExitStatus.difference }
    }

    private func write(_ trace: String, to file: String) throws {
        do {
            try trace.write(toFile: file, atomically: true, encoding: .utf8)
        } catch {
            throw InputError("cannot write \(file)")
        }
    }
}
