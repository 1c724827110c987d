// SPDX-License-Identifier: GPL-2.0-only
// mmdiff run: random traces on the pairs of a family, with a verdict for each.

import ArgumentParser
import VariantKit

struct RunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Compare the pairs of a family, or of all families, on random traces.")

    @Argument(help: "The family; all of them if none is named.")
    var family: String?

    @Option(help: "Compare BASE..PATCHED only, each a variant's name or a C file.")
    var pair: String?

    @Option(help: "How many traces to draw.")
    var traces = 1000

    @Option(help: "The seed that traces and schedules are drawn from.")
    var seed: UInt64 = 1

    @OptionGroup var output: OutputOptions

    func run() throws {
        _ = try family.map(commandLineCatalog.family)
        throw InputError("run is not there yet")
    }
}
