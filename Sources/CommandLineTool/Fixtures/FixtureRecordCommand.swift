// SPDX-License-Identifier: GPL-2.0-only
// mmdiff fixture record: what a run found, or a trace, becomes part of the collection.

import ArgumentParser
import Differential
import FixtureStore
import Traces

struct FixtureRecordCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "record", abstract: "Add fixtures to the collection, in one commit.",
        discussion: """
            A FILE is a trace, such as a run leaves in mmdiff-findings, or the report of 'mmdiff run --json', of which \
            every unexpected finding is recorded. What is there already is not recorded again. A C file of the pair \
            is not kept: its name and a digest of its text are.
            """)

    @ArgumentParser.Argument(help: "Traces and reports.", completion: .file())
    var files: [String]

    @Option(help: "BASE..PATCHED, the pair that a trace tells apart: variants of a family, or one and a C file.")
    var pair: String?

    @Option(help: "What the trace shows, in one sentence.")
    var shows: String?

    @Option(help: "The verdict on the pair, of a trace that somebody has judged.")
    var verdict: VerdictOption?

    @Option(help: "The seed of the run that found it.")
    var seed: UInt64?

    @Option(help: "A Link: line, the URL of a mail or a commit.")
    var link: [String] = []

    @Option(help: "A Fixes: line: 'cd62734ca60d (\"mm/rmap: ...\")'.")
    var fixes: [String] = []

    @OptionGroup var workers: WorkerOptions

    @OptionGroup var store: StoreOptions
    @OptionGroup var output: OutputOptions

    struct VerdictOption: ExpressibleByArgument {
        var verdict: Verdict
        init?(argument: String) {
            guard let verdict = Verdict(rawValue: argument) else { return nil }
            self.verdict = verdict
        }
    }

    private struct Report: Encodable {
        struct Known: Encodable { var name, known: String }
        var recorded: [String]
        var duplicates: [Known]
        var commit: String?
    }

    func run() throws {
        let store = try store.open()
        let drafts = try files.flatMap(drafts)
        let recording = try store.record(try FixtureMaker(jobs: workers.jobs).fixtures(drafts))
        let report = Report(
            recorded: recording.recorded.map(\.description),
            duplicates: recording.duplicates.map { .init(name: $0.name.description, known: $0.known.description) },
            commit: recording.commit?.description)
        try output.print(report) {
            (report.recorded.map { "recorded \($0)" } + report.duplicates.map { "known    \($0.known)" }
                + (report.commit.map { ["commit \($0)"] } ?? [])).joined(separator: "\n")
        }
        // A duplicate that was named alone is refused; among others it is only told.
        if report.recorded.isEmpty && !report.duplicates.isEmpty { throw ExitStatus.difference }
    }

    // MARK: Drafts

    private func drafts(_ file: String) throws -> [FixtureDraft] {
        let bytes = try readInput(file)
        if bytes.first(where: { !" \t\r\n".utf8.contains($0) }) == UInt8(ascii: "{") {
            return try RecordedRun(bytes, file: file).drafts(references)
        }
        guard let pair else { throw InputError("\(file): a trace needs --pair BASE..PATCHED") }
        if Fixture.isFixture(bytes) { throw InputError("\(file) is a fixture; record takes traces and reports") }
        let trace = try CommandLineTool.trace(bytes, file: file, in: nil)
        return [
            FixtureDraft(
                source: file, trace: trace, pair: try FixturePair(pair), verdict: verdict?.verdict,
                shows: shows ?? trace.remarks.above.first { !$0.isEmpty }, seed: seed, references: references)
        ]
    }

    private var references: [Provenance.Reference] {
        link.map { Provenance.Reference(.link, $0) } + fixes.map { Provenance.Reference(.fixes, $0) }
    }
}
