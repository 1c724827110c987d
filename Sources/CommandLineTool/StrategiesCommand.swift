// SPDX-License-Identifier: GPL-2.0-only
// mmdiff strategies: after how many traces and schedules each strategy sees a difference first.

import ArgumentParser
import Differential
import KernelModel
import Traces
import VariantKit

struct StrategiesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "strategies", abstract: "Measure how soon each strategy sees differences of a pair.",
        discussion: """
            Differences are seen, not settled: some are in reach of both sides. Medians are over all seeds; a dash stands where \
            less than half of them saw the difference.
            """, shouldDisplay: false)

    @ArgumentParser.Argument(help: "The family.")
    var family: String

    @Option(help: "The pair BASE..PATCHED; the family's first one if none is named.")
    var pair: String?

    @Option(help: "How many traces of each seed.")
    var traces = 1000

    @Option(help: "How many seeds, from 1 on.")
    var seeds = 5

    @Option(help: "Only these strategies, by their names in the table, with commas between.")
    var only: String?

    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard traces > 0, seeds > 0 else { throw ValidationError("--traces and --seeds must be at least 1") }
    }

    func run() throws {
        let family = try commandLineCatalog.family(self.family)
        let named = family.pairs[0]
        let compiled = try commandLineCatalog.pair(pair ?? "\(named.base)..\(named.patched)", in: family).compiled()
        guard let name = try commandLineCatalog.era(of: compiled), let era = Era.named(name) else {
            throw InputError("the pair is of no era")
        }
        let (base, patched) = try commandLineCatalog.load(compiled, era: name)
        let machines = try PairOfMachines(base: base, patched: patched)
        let vocabulary = Vocabulary(era)
        let source = TraceSource.generator(Generator(vocabulary, weights: family.weights))
        let names = only?.split(separator: ",").map(String.init)
        let rows = StrategiesCommand.plans.filter { names?.contains($0.name) ?? true }.map { plan in
            var plan = plan
            plan.traces = traces
            let seen = (1...seeds).map { machines.detections(plan, source, vocabulary, seed: UInt64($0)) }
            return StrategiesReport.Row(
                strategy: plan.name, schedules: seen.reduce(0) { $0 + $1.schedules }, seen: seen.map(\.seen))
        }
        let report = StrategiesReport(traces: traces, seeds: seeds, rows: rows)
        try output.print(report) { report.text }
    }

    private static let plans =
        [
            DetectionPlan(.portfolio), DetectionPlan(.portfolio, measured: true),
            DetectionPlan(.portfolio, focused: true),
            DetectionPlan(.portfolio, focused: true, around: true), DetectionPlan(.focused),
            DetectionPlan(.focused, around: true),
        ] + [.random, .pct, .pos, .delay].map { DetectionPlan($0) }
}

private struct StrategiesReport: Encodable {
    struct Row: Encodable {
        var strategy: String
        var schedules: Int
        /// By seed.
        var seen: [[Detection]]
    }

    var traces: Int
    var seeds: Int
    var rows: [Row]

    var text: String {
        var kinds: [String] = []
        for kind in rows.flatMap({ $0.seen.joined().map(\.kind) }).sorted() where kinds.last != kind {
            kinds.append(kind)
        }
        let tables = kinds.map { kind in
            "\(kind)\n" + table(rows.map { [$0.strategy] + cells($0, kind) }, indent: 2)
        }
        return
            ([
                "\(traces) traces of each of \(seeds) seeds: those that showed it; traces and schedules until then (median)"
            ]
            + tables).joined(separator: "\n")
    }

    private func cells(_ row: Row, _ kind: String) -> [String] {
        let seen = row.seen.compactMap { $0.first { $0.kind == kind } }
        return [
            "\(seen.reduce(0) { $0 + $1.seen })", median(seen.map(\.traces)), median(seen.map(\.schedules)),
            "of \(row.schedules)",
        ]
    }

    /// Of all seeds: those that did not see it are at the end.
    private func median(_ values: [Int]) -> String {
        let sorted = values.sorted()
        return sorted.count > seeds / 2 ? "\(sorted[seeds / 2])" : "-"
    }
}
