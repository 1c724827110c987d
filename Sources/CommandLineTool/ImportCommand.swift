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
        discussion: """
            Record one with: strace -f -y -e trace=memory,process,ftruncate,fallocate,userfaultfd,ioctl -o LOG PROGRAM
            """)

    @ArgumentParser.Argument(help: "The log, a file.", completion: .file())
    var log: String

    @Option(name: .shortAndLong, help: "Where to write the trace; to the standard output if not given.")
    var output: String?

    @Option(help: "The era whose operations the trace may use: \(Era.all.map(\.name).joined(separator: ", ")).")
    var era = Era.all[0].name

    @Option(help: "The part of the log that becomes programs, as FIRST-LAST; what came before is the set-up.")
    var lines: LineRange?

    func validate() throws {
        guard Era.named(era) == nil else { return }
        throw ValidationError("no era \(era); expected \(Era.all.map(\.name).joined(separator: ", "))")
    }

    func run() throws {
        let imported = try StraceImport(
            try readInput(log), file: log, vocabulary: Vocabulary(Era.named(era)!),
            lines: lines?.range ?? 1...Int.max)
        for sentence in imported.summary { complain(sentence) }
        guard let output else { return print(imported.trace, terminator: "") }
        do {
            try imported.trace.description.write(toFile: output, atomically: true, encoding: .utf8)
        } catch {
            throw InputError("cannot write \(output)")
        }
    }
}

/// `100-200`, `100-`, `-200`.
struct LineRange: ExpressibleByArgument {
    var range: ClosedRange<Int>

    init?(argument: String) {
        let ends = argument.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        guard ends.count == 2, let first = ends[0].isEmpty ? 1 : Int(ends[0]),
            let last = ends[1].isEmpty ? Int.max : Int(ends[1]), first >= 1, first <= last
        else { return nil }
        range = first...last
    }
}
