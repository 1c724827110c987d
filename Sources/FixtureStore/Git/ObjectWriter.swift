// SPDX-License-Identifier: GPL-2.0-only
// New objects.  A few become loose objects, as git writes them; many become one pack, or a collection would
// be ten thousand files.

import Clibgit2
import Glibc

/// A file to write, or to remove, by its path from the tree's root.
struct Edit: Equatable {
    var path: String
    /// nil removes it.
    var content: [UInt8]?
}

/// Writes blobs, trees and commits.  Nothing refers to them before a reference is moved.
final class ObjectWriter {
    private let repository: Repository

    /// So many files make a pack of their own: git unpacks what it receives below a hundred objects.
    private static let filesOfPack = 50

    /// - Parameter files: how many there will be.
    init(_ repository: Repository, files: Int) throws {
        self.repository = repository
        if files >= ObjectWriter.filesOfPack { try repository.collectObjects() }
    }

    func blob(_ content: [UInt8]) throws -> ObjectID {
        var id = git_oid()
        try check(git_blob_create_from_buffer(&id, repository.raw, content, content.count), "cannot write an object")
        return ObjectID(id)
    }

    /// The tree of `parent` with the edits made; nothing else in it changes.
    func tree(_ parent: ObjectID?, _ edits: [Edit]) throws -> ObjectID {
        let files = try edits.map { edit in try (edit.path, edit.content.map(blob)) }
        guard let parent else { return try tree(baseline: nil, files) }
        return try repository.withTree(of: parent) { try tree(baseline: $0, files) }
    }

    private func tree(baseline: OpaquePointer?, _ files: [(path: String, id: ObjectID?)]) throws -> ObjectID {
        let paths = files.map { strdup($0.path)! }
        defer { for path in paths { free(path) } }
        let updates = zip(files, paths).map { file, path in
            git_tree_update(
                action: file.id == nil ? GIT_TREE_UPDATE_REMOVE : GIT_TREE_UPDATE_UPSERT, id: file.id?.raw ?? git_oid(),
                filemode: GIT_FILEMODE_BLOB, path: path)
        }
        var id = git_oid()
        // Without a tree to start from: the empty one.
        let empty = baseline == nil ? try emptyTree() : nil
        defer { git_tree_free(empty) }
        try check(
            git_tree_create_updated(&id, repository.raw, baseline ?? empty, updates.count, updates),
            "cannot write a tree")
        return ObjectID(id)
    }

    private func emptyTree() throws -> OpaquePointer {
        let builder = try made("cannot make a tree") { git_treebuilder_new(&$0, repository.raw, nil) }
        defer { git_treebuilder_free(builder) }
        var id = git_oid()
        try check(git_treebuilder_write(&id, builder), "cannot write a tree")
        return try made("cannot read a tree") { git_tree_lookup(&$0, repository.raw, &id) }
    }

    func commit(_ tree: ObjectID, parents: [ObjectID], message: String) throws -> ObjectID {
        let author = try Signature(repository)
        var treeID = tree.raw
        let tree = try made("cannot read a tree") { git_tree_lookup(&$0, repository.raw, &treeID) }
        defer { git_tree_free(tree) }
        var commits: [OpaquePointer?] = []
        defer { for commit in commits { git_commit_free(commit) } }
        for parent in parents {
            var id = parent.raw
            commits.append(
                try made("cannot read commit \(parent.short)") { git_commit_lookup(&$0, repository.raw, &id) })
        }
        var id = git_oid()
        try check(
            git_commit_create(
                &id, repository.raw, nil, author.raw, author.raw, nil, message, tree, commits.count, &commits),
            "cannot write a commit")
        return ObjectID(id)
    }

    /// Writes what is not on the disk yet.
    func finish() throws {
        guard let pack = repository.pack else { return }
        var buffer = git_buf()
        defer { git_buf_dispose(&buffer) }
        try check(git_mempack_dump(&buffer, repository.raw, pack.backend), "cannot make a pack")
        let indexer = try made("cannot make a pack") {
            git_indexer_new(&$0, repository.commonFolder + "objects/pack", 0o444, nil, nil)
        }
        defer { git_indexer_free(indexer) }
        var progress = git_indexer_progress()
        try check(git_indexer_append(indexer, buffer.ptr, buffer.size, &progress), "cannot write a pack")
        try check(git_indexer_commit(indexer, &progress), "cannot write a pack")
        try check(git_mempack_reset(pack.backend), "cannot make a pack")
        // Whoever reads it next must find it.
        try check(git_odb_refresh(pack.odb), "cannot read the new pack")
    }
}

/// Who commits, and when.
final class Signature {
    let raw: UnsafeMutablePointer<git_signature>

    init(_ repository: Repository) throws {
        var signature: UnsafeMutablePointer<git_signature>?
        let code = git_signature_default(&signature, repository.raw)
        if code == GIT_ENOTFOUND.rawValue {
            throw StoreError("git does not know who you are: set user.name and user.email with git config")
        }
        try check(code, "cannot make a signature")
        raw = signature!
    }

    deinit {
        git_signature_free(raw)
    }
}
