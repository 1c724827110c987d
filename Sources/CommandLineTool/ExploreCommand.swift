// SPDX-License-Identifier: GPL-2.0-only
// mmdiff explore: what one trace can lead to on both sides of a pair, under all schedules where possible.

import ArgumentParser

struct ExploreCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explore", abstract: "Compare the outcome sets of one trace on a pair.")

    @Argument(help: "The trace, a file.", completion: .file())
    var trace: String

    @Option(help: "BASE..PATCHED, each a variant's name or a C file.")
    var pair: String

    @OptionGroup var output: OutputOptions

    func run() throws {
        throw InputError("explore is not there yet")
    }
}
