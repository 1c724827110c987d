// SPDX-License-Identifier: GPL-2.0-only
// What changes a collection: new fixtures, new expectations, and fixtures that tell nothing apart any more.

import Differential

/// What became of fixtures that were to be recorded.
public struct Recording: Sendable {
    public var recorded: [FixtureName] = []
    /// What was there already under another name, or twice among the new ones.
    public var duplicates: [Duplicate] = []
    /// nil if there was nothing new.
    public var commit: ObjectID?

    public struct Duplicate: Sendable {
        public var name: FixtureName
        public var known: FixtureName
    }
}

extension Store {
    /// Adds fixtures in one commit.
    ///
    /// - Parameter subject: the commit message's first line; nil: one that says what is recorded.
    public func record(_ fixtures: [Fixture], subject: String? = nil) throws -> Recording {
        var recording = Recording()
        let named = fixtures.map { (name: $0.name, text: Array($0.description.utf8), fixture: $0) }
        recording.commit = try Committer(repository: repository).commit { tip in
            recording.recorded = []
            recording.duplicates = []
            var known = try names(at: tip)
            var new: [(name: FixtureName, text: [UInt8], fixture: Fixture)] = []
            for item in named {
                if let same = known[item.name.digest] {
                    recording.duplicates.append(Recording.Duplicate(name: item.name, known: same))
                } else {
                    known[item.name.digest] = item.name
                    new.append(item)
                }
            }
            recording.recorded = new.map(\.name)
            guard !new.isEmpty else { return nil }
            return Proposal(
                edits: new.map { Edit(path: path($0.name), content: $0.text) },
                message: message(new.map { ($0.name, $0.fixture.shows) }, subject))
        }
        return recording
    }

    /// All fixtures at a commit by their digests, for look-ups.
    private func names(at commit: ObjectID?) throws -> [String: FixtureName] {
        guard let commit else { return [:] }
        let files = try TreeFiles(repository, commit: commit, prefix: prefix).files
        return Dictionary(
            files.compactMap { FixtureName(family: $0.folder, file: $0.name) }.map { ($0.digest, $0) },
            uniquingKeysWith: { first, _ in first })
    }

    private func message(_ new: [(name: FixtureName, shows: String)], _ subject: String?) -> String {
        if new.count == 1 { return "\(subject ?? "fixture: \(new[0].name)")\n\n\(new[0].shows)\n" }
        let most = 50
        let list = new.prefix(most).map { "- \($0.name): \($0.shows)\n" }.joined()
        let rest = new.count > most ? "- and \(new.count - most) more\n" : ""
        return "\(subject ?? "fixture: record \(new.count)")\n\n\(list)\(rest)"
    }

    /// Replaces fixtures by others, whose names may be others, in one commit.
    ///
    /// - Returns: nil if nothing changes.
    public func replace(_ changes: [(old: FixtureName, new: Fixture)], message: String) throws -> ObjectID? {
        try Committer(repository: repository).commit { tip in
            let known = try names(at: tip)
            var edits: [Edit] = []
            for (old, new) in changes {
                guard known[old.digest] == old else { throw StoreError("\(old) is not committed") }
                // Expectations may change what a name would say, but the name stays while the trace does.
                let name = new.digest == old.digest ? old : new.name
                if name != old { edits.append(Edit(path: path(old), content: nil)) }
                edits.append(Edit(path: path(name), content: Array(new.description.utf8)))
            }
            return edits.isEmpty ? nil : Proposal(edits: edits, message: message)
        }
    }

    /// Removes fixtures in one commit.
    public func remove(_ names: [FixtureName], message: String) throws -> ObjectID? {
        try Committer(repository: repository).commit { tip in
            let known = try self.names(at: tip)
            for name in names where known[name.digest] != name { throw StoreError("\(name) is not committed") }
            if names.isEmpty { return nil }
            return Proposal(edits: names.map { Edit(path: path($0), content: nil) }, message: message)
        }
    }
}
