// SPDX-License-Identifier: GPL-2.0-only
// What became of fixtures over time, read from the object database: no working tree is needed.

import Clibgit2
import Differential

/// A commit, as histories show it.
public struct CommitLine: Sendable {
    public var id: ObjectID
    /// `2026-11-21`, in the author's time.
    public var date: String
    public var author: String
    /// The first line of its message.
    public var subject: String
}

/// A commit that changed a fixture.
public struct FixtureChange: Sendable {
    public enum Kind: String, Sendable { case recorded, changed, renamed, removed }

    public var commit: CommitLine
    public var kind: Kind
    /// What it is called from then on; what it was called, if it was removed.
    public var name: String
    /// nil if it was not there, or cannot be read.
    public var before, after: Fixture?
}

extension Store {
    /// The commits that changed a fixture, the newest first.  It is followed through renames.
    public func history(of name: FixtureName, from revision: String = "HEAD") throws -> [FixtureChange] {
        var path = name.path
        var changes: [FixtureChange] = []
        for commit in try commits(from: repository.commit(revision)) {
            let parents = try parents(of: commit)
            let now = try blob(path, at: commit)
            let earlier = try parents.map { try blob(path, at: $0) }
            // A merge that takes a parent's version changed nothing itself.
            if parents.isEmpty ? now == nil : earlier.contains(now) { continue }
            var oldPath: String?
            if now != nil && earlier.allSatisfy({ $0 == nil }), let parent = parents.first {
                oldPath = try self.oldPath(of: path, at: commit, parent: parent)
            }
            let old = try oldPath.flatMap { try blob($0, at: parents[0]) } ?? earlier.compactMap { $0 }.first
            changes.append(
                FixtureChange(
                    commit: try line(of: commit),
                    kind: now == nil ? .removed : oldPath != nil ? .renamed : old == nil ? .recorded : .changed,
                    name: plainName(path), before: parsed(old, path), after: parsed(now, path)))
            if let oldPath { path = oldPath }
        }
        return changes
    }

    private func plainName(_ path: String) -> String {
        inOneLine(path.hasSuffix(FixtureName.fileEnding) ? String(path.dropLast(FixtureName.fileEnding.count)) : path)
    }

    private func parsed(_ id: ObjectID?, _ path: String) -> Fixture? {
        guard let id, let bytes = try? repository.blob(id, limit: FixtureLimits.bytes, name: path) else { return nil }
        return try? Fixture(parsing: bytes, file: path)
    }

    /// The file at `path` below the folder of fixtures.
    func blob(_ path: String, at commit: ObjectID) throws -> ObjectID? {
        try repository.entry("\(prefix)/\(path)", at: commit).flatMap { $0.kind == GIT_OBJECT_BLOB ? $0.id : nil }
    }

    /// Where the file that a commit brings in lay before: what git takes for a rename.
    private func oldPath(of path: String, at commit: ObjectID, parent: ObjectID) throws -> String? {
        try repository.withTree(of: commit) { new in
            try repository.withTree(of: parent) { old in
                let diff = try made("cannot compare two trees") {
                    git_diff_tree_to_tree(&$0, repository.raw, old, new, nil)
                }
                defer { git_diff_free(diff) }
                try check(git_diff_find_similar(diff, nil), "cannot find renames")
                for number in 0..<git_diff_num_deltas(diff) {
                    let delta = git_diff_get_delta(diff, number)!.pointee
                    guard delta.status == GIT_DELTA_RENAMED,
                        String(cString: delta.new_file.path) == "\(prefix)/\(path)",
                        case let from = String(cString: delta.old_file.path), from.hasPrefix(prefix + "/")
                    else { continue }
                    return String(from.dropFirst(prefix.count + 1))
                }
                return nil
            }
        }
    }

    // MARK: Commits

