// SPDX-License-Identifier: GPL-2.0-only
// mmdiff run: random traces on the pairs of a family, with a verdict for each.

import ArgumentParser
import Differential
import Foundation
import KernelModel
import Reports
import Traces
import VariantKit

struct RunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Compare the pairs of a family, or of all families, on random traces.",
        discussion: """
            Without --traces and --time each pair gets \(Int(defaultSeconds)) seconds. With --traces and without \
            --time the same command finds the same on every machine.
            """)

    @ArgumentParser.Argument(help: "The family; all of them if none is named.")
    var family: String?

    @Option(help: "Compare BASE..PATCHED only, each a variant's name or a C file.")
    var pair: String?

    @Option(help: "How many traces to run on each pair.")
    var traces: Int?

    @Option(help: "How long to run each pair: 60s, 5m.")
    var time: TimeLimit?

    @Option(help: "The seed that traces and schedules are drawn from.")
    var seed = CampaignConfiguration.defaultSeed

    @Option(help: "How many schedules to run of each trace.")
    var schedules = CampaignConfiguration().schedules

    @Option(help: "How many processes run side by side, each with its share of the traces.")
    var jobs = 2

    @Option(help: "Run this trace over and over, under schedule after schedule.", completion: .file())
    var from: String?

    @Option(
        name: .customLong("with"),
        help: "Add kernel threads to the trace of --from, each with steps of its own: kswapd,khugepaged (list ops).")
    var kernelTasks: String?

    @Option(help: "What schedules are drawn by: \(StrategyChoice.allCases.map(\.rawValue).joined(separator: ", ")).")
    var strategy = StrategyChoice.portfolio

    @Flag(help: "Show how often each changed function, its yield points and branches were reached.")
    var coverage = false

    @Option(
        help: "What may differ on purpose: none, or a file; what the family says if not given.", completion: .file())
    var claims: String?

    @Option(name: .customLong("output"), help: "The folder for the traces of findings.", completion: .directory)
    var folder = "mmdiff-findings"

    @Option(help: "A list of known differences, such as Fixtures/allowlist.", completion: .file())
    var allow: String?

    @Option(help: "The day on which that list is read, YYYY-MM-DD.")
    var today: DayOption?

    @Flag(help: ArgumentHelp("See no difference: what the canary must notice.", visibility: .hidden))
    var blind = false

    @OptionGroup var output: OutputOptions

    private static let defaultSeconds = 10.0

    func validate() throws {
        for (name, value) in [("--traces", traces ?? 1), ("--schedules", schedules), ("--jobs", jobs)]
        where value < 1 { throw ValidationError("\(name) must be at least 1") }
        if kernelTasks != nil && from == nil { throw ValidationError("--with adds to the trace of --from") }
    }

    func run() throws {
        let known = try allow.map { try KnownFindings($0, on: today?.day) }
        let pairs = try from.map { try pairsThatCanRun($0) } ?? pairsToRun()
        let given = try from.map { try readTrace($0).text }
        let limit = time?.seconds ?? (traces == nil ? RunCommand.defaultSeconds : nil)
        var configuration = CampaignConfiguration()
        (configuration.seed, configuration.traces, configuration.schedules) = (seed, traces, schedules)
        (configuration.seconds, configuration.strategy, configuration.blind) = (limit, strategy, blind)
        let line = ProgressLine(limit: limit.map { $0 * Double(pairs.count) })
        var runner = CampaignRunner(
            pairs: pairs, configuration: configuration, given: given, kernelTasks: try namedKernelTasks(given, pairs),
            jobs: jobs)
        let doubts = try runner.doubt()
        runner.configuration.seconds = limit.map { max($0 - doubts.secondsPerPair, $0 / 2) }
        let parts = try runner.run(watch: line.show)
        line.clear()
        var report = try report(pairs, parts, doubts)
        for line in known?.setAside(from: &report) ?? [] { complain("mmdiff: \(line)") }
        try output.print(report) {
            TextReport(
                report, coverage: coverage, strategies: coverage || strategy != .portfolio, inColour: isatty(1) != 0,
                tellsTime: limit != nil
            ).text
        }
        if report.isNotToBeBelieved { throw ExitStatus.cannotTell }
        if report.hasUnexpected { throw ExitStatus.difference }
        if report.hasDoubt { throw ExitStatus.cannotTell }
    }

    // MARK: What to run

    private func pairsToRun() throws -> [PairToRun] {
        let family = try family.map(commandLineCatalog.family)
        var pairs: [PairToRun]
        if let pair {
            pairs = [try PairToRun(pair, in: family)]
        } else {
            pairs = try (family.map { [$0] } ?? commandLineCatalog.families).flatMap { family in
                try family.pairs.map { try PairToRun("\($0.base)..\($0.patched)", in: family) }
            }
        }
        guard let claims else { return pairs }
        let file = claims == "none" ? ClaimsFile() : try ClaimsFile(parsing: try readInput(claims), file: claims)
        for number in pairs.indices {
            pairs[number].claims = file.claims(base: pairs[number].base, patched: pairs[number].patched)
        }
        return pairs
    }

    /// Those in whose era a trace means something; where a family is named, all must be.
    private func pairsThatCanRun(_ path: String) throws -> [PairToRun] {
        var possible: [PairToRun] = []
        var problem: TraceError?
        for pair in try pairsToRun() {
            let era = try commandLineCatalog.era(of: pair.compiled)
            do {
                _ = try readTrace(path, in: era)
                possible.append(pair)
            } catch let error as TraceError {
                guard family == nil && self.pair == nil else { throw error }
                problem = error
            }
        }
        if let problem, possible.isEmpty { throw problem }
        return possible
    }

    /// The operations of `--with`; what the era of a pair does not have is left out there.
    private func namedKernelTasks(_ given: String?, _ pairs: [PairToRun]) throws -> [String] {
        guard let kernelTasks, let given else { return [] }
        let names = kernelTasks.split(separator: ",").map(String.init)
        var known: [String] = []
        for pair in pairs {
            let trace = try trace(given.utf8, in: try commandLineCatalog.era(of: pair.compiled))
            let operations = Era.named(trace.era)?.kernelOperations ?? []
            known += operations.map(\.name).filter { !known.contains($0) }
            // Whether there is room for them.
            _ = try trace.with(kernelTasks: operations.filter { names.contains($0.name) }, seed: seed)
        }
        for name in names where !known.contains(name) {
            throw NameError.unknown("operation of a kernel thread", name, known: known)
        }
        return names
    }

    // MARK: What came of it

    private func report(
        _ pairs: [PairToRun], _ parts: [PartOfPair], _ doubts: [DoubtJob.Message]
    ) throws -> RunReport {
        let files = TraceFiles(folder: folder)
        return RunReport(
            seed: seed,
            pairs: try pairs.enumerated().map { number, pair in
                var report = PairReport(family: pair.family, pair: pair.name)
                report.claims = pair.claims.map(ClaimReport.init)
                let own = parts.filter { $0.pair == number }
                for part in own { report.add(part.progress) }
                report.add(own.map(\.figures), oneTrace: from != nil && kernelTasks == nil)
                report.findings = try merged(own).map { try reported($0, pair, files) }
                report.doubt = doubts[number].doubt
                report.measured.secondsOfDoubt = doubts[number].seconds
                return report
            })
    }

    /// The findings of all parts, each once.
    private func merged(_ parts: [PartOfPair]) -> [Finding] {
        var result: [Finding] = []
        for finding in parts.flatMap(\.findings) {
            if let known = result.firstIndex(where: { $0.isSame(as: finding) }) {
                let traces = result[known].traces + finding.traces
                // What one part could not settle another one may have settled.
                let isOpen = result[known].verdict == .inconclusive
                if isOpen != (finding.verdict == .inconclusive) {
                    if isOpen { result[known] = finding }
                } else if finding.seed.trace < result[known].seed.trace {
                    result[known] = finding
                }
                result[known].traces = traces
            } else {
                result.append(finding)
            }
        }
        // The gravest first; of equal ones, what an earlier trace showed.
        let levels = ["crash", "invariants", "attempts"] + Level.allCases.map(\.rawValue)
        func rank(_ number: Int) -> (Int, Int, Int) {
            let finding = result[number]
            return (levels.firstIndex(of: finding.level) ?? levels.count, finding.seed.trace, number)
        }
        return result.indices.sorted { rank($0) < rank($1) }.map { result[$0] }
    }

    private func reported(_ finding: Finding, _ pair: PairToRun, _ files: TraceFiles) throws -> ReportedFinding {
        var command = "mmdiff run"
        if let family = pair.family { command += " \(family)" }
        command += " --pair \(pair.name) --seed \(seed) --traces \(finding.seed.trace + 1)"
        if schedules != CampaignConfiguration().schedules { command += " --schedules \(schedules)" }
        if jobs != 2 { command += " --jobs \(jobs)" }
        if let from { command += " --from \(from)" }
        if let kernelTasks { command += " --with \(kernelTasks)" }
        if strategy != .portfolio { command += " --strategy \(strategy.rawValue)" }
        if let claims { command += " --claims \(claims)" }
        var reported = ReportedFinding(finding, again: command)
        if finding.verdict.isUnexpected || finding.verdict == .preExisting {
            let file = try files.write(finding, family: pair.family, pair: pair.name)
            reported.traceFile = file
            reported.replay = pair.side(finding.direction).map { "mmdiff replay \(file) --variant \($0)" }
        }
        return reported
    }
}

