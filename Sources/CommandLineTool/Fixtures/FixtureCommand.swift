// SPDX-License-Identifier: GPL-2.0-only
// mmdiff fixture: regressions kept in git.

import ArgumentParser
import FixtureStore
import Foundation

struct FixtureCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fixture", abstract: "Keep what was found in a git repository, and see that it stays so.",
        discussion: """
            Fixtures are the files Fixtures/FAMILY/NAME.trace of a git repository: a trace with its schedule, and what \
            each variant makes of it. Commits touch these files only.
            """,
        subcommands: [
            FixtureInitCommand.self, FixtureRecordCommand.self, FixtureVerifyCommand.self, FixtureListCommand.self,
            FixtureShowCommand.self, FixtureLogCommand.self, FixtureDiffCommand.self, FixtureExpectCommand.self,
            FixturePruneCommand.self, FixtureBisectCommand.self, FixtureFetchCommand.self, FixturePushCommand.self,
            FixtureMergeCommand.self, FixtureBenchCommand.self,
        ])
}

/// Where the collection is.
struct StoreOptions: ParsableArguments {
    @Option(
        name: .customLong("store"), help: "A folder of the repository that holds the fixtures.", completion: .directory)
    var folder = "."

    func open() throws -> Store { try Store(at: folder) }
}

/// How many workers run fixtures.
struct WorkerOptions: ParsableArguments {
    @Option(help: "How many processes run side by side.")
    var jobs = 2

    func validate() throws {
        guard (1...256).contains(jobs) else { throw ValidationError("--jobs takes a number from 1 to 256.") }
    }
}

struct FixtureInitCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "init", abstract: "Make a git repository for fixtures.")

    @Argument(help: "The folder; it must not be a repository yet.", completion: .directory)
    var folder: String

    @Flag(help: "Without a working tree, to share fixtures through.")
    var bare = false

    func run() throws {
        _ = try Store(making: folder, bare: bare)
        print("made \(folder), a\(bare ? " bare" : "") repository for fixtures")
    }
}

struct FixtureListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List the fixtures.")

    @Option(help: "As they were at this revision.")
    var at: String?

    @Option(help: "Those of this family only.")
    var family: String?

    @OptionGroup var store: StoreOptions
    @OptionGroup var output: OutputOptions

    private struct Row: Encodable {
        var name: String
        var pair: String
        var verdict: String
        var shows: String
    }

    func run() throws {
        let store = try store.open()
        let collection = try at.map(store.collection(at:)) ?? store.collection()
        var broken = collection.faults
        var rows: [Row] = []
        for stored in collection.fixtures where family == nil || stored.name.family == family {
            do {
                let head = try stored.head()
                rows.append(
                    Row(
                        name: stored.name.description, pair: head.pair, verdict: head.verdict.rawValue,
                        shows: head.shows))
            } catch {
                broken.append(oneLine(error))
            }
        }
        if output.json || !rows.isEmpty {
            try output.print(rows) { table(rows.map { [$0.name, $0.verdict, $0.shows] }) }
        }
        for problem in broken { complain("mmdiff: \(problem)") }
        if !broken.isEmpty { throw ExitStatus.badInput }
    }
}

struct FixtureShowCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "show", abstract: "Print a fixture.")

    @Argument(help: "Its name, or enough of it.")
    var name: String

    @Option(help: "As it was at this revision.")
    var at: String?

    @OptionGroup var store: StoreOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
        let store = try store.open()
        let stored = try (at.map(store.collection(at:)) ?? store.collection()).fixture(name)
        let fixture = try stored.fixture()
        try output.print(FixtureAsJSON(fixture)) { String(fixture.description.dropLast()) }
    }
}

/// A fixture for programs.
struct FixtureAsJSON: Encodable {
    var name, shows, family, pair, verdict, scheduleOf, version, sources, trace: String
    var cFile: String?
    var seed: UInt64?
    var references: [String]
    var outcomes: [Outcome]

    struct Outcome: Encodable {
        var variants: [String]
        var facts: [String]
    }

    init(_ fixture: Fixture) {
        (name, shows, family) = (fixture.name.description, fixture.shows, fixture.family)
        (pair, verdict, scheduleOf) = (fixture.pair, fixture.verdict.rawValue, fixture.scheduledOn)
        cFile = fixture.file?.description
        let provenance = fixture.provenance
        (version, sources, seed) = (provenance.version, provenance.sources, provenance.seed)
        references = provenance.references.map { "\($0.kind.rawValue): \($0.text)" }
        trace = fixture.trace.description
        outcomes = fixture.outcomes.map { Outcome(variants: $0.variants, facts: $0.outcome.facts) }
    }
}

/// An error about one of many fixtures.
func oneLine(_ error: any Error) -> String {
    inOneLine("\(error)")
}
