// SPDX-License-Identifier: GPL-2.0-only
// Collections on other machines and in other folders.

import Clibgit2
import Glibc

/// Where a collection is fetched from and pushed to: a folder, or a host that is reached by ssh.
struct RemotePlace {
    /// What libgit2 is given.
    let url: String
    /// The folder, if it is one.
    let folder: String?
    /// A name for what was fetched from there.
    let label: String

    /// - Parameter text: a remote's name in the repository's configuration, a path or an URL.
    init(_ text: String, _ repository: Repository) throws {
        var url = text
        var label: String?
        if let configured = RemotePlace.configured(text, repository) { (url, label) = (configured, text) }
        let path = url.hasPrefix("file://") ? String(url.dropFirst(7)) : url
        if let real = realpath(path, nil) {
            defer { free(real) }
            folder = String(cString: real)
            self.url = folder!
        } else {
            guard RemotePlace.isSSH(url) else {
                throw StoreError("\(text): no remote, no folder and no ssh address of a repository")
            }
            guard UInt32(git_libgit2_features()) & GIT_FEATURE_SSH.rawValue != 0 else {
                throw StoreError("\(text): this libgit2 cannot speak ssh")
            }
            (folder, self.url) = (nil, url)
        }
        self.label =
            label.flatMap { FixtureName.isPlain($0) ? $0 : nil } ?? "at-" + shortDigest(self.url.utf8)
    }

    private static func configured(_ name: String, _ repository: Repository) -> String? {
        var remote: OpaquePointer?
        guard git_remote_lookup(&remote, repository.raw, name) == 0 else { return nil }
        defer { git_remote_free(remote) }
        return git_remote_url(remote).map { String(cString: $0) }
    }

    /// `ssh://host/path`, or `host:path` without a slash before the colon.
    private static func isSSH(_ url: String) -> Bool {
        if url.hasPrefix("ssh://") { return true }
        guard !url.contains("://"), !url.hasPrefix("-"), let colon = url.firstIndex(of: ":") else { return false }
        return colon != url.startIndex && !url[..<colon].contains("/")
    }
}

/// What was fetched.
public struct Fetch: Sendable {
    /// Where it is kept; a revision for `merge`.
    public var reference: String
    public var commit: ObjectID
    /// Fixtures that HEAD has not.
    public var new: [FixtureName]
}

extension Store {
    /// Whether text names a place that can be fetched from, and no revision.
    public func isRemote(_ text: String) -> Bool { (try? RemotePlace(text, repository)) != nil }

    /// Fetches a branch.
    ///
    /// - Parameter branch: nil: the one that is called like HEAD's, or else the other side's HEAD.
    public func fetch(_ place: String, branch: String? = nil) throws -> Fetch {
        let place = try RemotePlace(place, repository)
        // Objects only come in one's turn, so that a fetch that dies is cleared away after.
        let turn = try WriteTurn(repository)
        let remote = try RemoteConnection(repository, place, GIT_DIRECTION_FETCH)
        let name = try self.branch(branch, remote)
        let reference = "refs/mmdiff/\(place.label)/\(name.dropFirst("refs/heads/".count))"
        try turn.note(Leftovers.fetch(reference))
        try remote.fetch("+\(name):\(reference)")
        guard let commit = try repository.target(of: reference) else {
            throw StoreError("\(place.url) sent no \(name)")
        }
        let known = Set(try repository.branch().tip.map { try collection(at: $0).fixtures.map(\.name) } ?? [])
        let new = try collection(at: commit).fixtures.map(\.name).filter { !known.contains($0) }
        return Fetch(reference: reference, commit: commit, new: new)
    }

    /// The full name of the branch to fetch.
    private func branch(_ wanted: String?, _ remote: RemoteConnection) throws -> String {
        let heads = try remote.heads()
        let names = heads.map(\.name).filter { $0.hasPrefix("refs/heads/") }
        let place = remote.place
        if let wanted {
            guard names.contains("refs/heads/\(wanted)") else {
                throw StoreError("\(place.url) has no branch \(wanted)")
            }
            return "refs/heads/\(wanted)"
        }
        if let own = try? repository.branch().name, names.contains(own) { return own }
        if let name = heads.first(where: { $0.name == "HEAD" })?.symbolicTarget, names.contains(name) { return name }
        guard names.count == 1 else {
            throw StoreError("\(place.url) has \(names.count) branches: name one with --branch")
        }
        return names[0]
    }

    /// Pushes HEAD's branch, if the other side has nothing that we have not.
    ///
    /// - Returns: false if it had everything.
    public func push(_ place: String, branch: String? = nil) throws -> Bool {
        let place = try RemotePlace(place, repository)
        let own = try repository.branch()
        guard let tip = own.tip else { throw StoreError("there is nothing to push: no commit yet") }
        let name = branch.map { "refs/heads/\($0)" } ?? own.name
        guard git_reference_is_valid(name) else { throw StoreError("\(branch ?? name) cannot be the name of a branch") }
        if let folder = place.folder { return try push(tip, to: folder, name) }
        let remote = try RemoteConnection(repository, place, GIT_DIRECTION_PUSH)
        if try remote.heads().contains(where: { $0.name == name && $0.id == tip }) { return false }
        try remote.push("\(own.name):\(name)")
        return true
    }

    private func git_reference_is_valid(_ name: String) -> Bool {
        var valid: Int32 = 0
        return git_reference_name_is_valid(&valid, name) == 0 && valid != 0
    }

    /// Into another folder, with the same care as into the own one.
    private func push(_ tip: ObjectID, to folder: String, _ name: String) throws -> Bool {
        let other = try Repository(at: folder)
        guard other.isBare || (try? other.branch().name) != name else {
            throw StoreError("\(folder): \(name) is checked out there; push to a bare repository, or fetch from there")
        }
        let turn = try WriteTurn(other)
        let old = try other.target(of: name)
        if old == tip { return false }
        if let old {
            var (id, tipID) = (old.raw, tip.raw)
            guard git_graph_descendant_of(repository.raw, &tipID, &id) == 1 else {
                throw RemoteConnection.notForward(folder)
            }
        }
        try turn.note(Leftovers.reference(name, tip))
        try send(tip, without: old, to: other)
        let reference = try ReferenceMove(other, name)
        guard try reference.isStill(old) else {
            throw StoreError("\(folder): \(name) has moved meanwhile: fetch and merge first")
        }
        try reference.move(to: tip, saying: "push", as: Signature(repository))
        return true
    }

    private func send(_ tip: ObjectID, without old: ObjectID?, to other: Repository) throws {
        let builder = try made("cannot make a pack") { git_packbuilder_new(&$0, repository.raw) }
        defer { git_packbuilder_free(builder) }
        let walk = try made("cannot read the history") { git_revwalk_new(&$0, repository.raw) }
        defer { git_revwalk_free(walk) }
        var id = tip.raw
        try check(git_revwalk_push(walk, &id), "cannot read the history")
        if var old = old?.raw { try check(git_revwalk_hide(walk, &old), "cannot read the history") }
        try check(git_packbuilder_insert_walk(builder, walk), "cannot make a pack")
        try check(
            git_packbuilder_write(builder, other.commonFolder + "objects/pack", 0o444, nil, nil), "cannot write a pack")
    }
}
