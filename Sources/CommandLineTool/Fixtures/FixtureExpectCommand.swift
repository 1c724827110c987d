// SPDX-License-Identifier: GPL-2.0-only
// mmdiff fixture expect and prune: what was expected and is no longer.

import ArgumentParser
import Differential
import FixtureStore

struct FixtureExpectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "expect", abstract: "Accept what fixtures do now, for a reason that the commit tells.",
        discussion: "A fixture whose schedule has drifted gets the new places, and a new name with them.")

    @Argument(help: "The fixtures, by name.")
    var names: [String] = []

    @Flag(help: "All that deviate.")
    var all = false

    @Option(help: "Why it is right.")
    var reason: String

    @OptionGroup var files: HandedFileOptions
    @OptionGroup var workers: WorkerOptions

    @OptionGroup var store: StoreOptions

    func validate() throws {
        guard names.isEmpty == all else { throw ValidationError("Name fixtures, or say --all.") }
        guard !reason.allSatisfy(\.isWhitespace) else { throw ValidationError("--reason must say something.") }
    }

    func run() throws {
        let store = try store.open()
        let collection = try store.collection()
        let chosen = try all ? collection.fixtures : names.map(collection.fixture)
        let files = try files.compiled()
        var old = try chosen.map { (name: $0.name, fixture: try $0.fixture()) }
        try files.checkUsed(by: old.map(\.fixture))
        for (name, fixture) in old {
            try fixture.checkNames()
            guard let file = fixture.file, files.lackFile(of: fixture) else { continue }
            guard all else { throw InputError("\(name) is about \(file.name): give it with --file") }
            complain("mmdiff: \(name) is left as it is: it is about \(file.name), which is not given with --file")
        }
        old.removeAll { files.lackFile(of: $0.fixture) }
        let observed = try FixtureRunner(jobs: workers.jobs).observe(
            old.map { TraceToObserve($0.fixture, files, realigned: true) })
        var changed: [(old: FixtureName, new: Fixture)] = []
        var told: [String] = []
        for ((name, fixture), observed) in zip(old, observed) {
            let new = try renewed(fixture, files.file(of: fixture)?.file, observed)
            guard new.outcomes != fixture.outcomes || new.digest != fixture.digest else { continue }
            changed.append((name, new))
            told += ["\(name)" + (new.digest == fixture.digest ? "" : ", now \(new.name)")]
            told += outcomeChanges(fixture, new).map { "  \($0)" }
        }
        guard !changed.isEmpty else { return print("nothing has changed") }
        let subject =
            changed.count == 1 ? "fixture: expect \(changed[0].old)" : "fixture: expect \(changed.count) changes"
        let message = ([subject, "", inOneLine(reason), ""] + inMessage(told)).joined(separator: "\n") + "\n"
        let commit = try store.replace(changed, message: message)
        print((told + (commit.map { ["commit \($0)"] } ?? [])).joined(separator: "\n"))
    }

    /// As much of it as anybody reads in a history.
    private func inMessage(_ lines: [String]) -> [String] {
        let most = 50
        return lines.prefix(most) + (lines.count > most ? ["and \(lines.count - most) lines more"] : [])
    }

    private func renewed(_ fixture: Fixture, _ file: CFile?, _ observed: ObservedTrace) throws -> Fixture {
        var new = fixture
        new.file = file
        if !observed.moved.isEmpty { new.trace = try CommandLineTool.trace(observed.trace.utf8, in: nil) }
        new.outcomes = ExpectedOutcome.grouped(
            try observed.variants.map { on in
                guard let outcome = on.outcome else {
                    throw InputError("\(fixture.name): on \(on.variant): \(on.problem ?? "no outcome")")
                }
                return (on.variant, outcome)
            })
        return new
    }
}

struct FixturePruneCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prune", abstract: "Remove fixtures on which all variants do the same now.",
        discussion: "A fixture about a C file stays unless the file is given with --file.")

    @Flag(help: "Only tell which.")
    var dryRun = false

    @OptionGroup var files: HandedFileOptions
    @OptionGroup var workers: WorkerOptions

    @OptionGroup var store: StoreOptions

    func run() throws {
        let store = try store.open()
        let files = try files.compiled()
        var fixtures = try store.collection().fixtures.map { (name: $0.name, fixture: try $0.fixture()) }
        try files.checkUsed(by: fixtures.map(\.fixture))
        // One that was recorded because all do the same has done its work as long as they do.
        fixtures.removeAll { $0.fixture.verdict == .equal }
        fixtures.removeAll { files.lackFile(of: $0.fixture) }
        for (_, fixture) in fixtures { try fixture.checkNames() }
        let observed = try FixtureRunner(jobs: workers.jobs).observe(
            fixtures.map { TraceToObserve($0.fixture, files, realigned: false) })
        let useless = zip(fixtures, observed).filter { item in
            let outcomes = item.1.variants.map(\.outcome)
            return outcomes.allSatisfy { $0 != nil && $0 == outcomes[0] }
        }.map(\.0.name)
        guard !useless.isEmpty else { return print("every fixture tells variants apart") }
        print(useless.map { "\(dryRun ? "would remove" : "removed") \($0)" }.joined(separator: "\n"))
        guard !dryRun else { return }
        let list = useless.map { "- \($0)\n" }.joined()
        _ = try store.remove(
            useless, message: "fixture: prune \(useless.count)\n\nAll variants do the same on them now.\n\n\(list)")
    }
}

/// What changed between two versions of a fixture, variant by variant.
func outcomeChanges(_ old: Fixture, _ new: Fixture) -> [String] {
    var lines: [String] = []
    if old.verdict != new.verdict {
        lines += ["- verdict \(old.verdict.rawValue)", "+ verdict \(new.verdict.rawValue)"]
    }
    lines += changes(old.file.map { ["c-file \($0)"] } ?? [], new.file.map { ["c-file \($0)"] } ?? [])
    for variant in old.variants + new.variants.filter({ !old.variants.contains($0) }) {
        let (before, after) = (old.outcome(of: variant), new.outcome(of: variant))
        if before == nil { lines.append("\(variant): new") }
        if after == nil { lines.append("\(variant): no longer") }
        guard let before, let after else { continue }
        lines += changes(before.facts, after.facts).map { "\(variant): \($0)" }
    }
    return lines
}
