// SPDX-License-Identifier: GPL-2.0-only
// mmdiff bench explore: how fast each kind of search is and how much it leaves out, in the plain build and in the one
// that records accesses; beside it, in the same run, SPIN on the lock model.

import ArgumentParser
import Differential
import Foundation
import Processes
import Traces
import VariantKit

struct BenchExplore: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explore", abstract: "Measure the searches on named traces, beside SPIN.",
        discussion: "Each trace is searched on the first variant of its era's first family.")

    @ArgumentParser.Argument(help: "Traces.", completion: .file())
    var traces: [String] = []

    @Option(help: "How many schedules, or states, of a trace to go through at most.")
    var limit = 100_000

    @Option(help: "Steps of each of the three tasks of the lock model.")
    var steps = 5

    @OptionGroup var output: OutputOptions

    func validate() throws {
        if limit < 1 { throw ValidationError("--limit must be at least 1") }
        if !(1...6).contains(steps) { throw ValidationError("--steps takes a number from 1 to 6") }
    }

    func run() throws {
        var jobs: [BenchExploreJob] = [BenchExploreJob(lockModel: steps)]
        for path in traces {
            let name = URL(filePath: path).deletingPathExtension().lastPathComponent
            jobs.append(BenchExploreJob(name: name, trace: try readTrace(path).text, limit: limit))
        }
        var report = BenchExploreReport()
        var recorded: String?
        do {
            recorded = try recordedBuild(for: "all but depth-first search")
        } catch let error as InputError {
            report.remarks.append("\(error)")
        }
        for job in jobs {
            report.searches += try runJob(.benchExplore(job)) as [SearchFigures]
            if let recorded { report.searches += try runJob(.benchExplore(job), by: recorded) as [SearchFigures] }
        }
        if let spin = try Spin(steps: steps) {
            report.spin = [try spin.measure(reduced: false), try spin.measure(reduced: true)]
        } else {
            report.remarks.append("no comparison with SPIN: spin (Debian's package) and a C compiler are needed")
        }
        try output.print(report) { report.text }
    }
}

/// Times all searches that a build can do on one trace, or on the lock model.
struct BenchExploreJob: Codable {
    var lockModel: Int?
    var name = ""
    var trace = ""
    var limit = 0

    func run(_ worker: Worker) throws {
        worker.begin("a measurement")
        if let lockModel {
            try worker.send(try timeSearches(ofLockModelWith: lockModel))
            return
        }
        let trace = try CommandLineTool.trace(self.trace.utf8, in: nil)
        let vocabulary = Vocabulary.all.first { $0.era == trace.era }!
        guard let variant = commandLineCatalog.families.lazy.flatMap(\.variants).first(where: { $0.era == trace.era })
        else { throw InputError("no variant of \(trace.era)") }
        let figures = try timeSearches(
            of: trace, named: name, on: variant, vocabulary: vocabulary, limit: limit, progress: worker.progress)
        try worker.send(figures)
    }
}

private struct BenchExploreReport: Encodable {
    var searches: [SearchFigures] = []
    var spin: [Spin.Figures] = []
    var remarks: [String] = []

    var text: String {
        var rows = [
            [
                "", "search", "build", "schedules", "left early", "states", "outcomes", "seconds", "schedules/s",
                "states/s", "",
            ]
        ]
        rows += searches.map(row)
        rows += spin.map { figures in
            [
                "lock model", "SPIN" + (figures.reduced ? ", reduced" : ""), "", "", "", "\(figures.states)", "",
                number(figures.seconds), "", rate(figures.states, figures.seconds), "",
            ]
        }
        return ([table(rows)] + ratios + remarks).joined(separator: "\n")
    }

    private func row(_ figures: SearchFigures) -> [String] {
        [
            figures.subject, figures.mode.rawValue, figures.instrumented ? "recorded" : "plain",
            "\(figures.schedules)", figures.redundant.map { "\($0)" } ?? "-", figures.states.map { "\($0)" } ?? "-",
            "\(figures.outcomes)", number(figures.seconds), rate(figures.schedules, figures.seconds),
            figures.states.map { rate($0, figures.seconds) } ?? "-", figures.complete ? "complete" : "not all",
        ]
    }

    private func rate(_ count: Int, _ seconds: Double) -> String {
        number(Double(count) / seconds)
    }

    /// Complete interleavings of the lock model, beside SPIN.
    private var ratios: [String] {
        guard spin.count == 2, let plain = searches.first(where: { $0.mode == .depthFirst && !$0.instrumented }) else {
            return []
        }
        // Its history keeps the interleavings apart, so it goes through all of them.
        let own = Double(plain.schedules) / plain.seconds
        let spins = Double(plain.schedules) / spin[0].seconds
        var lines = [
            "lock model, interleavings a second: \(number(own)), SPIN without reduction \(number(spins)), ratio \(number(own / spins))"
        ]
        if let reduced = searches.first(where: { $0.mode == .reduced }) {
            lines.append(
                "lock model, with reduction: \(reduced.schedules) of \(plain.schedules) interleavings; "
                    + "SPIN stores \(spin[1].states) states with reduction, \(spin[0].states) without")
        }
        return lines
    }
}
