// SPDX-License-Identifier: GPL-2.0-only
// mmdiff fixture log, diff and bisect: what became of fixtures over time.

import ArgumentParser
import FixtureStore

struct FixtureLogCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "log", abstract: "Show the history of a fixture, through renames.")

    @Argument(help: "Its name, or enough of it; the whole name of one that is gone.")
    var name: String

    @Option(help: "The history up to this revision.")
    var at = "HEAD"

    @OptionGroup var store: StoreOptions
    @OptionGroup var output: OutputOptions

    private struct Entry: Encodable {
        var commit, date, author, subject, change, name: String
        var details: [String]
    }

    func run() throws {
        let store = try store.open()
        let name = try store.name(name, at: at)
        let history = try store.history(of: name, from: at)
        guard !history.isEmpty else { throw StoreError("no fixture \(name) in the history of \(at)") }
        let entries = history.map { change in
            Entry(
                commit: change.commit.id.description, date: change.commit.date, author: change.commit.author,
                subject: change.commit.subject, change: change.kind.rawValue, name: change.name,
                details: zipped(change.before, change.after).map(outcomeChanges) ?? [])
        }
        try output.print(entries) {
            entries.flatMap { entry in
                ["\(entry.commit.prefix(12))  \(entry.date)  \(entry.author)  \(entry.change): \(entry.subject)"]
                    + (entry.change == "renamed" ? ["  now \(entry.name)"] : []) + entry.details.map { "  \($0)" }
            }.joined(separator: "\n")
        }
    }
}

extension Store {
    /// What a fixture is called of which a part of the name is enough as long as it is there.
    fileprivate func name(_ text: String, at revision: String) throws -> FixtureName {
        try FixtureName(text) ?? collection(at: revision).fixture(text).name
    }
}

private func zipped<A, B>(_ a: A?, _ b: B?) -> (A, B)? {
    guard let a, let b else { return nil }
    return (a, b)
}

struct FixtureDiffCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff", abstract: "Show what is expected differently at two revisions, as outcomes.",
        discussion: "Exit status: 0 the same is expected, 1 something else, or of other fixtures.")

    @Argument(help: "The older revision.")
    var a: String

    @Argument(help: "The newer one.")
    var b = "HEAD"

    @OptionGroup var store: StoreOptions
    @OptionGroup var output: OutputOptions

    private struct Entry: Encodable {
        var name: String
        var oldName: String?
        var kind: String
        var details: [String]
    }

    func run() throws {
        let entries = try store.open().difference(a, b).map { item in
            var details = zipped(item.before, item.after).map(outcomeChanges) ?? []
            if details.isEmpty, item.kind == .changed { details = provenanceChanges(item.before!, item.after!) }
            if item.kind == .added { details = [item.after!.shows] }
            return Entry(
                name: item.name.description, oldName: item.oldName?.description, kind: item.kind.rawValue,
                details: details)
        }
        if output.json || !entries.isEmpty {
            try output.print(entries) {
                entries.flatMap { entry in
                    ["\(entry.kind) \(entry.oldName.map { "\($0) -> " } ?? "")\(entry.name)"]
                        + entry.details.map { "  \($0)" }
                }.joined(separator: "\n")
            }
        }
        if !entries.isEmpty { throw ExitStatus.difference }
    }

    private func provenanceChanges(_ old: Fixture, _ new: Fixture) -> [String] {
        func head(_ fixture: Fixture) -> [String] {
            fixture.description.split(separator: "\n").prefix { !$0.hasPrefix("mmdiff trace") }.map(String.init)
        }
        let lines = changes(head(old), head(new))
        return lines.isEmpty ? ["the same is expected"] : lines
    }
}

struct FixtureBisectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bisect", abstract: "Find the commit at which what is expected of a fixture changed.")

    @Argument(help: "Its name, or enough of it; the whole name of one that is gone.")
    var name: String

    @Option(help: "A revision at which it is as it was.")
    var good: String

    @Option(help: "A later revision at which it is not.")
    var bad = "HEAD"

    @OptionGroup var store: StoreOptions
    @OptionGroup var output: OutputOptions

    private struct Report: Encodable {
        var commit, date, author, subject: String
        var looks: Int
        var details: [String]
    }

    func run() throws {
        let store = try store.open()
        let name = try store.name(name, at: bad)
        guard let result = try store.bisect(name, good: good, bad: bad) else {
            throw StoreError("\(name) is the same at \(good) and at \(bad)")
        }
        var details = zipped(result.before, result.after).map(outcomeChanges) ?? []
        if result.before == nil { details = ["recorded"] }
        if result.after == nil { details = ["removed"] }
        let line = result.commit
        let report = Report(
            commit: line.id.description, date: line.date, author: line.author, subject: line.subject,
            looks: result.looks, details: details)
        try output.print(report) {
            (["\(report.commit) is the first one", "\(report.date)  \(report.author)  \(report.subject)"]
                + report.details.map { "  \($0)" }).joined(separator: "\n")
        }
    }
}
