// SPDX-License-Identifier: GPL-2.0-only
// mmdiff mutate: how many small mistakes in a variant's functions mmdiff notices.

import ArgumentParser
import Differential
import Foundation
import VariantKit

struct MutateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mutate", abstract: "Count the mutants of a C file that differ from a variant.",
        discussion: """
            Each mutant is the file with one thing changed by rule: a check dropped, a lock left out, an order swapped, a \
            wrong return, a lost flag. Those that no trace can tell from the file are listed, with the reason, in a file \
            beside it that is called like it, with .equivalent at its end.
            """,
        shouldDisplay: false)

    @Argument(help: "FAMILY/VARIANT, which the file is a translation of.")
    var variant: String

    @Argument(help: "The C file.", completion: .file())
    var file: String

    @Option(help: "How many traces to run on each mutant.")
    var traces = 2_000

    @Option(help: "The seed that traces and schedules are drawn from.")
    var seed = CampaignConfiguration.defaultSeed

    @Option(help: "How many worker processes share the traces of each mutant.")
    var jobs = 1

    @Option(help: "The least share of mutants that must be noticed, in percent, for exit status 0.")
    var least = 90

    @Flag(help: "Only list the mutants.")
    var list = false

    @OptionGroup var output: OutputOptions

    func validate() throws {
        for (name, value) in [("--traces", traces), ("--jobs", jobs)] where value < 1 {
            throw ValidationError("\(name) must be at least 1")
        }
    }

    func run() throws {
        let mutants = Mutator.mutants(of: String(decoding: try readInput(file), as: UTF8.self))
        if list { return mutants.forEach { print($0.name) } }
        let equivalent = try EquivalentMutants(beside: file, of: mutants)
        let family = try commandLineCatalog.family(String(variant.prefix { $0 != "/" }))
        var score = MutationScore(file: file, variant: variant, traces: traces)
        let folder = try TemporaryFolder()
        for (number, mutant) in mutants.enumerated() {
            try folder.write(withIncludes(mutant.text), to: "\(number).c")
            var result = MutationScore.Result(name: mutant.name, rule: mutant.rule, equivalent: equivalent[mutant.name])
            do {
                result.note(try run(PairToRun("\(variant)..\(folder.path)/\(number).c", in: family)))
            } catch is UserVariantError {
                result.fate = .doesNotCompile
            }
            score.results.append(result)
            complain("\(result.fate.rawValue): \(mutant.name)")
        }
        try output.print(score) { score.text }
        if score.percent < least || !score.wronglyEquivalent.isEmpty { throw ExitStatus.difference }
    }

    /// The text of a mutant, which stands elsewhere, with what lies beside the file included by its whole path.
    private func withIncludes(_ text: String) -> String {
        let folder = URL(filePath: file).deletingLastPathComponent().path
        return text.replacing(/#include "(?<name>[^\/"][^"]*)"/) { "#include \"\(folder)/\($0.name)\"" }
    }

    /// Runs a mutant beside the variant, until the first difference.
    private func run(_ pair: PairToRun) throws -> PartOfPair {
        var configuration = CampaignConfiguration()
        (configuration.seed, configuration.traces) = (seed, traces)
        let runner = CampaignRunner(
            pairs: [pair], configuration: configuration, goal: CampaignGoal(anyDifference: true), jobs: jobs,
            patience: 2)
        let parts = try runner.run { _ in }
        return parts.first { part in part.findings.contains { $0.verdict.isUnexpected } } ?? parts[0]
    }
}

/// Mutants that behave like their original, each with the reason: a line with the name, then an indented one.
struct EquivalentMutants {
    private var reasons: [String: String] = [:]

    /// - Parameter file: the C file; there need be no list beside it.
    init(beside file: String, of mutants: [Mutant]) throws {
        let path = file + ".equivalent"
        guard FileManager.default.fileExists(atPath: path) else { return }
        let lines = String(decoding: try readInput(path), as: UTF8.self).split(
            separator: "\n", omittingEmptySubsequences: false)
        var name: String?
        for (number, line) in lines.enumerated() where !line.isEmpty && !line.hasPrefix("#") {
            if line.hasPrefix("    ") {
                guard let name else { throw InputError("\(path):\(number + 1):1: error: a reason without a mutant") }
                reasons[name] = ([reasons[name]].compactMap { $0 } + [String(line.dropFirst(4))]).joined(separator: " ")
            } else {
                guard mutants.contains(where: { $0.name == line }) else {
                    throw InputError("\(path):\(number + 1):1: error: no mutant is called like this")
                }
                name = String(line)
            }
        }
    }

    subscript(name: String) -> String? { reasons[name] }
}
