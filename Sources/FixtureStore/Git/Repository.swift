// SPDX-License-Identifier: GPL-2.0-only
// A git repository, opened in this process.  libgit2 runs no hooks, no filters and no programs that a
// repository's configuration names.

import Clibgit2
import Glibc

/// An open repository.
public final class Repository {
    let raw: OpaquePointer
    public let isBare: Bool
    /// `.git` of this working tree: where HEAD and the index are.
    let folder: String
    /// `.git` of all working trees: where objects and references are.
    let commonFolder: String
    /// Without a slash at its end; nil if there is none.
    public let workTree: String?

    /// Where new objects are collected until they become one pack; nil: they become loose objects at once.
    private(set) var pack: (odb: OpaquePointer, backend: UnsafeMutablePointer<git_odb_backend>)?

    private static let library: Void = {
        git_libgit2_init()
        // Before any repository is opened: each looks once.
        git_enable_fsync(1)
        git_enable_strict_hash_verification(1)
    }()

    /// Opens the repository that the folder `path` is in.
    public convenience init(at path: String) throws {
        _ = Repository.library
        do {
            let raw = try made("cannot open the repository of \(path)") {
                git_repository_open_ext(&$0, path, UInt32(GIT_REPOSITORY_OPEN_CROSS_FS.rawValue), nil)
            }
            try self.init(raw)
        } catch let error as GitError {
            if error.code == GIT_EOWNER.rawValue {
                throw StoreError(
                    "\(path): the repository belongs to somebody else; see safe.directory in git-config(1)")
            }
            throw StoreError(error.isNotFound ? "\(path): in no git repository" : "\(error)")
        }
    }

    /// Makes a new one.
    public convenience init(making path: String, bare: Bool) throws {
        _ = Repository.library
        var options = git_repository_init_options()
        git_repository_init_options_init(&options, UInt32(GIT_REPOSITORY_INIT_OPTIONS_VERSION))
        options.flags = UInt32(
            GIT_REPOSITORY_INIT_MKPATH.rawValue | GIT_REPOSITORY_INIT_NO_REINIT.rawValue
                | (bare ? GIT_REPOSITORY_INIT_BARE.rawValue : 0))
        let raw = try made("cannot make a repository in \(path)") { git_repository_init_ext(&$0, path, &options) }
        try self.init(raw)
    }

    private init(_ raw: OpaquePointer) throws {
        self.raw = raw
        isBare = git_repository_is_bare(raw) != 0
        folder = String(cString: git_repository_path(raw))
        commonFolder = String(cString: git_repository_commondir(raw))
        workTree = git_repository_workdir(raw).map { String(String(cString: $0).dropLast()) }
    }

    deinit {
        if let pack { git_odb_free(pack.odb) }
        git_repository_free(raw)
    }

    /// Collects new objects from now on.
    func collectObjects() throws {
        guard pack == nil else { return }
        let odb = try made("cannot open the object database") { git_repository_odb(&$0, raw) }
        var backend: UnsafeMutablePointer<git_odb_backend>?
        try check(git_mempack_new(&backend), "cannot make a pack")
        // Before all others; the database frees it.
        try check(git_odb_add_backend(odb, backend, 999), "cannot make a pack")
        pack = (odb, backend!)
    }

    // MARK: HEAD

    /// The branch that HEAD names, and its commit, if it has one.
    struct Branch: Equatable {
        var name: String
        var tip: ObjectID?

        var shortName: String { name.hasPrefix("refs/heads/") ? String(name.dropFirst(11)) : name }
    }

    /// - Throws: where HEAD names no branch.
    func branch() throws -> Branch {
        let head = try made("cannot read HEAD") { git_reference_lookup(&$0, raw, "HEAD") }
        defer { git_reference_free(head) }
        guard git_reference_type(head) == GIT_REFERENCE_SYMBOLIC, let target = git_reference_symbolic_target(head)
        else {
            throw StoreError("HEAD is detached: check out a branch first")
        }
        let name = String(cString: target)
        guard name.hasPrefix("refs/heads/") else { throw StoreError("HEAD names \(name), which is no branch") }
        return Branch(name: name, tip: try self.target(of: name))
    }

    /// What a reference points to; nil if there is none.
    func target(of reference: String) throws -> ObjectID? {
        var id = git_oid()
        let code = git_reference_name_to_id(&id, raw, reference)
        if code == GIT_ENOTFOUND.rawValue { return nil }
        try check(code, "cannot read \(reference)")
        return ObjectID(id)
    }

