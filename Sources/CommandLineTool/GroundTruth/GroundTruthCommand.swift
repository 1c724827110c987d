// SPDX-License-Identifier: GPL-2.0-only
// mmdiff ground-truth: what mmdiff finds of what is known, and whether it is silent where it must be.

import ArgumentParser
import Differential
import Foundation
import VariantKit

struct GroundTruthCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ground-truth", abstract: "Measure how soon known consequences of patches are found.",
        discussion: """
            Runs random traces on the pair of each case, seed after seed, until the case is found, and on each control; \
            ends with a table. With ten seeds and a minute for each this takes hours.
            """,
        shouldDisplay: false)

    @Argument(help: "The cases and controls, a file.", completion: .file())
    var file: String

    @Option(help: "How many seeds to run each case with.")
    var seeds = 10

    @Option(help: "How long to look for a case, with each seed: 60s.")
    var time = TimeLimit(seconds: 60)

    @Option(help: "How many schedules of random traces to run of each control; 0 leaves the controls out.")
    var controlSchedules = 10_000_000

    @Option(help: "How many schedules to explore small traces of each control with, each trace completely; 0 for none.")
    var controlComplete = 30_000

    @Option(help: "How long to run a control at most.")
    var controlTime = TimeLimit(seconds: 1_800)

    @Option(help: "Run only cases and controls whose name or family begins like this: G1, refactor, munlock-split.")
    var only: String?

    @Option(help: "A document whose table is replaced.", completion: .file())
    var document: String?

    @OptionGroup var output: OutputOptions

    func validate() throws {
        if seeds < 1 { throw ValidationError("--seeds must be at least 1") }
        for (name, value) in [("schedules", controlSchedules), ("complete", controlComplete)] where value < 0 {
            throw ValidationError("--control-\(name) must not be negative")
        }
    }

    func run() throws {
        let known = try GroundTruthFile(String(decoding: readInput(file), as: UTF8.self), path: file)
        var table = GroundTruthTable()
        table.seeds = seeds
        table.secondsPerSeed = Int(time.seconds)
        let cases = known.cases.filter { isWanted($0.name) || isWanted($0.family) }
        for group in grouped(cases) { table.cases += try results(of: group) }
        if controlSchedules > 0 {
            for control in try identities() + known.controls where isWanted(control.family) || isWanted(control.name) {
                table.controls.append(try result(of: control))
            }
        }
        if let document { try table.write(into: document) }
        try output.print(table) { table.text }
    }

    private func isWanted(_ name: String) -> Bool { only.map(name.hasPrefix) ?? true }

    // MARK: Cases

    /// Those of one pair are looked for in the same runs.
    private func grouped(_ cases: [GroundTruthFile.Case]) -> [[GroundTruthFile.Case]] {
        var groups: [[GroundTruthFile.Case]] = []
        for item in cases {
            if let number = groups.firstIndex(where: { $0[0].family == item.family && $0[0].pair == item.pair }) {
                groups[number].append(item)
            } else {
                groups.append([item])
            }
        }
        return groups
    }

    private func results(of group: [GroundTruthFile.Case]) throws -> [GroundTruthTable.Case] {
        let pair = try pairToRun(group[0].family, group[0].pair)
        var results = group.map { GroundTruthTable.Case(name: $0.name, family: $0.family, pair: $0.pair) }
        for seed in 0..<seeds {
            var configuration = CampaignConfiguration()
            (configuration.seed, configuration.seconds) = (
                CampaignConfiguration.defaultSeed + UInt64(seed), time.seconds
            )
            let part = try run(pair, configuration, CampaignGoal(findings: group.map(\.pattern)))
            for (number, item) in group.enumerated() {
                let finding = part.findings.first(where: item.pattern.matches)
                if let finding { results[number].found.append(GroundTruthTable.Detection(finding)) }
                let what = finding.map { "found after \(Int($0.detection?.seconds ?? 0)) s" } ?? "not found"
                complain("\(item.name) \(item.pair), seed \(configuration.seed): \(what)")
            }
        }
        return results
    }

    // MARK: Controls

    /// Every variant against itself; by name: identity.
    private func identities() throws -> [GroundTruthFile.Control] {
        commandLineCatalog.families.flatMap { family in
            family.variants.map {
                GroundTruthFile.Control(name: "identity", family: family.name, pair: "\($0.name)..\($0.name)")
            }
        }
    }

    private func result(of control: GroundTruthFile.Control) throws -> GroundTruthTable.Control {
        let pair = try pairToRun(control.family, control.pair)
        var configuration = CampaignConfiguration()
        configuration.seconds = controlTime.seconds
        let part = try run(pair, configuration, CampaignGoal(schedules: controlSchedules))
        let alarms = part.findings.filter { $0.verdict.isUnexpected || $0.verdict == .inconclusive }
        let complete = try compareCompletely(control)
        complain(
            "\(control.pair): \(part.progress.schedules) schedules of random traces, \(alarms.count) false alarms; "
                + "\(complete.traces) small traces explored in \(complete.schedules) schedules, "
                + "\(complete.different.count) with different outcomes")
        for alarm in alarms { complain("\(alarm.verdict.rawValue): \(alarm.key), seed \(alarm.seed)\n\(alarm.trace)") }
        for trace in complete.different { complain(trace) }
        return GroundTruthTable.Control(
            family: control.family, pair: control.pair, traces: part.progress.traces,
            schedules: part.progress.schedules, seconds: part.progress.seconds, complete: complete,
            alarms: alarms.map(\.key))
    }

    private func compareCompletely(_ control: GroundTruthFile.Control) throws -> CompleteComparison {
        if controlComplete == 0 { return CompleteComparison() }
        let program = try recordedBuild(for: "--control-complete")
        let compiled = try commandLineCatalog.pair(control.pair).compiled(recorded: true)
        let plan = CompleteComparison.Plan(
            seed: CampaignConfiguration.defaultSeed, schedules: controlComplete, seconds: controlTime.seconds)
        return try runJob(
            .complete(CompleteComparisonJob(pair: compiled, family: control.family, plan: plan)), by: program)
    }

    // MARK: Runs

    private func pairToRun(_ family: String, _ pair: String) throws -> PairToRun {
        try PairToRun(pair, in: commandLineCatalog.family(family))
    }

    private func run(
        _ pair: PairToRun, _ configuration: CampaignConfiguration, _ goal: CampaignGoal
    ) throws -> PartOfPair {
        try CampaignRunner(pairs: [pair], configuration: configuration, goal: goal, jobs: 1).run { _ in }[0]
    }
}
