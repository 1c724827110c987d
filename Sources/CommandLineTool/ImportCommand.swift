// SPDX-License-Identifier: GPL-2.0-only
// mmdiff import: traces from what real programs did.

import ArgumentParser
import Foundation
import KernelModel
import Traces

struct ImportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Make a trace of what a real program did.",
        subcommands: [ImportStraceCommand.self])
}

struct ImportStraceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "strace", abstract: "Read a log of strace.",
        discussion: "Record one with: strace -f -ttt -e trace=memory,process -o LOG PROGRAM")

    @ArgumentParser.Argument(help: "The log, a file.", completion: .file())
    var log: String

    @Option(name: .shortAndLong, help: "Where to write the trace; to the standard output if not given.")
    var output: String?

    @Option(help: "The era whose operations the trace may use: \(Era.all.map(\.name).joined(separator: ", ")).")
    var era = Era.all[0].name

    func validate() throws {
        guard Era.named(era) == nil else { return }
        throw ValidationError("no era \(era); expected \(Era.all.map(\.name).joined(separator: ", "))")
    }

    func run() throws {
        let imported = try StraceImport(try readInput(log), file: log, vocabulary: Vocabulary(Era.named(era)!))
        for sentence in imported.summary { complain(sentence) }
        guard let output else { return print(imported.trace, terminator: "") }
        do {
            try imported.trace.description.write(toFile: output, atomically: true, encoding: .utf8)
        } catch {
            throw InputError("cannot write \(output)")
        }
    }
}