    /// A commit and all before it, each before its parents.
    func commits(from commit: ObjectID, without: [ObjectID] = []) throws -> [ObjectID] {
        let walk = try made("cannot read the history") { git_revwalk_new(&$0, repository.raw) }
        defer { git_revwalk_free(walk) }
        git_revwalk_sorting(walk, GIT_SORT_TOPOLOGICAL.rawValue)
        var start = commit.raw
        try check(git_revwalk_push(walk, &start), "cannot read the history of \(commit.short)")
        for other in without {
            var id = other.raw
            try check(git_revwalk_hide(walk, &id), "cannot read the history of \(other.short)")
        }
        var result: [ObjectID] = []
        var id = git_oid()
        while true {
            let code = git_revwalk_next(&id, walk)
            if code == GIT_ITEROVER.rawValue { return result }
            try check(code, "cannot read the history of \(commit.short)")
            result.append(ObjectID(id))
        }
    }

    func parents(of commit: ObjectID) throws -> [ObjectID] {
        try repository.withCommit(commit) { commit in
            (0..<git_commit_parentcount(commit)).map { ObjectID(git_commit_parent_id(commit, $0).pointee) }
        }
    }

    public func line(of commit: ObjectID) throws -> CommitLine {
        try repository.withCommit(commit) { raw in
            let author = git_commit_author(raw).pointee
            return CommitLine(
                id: commit, date: civilDate(author.when),
                author: inOneLine(String(cString: author.name)),
                subject: inOneLine(git_commit_summary(raw).map { String(cString: $0) } ?? ""))
        }
    }
}

private func civilDate(_ time: git_time) -> String {
    civilDate(seconds: time.time + Int64(time.offset) * 60)
}

/// The day of a time in the Gregorian calendar, without a locale (after Howard Hinnant's civil_from_days()).
public func civilDate(seconds: Int64) -> String {
    let days = (seconds >= 0 ? seconds : seconds - 86_399) / 86_400
    let shifted = days + 719_468
    let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
    let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    func two(_ number: Int64) -> String { number < 10 ? "0\(number)" : "\(number)" }
    return "\(year)-\(two(month))-\(two(day))"
}

// MARK: - Two revisions

/// How a fixture differs between two revisions.
public struct FixtureDifference: Sendable {
    public enum Kind: String, Sendable { case added, removed, renamed, changed, unreadable }

    public var kind: Kind
    public var name: FixtureName
    /// What it was called before, if it was renamed.
    public var oldName: FixtureName?
    public var before, after: Fixture?
}

extension Store {
    /// What differs between the collections of two revisions, by name.
    public func difference(_ old: String, _ new: String) throws -> [FixtureDifference] {
        let (before, after) = (try collection(at: old).fixtures, try collection(at: new).fixtures)
        let known = Dictionary(before.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        let kept = Set(after.map(\.name))
        var removed = before.filter { !kept.contains($0.name) }
        var result: [FixtureDifference] = []
        for fixture in after {
            if let same = known[fixture.name] {
                guard same.id != fixture.id else { continue }
                result.append(compared(same, fixture, .changed))
            } else if let old = removed.firstIndex(where: { isSame($0, fixture) }) {
                result.append(compared(removed.remove(at: old), fixture, .renamed))
            } else {
                let parsed = try? fixture.fixture()
                result.append(
                    FixtureDifference(kind: parsed == nil ? .unreadable : .added, name: fixture.name, after: parsed))
            }
        }
        result += removed.map { FixtureDifference(kind: .removed, name: $0.name, before: try? $0.fixture()) }
        return result.sorted { $0.name < $1.name }
    }

    private func compared(_ old: StoredFixture, _ new: StoredFixture, _ kind: FixtureDifference.Kind)
        -> FixtureDifference
    {
        let (before, after) = (try? old.fixture(), try? new.fixture())
        return FixtureDifference(
            kind: before == nil || after == nil ? .unreadable : kind, name: new.name,
            oldName: old.name == new.name ? nil : old.name, before: before, after: after)
    }

    /// Whether a fixture is another one with places of its schedule moved, or under another slug.
    private func isSame(_ old: StoredFixture, _ new: StoredFixture) -> Bool {
        if old.name.digest == new.name.digest { return true }
        guard old.name.family == new.name.family, let before = try? old.fixture(), let after = try? new.fixture() else {
            return false
        }
        var (a, b) = (before.trace.withoutRemarks, after.trace.withoutRemarks)
        (a.schedule, b.schedule) = (nil, nil)
        return a == b && before.pair == after.pair
    }
}
