// SPDX-License-Identifier: GPL-2.0-only
// mmdiff replay: one execution of a trace under its schedule, step by step.

import ArgumentParser

struct ReplayCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replay", abstract: "Show one execution of a trace as a time line.")

    @Argument(help: "The trace, a file.", completion: .file())
    var trace: String

    @Option(help: "The variant to run it on: a name or a C file.")
    var variant: String?

    @OptionGroup var output: OutputOptions

    func run() throws {
        throw InputError("replay is not there yet")
    }
}
