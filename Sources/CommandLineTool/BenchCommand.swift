// SPDX-License-Identifier: GPL-2.0-only
// mmdiff bench: how fast this machine simulates, beside a fixed reference.

import ArgumentParser
import Differential
import KernelModel
import Traces
import VariantKit

struct BenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measure the simulation, or the searches.",
        subcommands: [BenchSimulation.self, BenchExplore.self], defaultSubcommand: BenchSimulation.self)
}

struct BenchSimulation: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulation", abstract: "Measure the simulation on generated traces, every invariant on.")

    @ArgumentParser.Argument(help: "The family whose first pair is measured; each family's if none is named.")
    var family: String?

    @Option(help: "How many traces of three tasks.")
    var traces = 100

    @Option(help: "The seed that traces and schedules are drawn from.")
    var seed: UInt64 = CampaignConfiguration.defaultSeed

    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard (1...100_000).contains(traces) else { throw ValidationError("--traces takes a number from 1 to 100000.") }
    }

    func run() throws {
        let families = try family.map { [try commandLineCatalog.family($0)] } ?? commandLineCatalog.families
        let reference = Benchmark.reference()
        let report = BenchReport(
            reference: reference, families: try families.map { try measure($0, beside: reference) })
        try output.print(report) { report.text }
    }

    private func measure(_ family: Family, beside reference: Measurement) throws -> BenchReport.Figures {
        let names = family.pairs[0]
        guard let base = family.variant(names.base), let patched = family.variant(names.patched),
            let era = Era.named(base.era)
        else { throw InputError("\(family.name) has no pair to measure") }
        let vocabulary = Vocabulary(era: era.name, operations: era.operations)
        let benchmark = Benchmark(
            try PairOfMachines(base: base, patched: patched), Generator(vocabulary, weights: family.weights),
            seed: seed, traces: traces)
        return BenchReport.Figures(
            family: family.name, era: era.name, pair: "\(names.base)..\(names.patched)",
            measurements: benchmark.run(reference: reference))
    }
}

private struct BenchReport: Encodable {
    struct Figures: Encodable {
        var family, era, pair: String
        var measurements: [Measurement]
    }

    var reference: Measurement
    var families: [Figures]

    var text: String {
        let head = table([row(reference)])
        return
            ([head]
            + families.map { "\($0.family): \($0.pair), \($0.era)\n" + table($0.measurements.map(row), indent: 2) })
            .joined(separator: "\n\n")
    }

    private func row(_ measurement: Measurement) -> [String] {
        [measurement.name, number(measurement.value), measurement.unit]
    }
}

/// Three digits that count, without a locale.
func number(_ value: Double) -> String {
    if value < 0 { return "-" + number(-value) }
    if value >= 100 { return String(Int(value.rounded())) }
    let thousandths = Int((value * 1000).rounded())
    let rest = String(thousandths % 1000)
    return "\(thousandths / 1000)." + String(repeating: "0", count: 3 - rest.count) + rest
}
