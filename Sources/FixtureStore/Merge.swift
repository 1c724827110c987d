// SPDX-License-Identifier: GPL-2.0-only
// Two histories of a collection become one.  Names come from content, so what two people found goes together
// by itself; two expectations of one fixture are a question for a person.

import Clibgit2
import Differential

/// What a merge came to.
public struct Merge: Sendable {
    public enum Kind: String, Sendable {
        case upToDate = "up to date"
        case fastForward = "fast-forward"
        case merged
        case conflict
    }

    /// One file for which each side has something else.
    public struct Conflict: Sendable {
        public var path: String
        /// nil: removed, or no fixture.
        public var ours, theirs: Fixture?
    }

    public enum Side: String, Sendable { case ours, theirs }

    public var kind = Kind.upToDate
    public var commit: ObjectID?
    /// What is new, other or gone on our side, by path.
    public var added: [String] = []
    public var changed: [String] = []
    public var removed: [String] = []
    public var conflicts: [Conflict] = []
}

extension Store {
    /// Merges the fixtures of a revision into HEAD's branch, in one commit.
    ///
    /// - Parameter side: whose version counts where both differ; nil: none does, and nothing is merged.
    public func merge(_ revision: String, taking side: Merge.Side? = nil) throws -> Merge {
        let theirs = try repository.commit(revision)
        var merge = Merge()
        merge.commit = try Committer(repository: repository).commit { tip in
            merge = Merge()
            let base = try tip.flatMap { try mergeBase($0, theirs) }
            if base == theirs { return nil }
            try checkNothingElse(base: base, ours: tip, theirs: theirs)
            let files = try MergedFiles(self, base: base, ours: tip, theirs: theirs, taking: side)
            merge.conflicts = files.conflicts
            guard files.conflicts.isEmpty else {
                merge.kind = .conflict
                return nil
            }
            (merge.added, merge.changed, merge.removed) = (files.added, files.changed, files.removed)
            let edits = files.edits.map { Edit(path: "\(prefix)/\($0.path)", content: $0.content) }
            if tip == nil || base == tip {
                merge.kind = .fastForward
                return Proposal(edits: edits, message: "fixture: merge \(revision): fast-forward", existing: theirs)
            }
            merge.kind = .merged
            return Proposal(edits: edits, message: "fixture: merge \(revision)\n", otherParents: [theirs])
        }
        return merge
    }

    func mergeBase(_ a: ObjectID, _ b: ObjectID) throws -> ObjectID? {
        var (first, second, base) = (a.raw, b.raw, git_oid())
        let code = git_merge_base(&base, repository.raw, &first, &second)
        if code == GIT_ENOTFOUND.rawValue { return nil }
        try check(code, "cannot compare two histories")
        return ObjectID(base)
    }

    /// - Throws: if the other side changed anything outside the folder that we have not: a merge here would drop it.
    private func checkNothingElse(base: ObjectID?, ours: ObjectID?, theirs: ObjectID) throws {
        for path in try changedPaths(base, theirs) where !path.hasPrefix(prefix + "/") {
            guard let ours, try repository.entry(path, at: ours)?.id == repository.entry(path, at: theirs)?.id else {
                throw StoreError("the other side changes \(path), outside \(prefix): merge with git")
            }
        }
    }

    private func changedPaths(_ old: ObjectID?, _ new: ObjectID) throws -> [String] {
        guard let old else { return try repository.withTree(of: new) { try changedPaths(tree: nil, $0) } }
        return try repository.withTree(of: old) { old in
            try repository.withTree(of: new) { try changedPaths(tree: old, $0) }
        }
    }

    private func changedPaths(tree old: OpaquePointer?, _ new: OpaquePointer) throws -> [String] {
        let diff = try made("cannot compare two trees") { git_diff_tree_to_tree(&$0, repository.raw, old, new, nil) }
        defer { git_diff_free(diff) }
        return (0..<git_diff_num_deltas(diff)).map { number in
            let delta = git_diff_get_delta(diff, number)!.pointee
            return String(cString: delta.new_file.path ?? delta.old_file.path)
        }
    }
}

/// The files of the folder, merged one by one.
private struct MergedFiles {
    private(set) var edits: [(path: String, content: [UInt8]?)] = []
    private(set) var conflicts: [Merge.Conflict] = []
    private(set) var added: [String] = []
    private(set) var changed: [String] = []
    private(set) var removed: [String] = []

    private let store: Store
    private let side: Merge.Side?

    init(_ store: Store, base: ObjectID?, ours: ObjectID?, theirs: ObjectID, taking side: Merge.Side?) throws {
        self.store = store
        self.side = side
        let old = try MergedFiles.table(store, base)
        let (mine, other) = (try MergedFiles.table(store, ours), try MergedFiles.table(store, theirs))
        for key in Set(old.keys).union(mine.keys).union(other.keys).sorted() {
            try merge(old[key], mine[key], other[key])
        }
    }

