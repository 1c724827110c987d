// SPDX-License-Identifier: GPL-2.0-only
// mmdiff fixture fetch, push and merge: a collection of several people.

import ArgumentParser
import FixtureStore

struct FixtureFetchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fetch", abstract: "Fetch fixtures from elsewhere, without changing any here.")

    @Argument(help: "A folder, HOST:PATH for ssh, or a remote of the repository.")
    var remote: String

    @Option(help: "The branch; the one that is called like ours, or the other side's HEAD.")
    var branch: String?

    @OptionGroup var store: StoreOptions

    func run() throws {
        let fetch = try store.open().fetch(remote, branch: branch)
        print(fetch.told)
    }
}

extension Fetch {
    fileprivate var told: String {
        (new.map { "new      \($0)" } + ["fetched  \(reference), \(commit.short)"]).joined(separator: "\n")
    }
}

struct FixturePushCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "push", abstract: "Give our fixtures to another repository, if it has nothing that we have not.")

    @Argument(help: "A folder with a bare repository, HOST:PATH for ssh, or a remote of the repository.")
    var remote: String

    @Option(help: "The branch there; the one that is called like ours if none is given.")
    var branch: String?

    @OptionGroup var store: StoreOptions

    func run() throws {
        print(try store.open().push(remote, branch: branch) ? "pushed" : "everything is there")
    }
}

struct FixtureMergeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "merge", abstract: "Take over what others have recorded.",
        discussion: """
            Where both sides expect something else of one fixture, both outcomes are shown and nothing is merged, unless \
            --take says whose counts. Exit status: 0 merged, 1 such a conflict.
            """)

    @Argument(help: "What to fetch from: a folder, HOST:PATH, a remote; or a revision that is here.")
    var source: String

    @Option(help: "The branch to fetch.")
    var branch: String?

    @Option(help: "Whose version counts where both differ: ours or theirs.")
    var take: SideOption?

    @OptionGroup var store: StoreOptions

    struct SideOption: ExpressibleByArgument {
        var side: Merge.Side
        init?(argument: String) {
            guard let side = Merge.Side(rawValue: argument) else { return nil }
            self.side = side
        }
    }

    func run() throws {
        let store = try store.open()
        let revision = try store.isRemote(source) ? store.fetch(source, branch: branch).reference : source
        let merge = try store.merge(revision, taking: take?.side)
        var lines = merge.added.map { "added    \($0)" } + merge.changed.map { "changed  \($0)" }
        lines += merge.removed.map { "removed  \($0)" } + merge.conflicts.flatMap(told)
        lines.append(merge.kind.rawValue + (merge.commit.map { ", commit \($0)" } ?? ""))
        print(lines.joined(separator: "\n"))
        if merge.kind == .conflict { throw ExitStatus.difference }
    }

    private func told(_ conflict: Merge.Conflict) -> [String] {
        var lines = ["conflict \(conflict.path)"]
        guard let ours = conflict.ours, let theirs = conflict.theirs else {
            let what = { (fixture: Fixture?) in fixture == nil ? "removed, or no fixture" : "a fixture" }
            return lines + ["  ours: \(what(conflict.ours))", "  theirs: \(what(conflict.theirs))"]
        }
        for variant in ours.variants where ours.outcome(of: variant) != theirs.outcome(of: variant) {
            lines += ["  \(variant), ours:"] + (ours.outcome(of: variant)?.facts ?? ["nothing"]).map { "    \($0)" }
            lines += ["  \(variant), theirs:"] + (theirs.outcome(of: variant)?.facts ?? ["nothing"]).map { "    \($0)" }
        }
        for (name, mine, other) in [
            ("verdict", ours.verdict.rawValue, theirs.verdict.rawValue),
            ("schedule of", ours.scheduledOn, theirs.scheduledOn),
        ] where mine != other { lines += ["  \(name), ours: \(mine)", "  \(name), theirs: \(other)"] }
        return lines
    }
}
