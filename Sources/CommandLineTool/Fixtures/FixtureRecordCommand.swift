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
            every unexpected finding is recorded. What is there already is not recorded again.
            """)

    @ArgumentParser.Argument(help: "Traces and reports.", completion: .file())
    var files: [String]

    @Option(help: "BASE..PATCHED, two variants of a family: the pair that a trace tells apart.")
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

    @Option(help: "How many processes run side by side.")
    var jobs = 2

    @OptionGroup var store: StoreOptions
    @OptionGroup var output: OutputOptions

    struct VerdictOption: ExpressibleByArgument {
        var verdict: Verdict
        init?(argument: String) {
            guard let verdict = Verdict(rawValue: argument) else { return nil }
            self.verdict = verdict
        }
    }

    func validate() throws {
        guard (1...256).contains(jobs) else { throw ValidationError("--jobs takes a number from 1 to 256.") }
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
        let recording = try store.record(try FixtureMaker(jobs: jobs).fixtures(drafts))
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
        let (family, base, patched) = try familyPair(pair)
        return [
            FixtureDraft(
                source: file, trace: trace, family: family, base: base, patched: patched, verdict: verdict?.verdict,
                shows: shows ?? trace.remarks.above.first { !$0.isEmpty }, seed: seed, references: references)
        ]
    }

    private var references: [Provenance.Reference] {
        link.map { Provenance.Reference(.link, $0) } + fixes.map { Provenance.Reference(.fixes, $0) }
    }
}

/// The family of a pair and its variants' names there.
func familyPair(_ text: String) throws -> (family: String, base: String, patched: String) {
    let pair = try commandLineCatalog.pair(text)
    guard case .variant(let base) = pair.base, case .variant(let patched) = pair.patched else {
        throw InputError("\(text): a fixture is about variants of a family, not about a C file")
    }
    let (first, second) = (base.split(separator: "/"), patched.split(separator: "/"))
    guard first.count == 2, second.count == 2, first[0] == second[0] else {
        throw InputError("\(text): a fixture is about two variants of one family")
    }
    return (String(first[0]), String(first[1]), String(second[1]))
}
