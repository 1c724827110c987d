// SPDX-License-Identifier: GPL-2.0-only
// mmdiff import: traces from what real programs did.

import ArgumentParser

struct ImportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Make a trace of what a real program did.",
        subcommands: [ImportStraceCommand.self])
}

struct ImportStraceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "strace", abstract: "Read a log of strace.",
        discussion: "Record one with: strace -f -ttt -e trace=memory,process -o LOG PROGRAM")

    @Argument(help: "The log, a file.", completion: .file())
    var log: String

    @Option(name: .shortAndLong, help: "Where to write the trace; to the standard output if not given.")
    var output: String?

    func run() throws {
        throw InputError("import is not there yet")
    }
}