extension StrategyChoice: ExpressibleByArgument {}

extension [DoubtJob.Message] {
    fileprivate var secondsPerPair: Double { reduce(0) { $0 + $1.seconds } / Double(Swift.max(count, 1)) }
}

extension PairReport {
    /// Takes in what its parts were made of; nothing is said of a part that crashed.
    fileprivate mutating func add(_ parts: [CampaignFigures?], oneTrace: Bool) {
        guard var sum = parts.first ?? nil, !parts.contains(where: { $0 == nil }) else { return }
        for part in parts.dropFirst() { sum.add(part!, oneTrace: oneTrace) }
        strategies = sum.strategies.filter { $0.name != "sequential" }.map { ReportedStrategy($0) }
        coverage = sum.coverage
    }

    fileprivate mutating func add(_ progress: CampaignProgress) {
        traces += progress.traces
        skipped += progress.skipped
        schedules += progress.schedules
        distinct += progress.distinct
        reached += progress.reached
        measured.seconds = max(measured.seconds, progress.seconds)
        if measured.seconds > 0 { measured.schedulesPerSecond = Int(Double(schedules) / measured.seconds) }
    }
}

/// `90s`, `5m`, `90`.
struct TimeLimit: ExpressibleByArgument {
    var seconds: Double

    init(seconds: Double) {
        self.seconds = seconds
    }

    init?(argument: String) {
        let units: [Character: Double] = ["s": 1, "m": 60, "h": 3600]
        let unit = argument.last.flatMap { units[$0] }
        guard let number = Double(unit == nil ? argument : String(argument.dropLast())), number > 0, number.isFinite
        else { return nil }
        seconds = number * (unit ?? 1)
    }

    var defaultValueDescription: String { "\(Int(seconds))s" }
}
