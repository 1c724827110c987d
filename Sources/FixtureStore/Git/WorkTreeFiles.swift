// SPDX-License-Identifier: GPL-2.0-only
// The files of fixtures in a working tree.  No link is followed, and a file is there as a whole or not at all.

import Clibgit2
import Glibc

/// A folder of the working tree, held open, so that nothing that happens to its path leads elsewhere.
final class WorkFolder {
    let descriptor: Int32

    /// Opens the folder at `path`, one name after the other; nil if there is none.
    ///
    /// - Parameter making: make what is missing.
    init?(_ workTree: String, _ path: String, making: Bool) throws {
        var current = open(workTree, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard current >= 0 else { throw StoreError("cannot open \(workTree): \(systemError)") }
        for name in path.split(separator: "/").map(String.init) {
            if making && mkdirat(current, name, 0o777) != 0 && errno != EEXIST {
                let problem = systemError
                close(current)
                throw StoreError("cannot make \(workTree)/\(path): \(problem)")
            }
            let next = openat(current, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            let error = errno
            close(current)
            guard next >= 0 else {
                if error == ENOENT { return nil }
                let problem =
                    error == ENOTDIR || error == ELOOP ? "a link or no folder" : String(cString: strerror(error))
                throw StoreError("cannot open \(workTree)/\(path): \(problem)")
            }
            current = next
        }
        descriptor = current
    }

    deinit {
        close(descriptor)
    }
}

/// Files to be put into a working tree together.
final class WorkTreeUpdate {
    private let workTree: String
    private var folders: [String: WorkFolder] = [:]
    private var prepared: [(folder: WorkFolder, name: String, content: [UInt8]?)] = []
    /// How to undo what was done, in order.
    private var undo: [() -> Void] = []

    /// Above so many files, all are flushed at once.
    private static let mostSingleFlushes = 32

    init(_ workTree: String) {
        self.workTree = workTree
    }

    /// Files in preparation are called like this; hidden, and never the name of a fixture.
    static func temporaryName(_ name: String) -> String { ".\(name).mmdiff-new" }

    /// What the file at `path` holds; nil if there is none.
    static func content(_ workTree: String, _ path: String) throws -> [UInt8]? {
        let (folder, name) = split(path)
        guard let folder = try WorkFolder(workTree, folder, making: false) else { return nil }
        return try readFile(folder.descriptor, name, limit: FixtureLimits.bytes)
    }

    private static func split(_ path: String) -> (String, String) {
        guard let slash = path.lastIndex(of: "/") else { return ("", path) }
        return (String(path[..<slash]), String(path[path.index(after: slash)...]))
    }

    /// Writes the new files beside the old ones.
    func prepare(_ edits: [Edit]) throws {
        let single = edits.count <= WorkTreeUpdate.mostSingleFlushes
        for edit in edits {
            let (path, name) = WorkTreeUpdate.split(edit.path)
            let folder = try folder(path)
            if let content = edit.content {
                try write(content, folder, WorkTreeUpdate.temporaryName(name), flush: single)
            }
            prepared.append((folder, name, edit.content))
        }
        guard !single, let any = prepared.first else { return }
        guard syncfs(any.folder.descriptor) == 0 else { throw StoreError("cannot write \(workTree): \(systemError)") }
    }

    private func folder(_ path: String) throws -> WorkFolder {
        if let known = folders[path] { return known }
        let folder = try WorkFolder(workTree, path, making: true)!
        // What a process that was killed in its turn has left.
        for name in entries(of: "\(workTree)/\(path)") where name.hasPrefix(".") && name.hasSuffix(".mmdiff-new") {
            unlinkat(folder.descriptor, name, 0)
        }
        folders[path] = folder
        return folder
    }

    private func write(_ content: [UInt8], _ folder: WorkFolder, _ name: String, flush: Bool) throws {
        let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC
        let descriptor = openat(folder.descriptor, name, flags, 0o666)
        guard descriptor >= 0 else { throw StoreError("cannot write \(name): \(systemError)") }
        defer { close(descriptor) }
        guard writeAll(descriptor, content), !flush || fsync(descriptor) == 0 else {
            unlinkat(folder.descriptor, name, 0)
            throw StoreError("cannot write \(name): \(systemError)")
        }
    }

    /// Puts all files in their places.
    func finish() throws {
        for (folder, name, content) in prepared {
            let old = try readFile(folder.descriptor, name, limit: FixtureLimits.bytes)
            if content == nil {
                guard unlinkat(folder.descriptor, name, 0) == 0 || errno == ENOENT else {
                    throw StoreError("cannot remove \(name): \(systemError)")
                }
            } else if renameat(folder.descriptor, WorkTreeUpdate.temporaryName(name), folder.descriptor, name) != 0 {
                throw StoreError("cannot write \(name): \(systemError)")
            }
            undo.append { [self] in
                unlinkat(folder.descriptor, name, 0)
                if let old { try? write(old, folder, name, flush: true) }
            }
        }
        for folder in folders.values { fsync(folder.descriptor) }
    }

    /// What the file at a path is now.
    func status(_ path: String) -> stat? {
        let (folder, name) = WorkTreeUpdate.split(path)
        var status = stat()
        guard let open = folders[folder], fstatat(open.descriptor, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else {
            return nil
        }
        return status
    }

    /// Puts back what was there before, and removes what was prepared.
    func takeBack() {
        for step in undo.reversed() { step() }
        for (folder, name, _) in prepared { unlinkat(folder.descriptor, WorkTreeUpdate.temporaryName(name), 0) }
    }
}