    /// - Throws: in the middle of a merge, a rebase and the like.
    func checkNothingIsUnderWay() throws {
        let what =
            switch git_repository_state_t(UInt32(git_repository_state(raw))) {
            case GIT_REPOSITORY_STATE_NONE: ""
            case GIT_REPOSITORY_STATE_MERGE: "a merge"
            case GIT_REPOSITORY_STATE_REVERT, GIT_REPOSITORY_STATE_REVERT_SEQUENCE: "a revert"
            case GIT_REPOSITORY_STATE_CHERRYPICK, GIT_REPOSITORY_STATE_CHERRYPICK_SEQUENCE: "a cherry-pick"
            case GIT_REPOSITORY_STATE_BISECT: "a bisection"
            case GIT_REPOSITORY_STATE_APPLY_MAILBOX: "git am"
            default: "a rebase"
            }
        guard !what.isEmpty else { return }
        throw StoreError("\(what) is under way in the repository: finish it first")
    }

    // MARK: Commits

    /// The commit that a revision names.
    public func commit(_ revision: String) throws -> ObjectID {
        let object: OpaquePointer
        do {
            object = try made("no revision \(revision)") { git_revparse_single(&$0, raw, revision) }
        } catch let error as GitError where error.isNotFound {
            throw StoreError("no revision \(revision)")
        }
        defer { git_object_free(object) }
        let commit = try made("\(revision) is no commit") { git_object_peel(&$0, object, GIT_OBJECT_COMMIT) }
        defer { git_object_free(commit) }
        return ObjectID(git_object_id(commit).pointee)
    }

    /// Calls `body` with the commit; it is freed afterwards.
    func withCommit<Result>(_ id: ObjectID, _ body: (OpaquePointer) throws -> Result) throws -> Result {
        var raw = id.raw
        let commit = try made("cannot read commit \(id.short)") { git_commit_lookup(&$0, self.raw, &raw) }
        defer { git_commit_free(commit) }
        return try body(commit)
    }

    /// Calls `body` with the tree of a commit.
    func withTree<Result>(of commit: ObjectID, _ body: (OpaquePointer) throws -> Result) throws -> Result {
        try withCommit(commit) { commit in
            let tree = try made("cannot read a tree") { git_commit_tree(&$0, commit) }
            defer { git_tree_free(tree) }
            return try body(tree)
        }
    }

    /// What a tree has at a path below it; nil if nothing.
    func entry(_ path: String, in tree: OpaquePointer) throws -> (id: ObjectID, kind: git_object_t)? {
        var entry: OpaquePointer?
        let code = git_tree_entry_bypath(&entry, tree, path)
        if code == GIT_ENOTFOUND.rawValue { return nil }
        try check(code, "cannot read \(path)")
        defer { git_tree_entry_free(entry) }
        return (ObjectID(git_tree_entry_id(entry).pointee), git_tree_entry_type(entry))
    }

    /// What a commit has at a path; nil if nothing.
    func entry(_ path: String, at commit: ObjectID) throws -> (id: ObjectID, kind: git_object_t)? {
        try withTree(of: commit) { try entry(path, in: $0) }
    }

    /// A file's bytes.
    ///
    /// - Parameter limit: how large it may be: nothing larger is read.
    func blob(_ id: ObjectID, limit: Int, name: @autoclosure () -> String) throws -> [UInt8] {
        var raw = id.raw
        let odb = try made("cannot open the object database") { git_repository_odb(&$0, self.raw) }
        defer { git_odb_free(odb) }
        var (size, kind) = (0, GIT_OBJECT_INVALID)
        try check(git_odb_read_header(&size, &kind, odb, &raw), "cannot read \(name())")
        guard kind == GIT_OBJECT_BLOB else { throw StoreError("\(name()) is no file") }
        guard size <= limit else { throw StoreError("\(name()) has \(size) bytes, at most \(limit) are read") }
        let blob = try made("cannot read \(name())") { git_blob_lookup(&$0, self.raw, &raw) }
        defer { git_blob_free(blob) }
        return Array(UnsafeRawBufferPointer(start: git_blob_rawcontent(blob), count: Int(git_blob_rawsize(blob))))
    }
}