    /// Files by what they are: a fixture by its digest, whatever else is in its name; another file by its path.
    private static func table(_ store: Store, _ commit: ObjectID?) throws -> [String: TreeFile] {
        guard let commit else { return [:] }
        let tree = try TreeFiles(store.repository, commit: commit, prefix: store.prefix)
        if let fault = tree.faults.first { throw StoreError("commit \(commit.short): \(fault)") }
        var table: [String: TreeFile] = [:]
        for file in tree.files {
            guard isHarmless(file.name) else { throw StoreError("commit \(commit.short): the file name \(file.path)") }
            let fixture = FixtureName(family: file.folder, file: file.name)
            let key = fixture.map { "\($0.family)/\($0.digest)" } ?? (file.folder.isEmpty ? file.name : file.path)
            // Two names of one fixture: the second is a file as any other.
            table[table[key] == nil ? key : file.path] = file
        }
        return table
    }

    /// A name that is the same everywhere, and nothing to git.
    private static func isHarmless(_ name: String) -> Bool {
        name.first != "." && name.utf8.allSatisfy { (0x21..<0x7f).contains($0) && $0 != UInt8(ascii: "\\") }
    }

    private mutating func merge(_ old: TreeFile?, _ mine: TreeFile?, _ other: TreeFile?) throws {
        if mine == other || other == old { return }
        if mine == old { return try set(mine, other.map { ($0.shownPath, try content($0)) }) }
        if let resolved = try combined(old, mine, other) {
            // Of two names the smaller one, on both sides.
            return try set(mine, (min(mine!.shownPath, other!.shownPath), resolved))
        }
        switch side {
        case .ours: return
        case .theirs: try set(mine, other.map { ($0.shownPath, try content($0)) })
        case nil:
            conflicts.append(
                Merge.Conflict(
                    path: (mine ?? other)!.shownPath, ours: try mine.flatMap(fixture),
                    theirs: try other.flatMap(fixture)))
        }
    }

    private mutating func set(_ mine: TreeFile?, _ new: (path: String, content: [UInt8])?) throws {
        if let mine, mine.shownPath != new?.path {
            edits.append((mine.shownPath, nil))
            if new == nil { removed.append(mine.shownPath) }
        }
        guard let new else { return }
        if let mine, mine.shownPath == new.path, try content(mine) == new.content { return }
        edits.append((new.path, new.content))
        if mine == nil { added.append(new.path) } else { changed.append(new.path) }
    }

    private func content(_ file: TreeFile) throws -> [UInt8] {
        try store.repository.blob(file.id, limit: FixtureLimits.bytes, name: file.shownPath)
    }

    private func fixture(_ file: TreeFile) throws -> Fixture? {
        try? Fixture(parsing: content(file), file: file.shownPath)
    }

    private func combined(_ old: TreeFile?, _ mine: TreeFile?, _ other: TreeFile?) throws -> [UInt8]? {
        guard let mine, let other else { return nil }
        if mine.id == other.id { return try content(mine) }
        guard let a = try fixture(mine), let b = try fixture(other) else { return nil }
        return Fixture.merged(try old.flatMap(fixture), a, b).map { Array($0.description.utf8) }
    }
}

extension TreeFile {
    /// Below the folder of fixtures.
    var shownPath: String { folder.isEmpty ? name : path }
}

extension Fixture {
    /// Both in one, the same whichever is first; nil if they expect different things.
    static func merged(_ old: Fixture?, _ a: Fixture, _ b: Fixture) -> Fixture? {
        guard a.digest == b.digest else { return nil }
        guard let outcomes = changed(old?.outcomes, a.outcomes, b.outcomes),
            let verdict = changed(old?.verdict, a.verdict, b.verdict),
            let scheduledOn = changed(old?.scheduledOn, a.scheduledOn, b.scheduledOn)
        else { return nil }
        // What only explains it need not be a person's decision; it must only be the same on both sides.
        let trace =
            changed(old?.trace, a.trace, b.trace) ?? (a.trace.description < b.trace.description ? a.trace : b.trace)
        var merged = a
        (merged.outcomes, merged.verdict, merged.scheduledOn, merged.trace) = (outcomes, verdict, scheduledOn, trace)
        merged.shows = changed(old?.shows, a.shows, b.shows) ?? min(a.shows, b.shows)
        let (from, first, second) = (old?.provenance, a.provenance, b.provenance)
        merged.provenance = Provenance(
            seed: [first.seed, second.seed].compactMap { $0 }.min(),
            version: changed(from?.version, first.version, second.version) ?? min(first.version, second.version),
            sources: changed(from?.sources, first.sources, second.sources) ?? min(first.sources, second.sources),
            references: references(from?.references ?? [], first.references, second.references))
        return merged
    }

    /// The value that one side changed; nil if both did, to different ones.
    private static func changed<Value: Equatable>(_ old: Value?, _ a: Value, _ b: Value) -> Value? {
        if a == b || b == old { return a }
        return a == old ? b : nil
    }

    /// All that either side has, without what either removed.
    private static func references(
        _ old: [Provenance.Reference], _ a: [Provenance.Reference], _ b: [Provenance.Reference]
    ) -> [Provenance.Reference] {
        if a == b { return a }
        let removed = Set(old).subtracting(a).union(Set(old).subtracting(b))
        return Set(a).union(b).subtracting(removed).sorted()
    }
}
