// SPDX-License-Identifier: GPL-2.0-only
// The files below a folder in a tree.  A tree can hold anything: only plain files in plain folders are
// looked at, and everything else is told.

import Clibgit2

/// A file in a tree.
struct TreeFile: Equatable {
    var folder: String
    var name: String
    var id: ObjectID

    var path: String { "\(folder)/\(name)" }
}

/// What the folder of fixtures holds in one tree.
struct TreeFiles {
    /// By path.
    private(set) var files: [TreeFile] = []
    /// What is no plain file in a plain folder, in words.
    private(set) var faults: [String] = []

    /// So many are a mistake, or an attack.
    static let most = 1_000_000

    /// - Parameter prefix: the folder, from the tree's root, without slashes at its ends.
    init(_ repository: Repository, commit: ObjectID, prefix: String) throws {
        try repository.withTree(of: commit) { root in
            guard let folder = try TreeFiles.folder(repository, root, prefix) else { return }
            defer { git_tree_free(folder) }
            try collect(repository, folder)
        }
    }

    init() {}

    /// The tree at `path` below `root`; nil if there is none.
    private static func folder(_ repository: Repository, _ root: OpaquePointer, _ path: String) throws -> OpaquePointer?
    {
        guard var entry = try repository.entry(path, in: root) else { return nil }
        guard entry.kind == GIT_OBJECT_TREE else { throw StoreError("\(path) is no folder there") }
        return try made("cannot read \(path)") { git_tree_lookup(&$0, repository.raw, &entry.id.raw) }
    }

    private mutating func collect(_ repository: Repository, _ root: OpaquePointer) throws {
        for number in 0..<git_tree_entrycount(root) {
            let entry = git_tree_entry_byindex(root, number)
            let name = String(cString: git_tree_entry_name(entry))
            switch git_tree_entry_filemode(entry) {
            case GIT_FILEMODE_TREE:
                guard FixtureName.isPlain(name) else {
                    faults.append("\(inOneLine(name)): no name of a family")
                    continue
                }
                let folder = try made("cannot read \(name)") {
                    git_tree_lookup(&$0, repository.raw, git_tree_entry_id(entry))
                }
                defer { git_tree_free(folder) }
                try collect(files: folder, name)
            case GIT_FILEMODE_BLOB, GIT_FILEMODE_BLOB_EXECUTABLE:
                files.append(TreeFile(folder: "", name: name, id: ObjectID(git_tree_entry_id(entry).pointee)))
            default: faults.append("\(inOneLine(name)): neither a folder nor a file")
            }
        }
    }

    private mutating func collect(files folder: OpaquePointer, _ family: String) throws {
        for number in 0..<git_tree_entrycount(folder) {
            let entry = git_tree_entry_byindex(folder, number)
            let name = String(cString: git_tree_entry_name(entry))
            guard [GIT_FILEMODE_BLOB, GIT_FILEMODE_BLOB_EXECUTABLE].contains(git_tree_entry_filemode(entry)) else {
                faults.append("\(family)/\(inOneLine(name)): no file")
                continue
            }
            guard files.count < TreeFiles.most else { throw StoreError("more than \(TreeFiles.most) files") }
            files.append(TreeFile(folder: family, name: name, id: ObjectID(git_tree_entry_id(entry).pointee)))
        }
    }
}
