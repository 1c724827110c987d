// SPDX-License-Identifier: GPL-2.0-only
// The user's index: what was committed is entered there, as `git commit -- PATH` does, and every other entry
// stays what it is.  Without that, `git status` would tell that each new fixture is about to be removed.

import Clibgit2
import Glibc

/// The index, locked in git's way: nobody else can write it between our reading and our writing.
final class IndexUpdate {
    private let folder: String
    private let index: OpaquePointer
    private var hasLock = true

    static let lockName = "index.lock"
    private static let lockFile = "mmdiff-index-lock"
    static let copyName = "mmdiff-index"
    /// What a process that died may leave behind beside the lock.
    static let temporaryNames = [lockFile, copyName, copyName + ".lock"]
    /// An editor that a commit waits for holds the lock for as long as it likes: do not wait for that, in milliseconds.
    private static let patience = 5_000

    /// Locks and reads it.
    init(_ repository: Repository, _ turn: WriteTurn) throws {
        folder = repository.folder
        try IndexUpdate.lock(folder, turn)
        do {
            try IndexUpdate.copy(folder)
            index = try made("cannot read the index") { git_index_open(&$0, repository.folder + IndexUpdate.copyName) }
        } catch {
            unlink(folder + IndexUpdate.copyName)
            unlink(folder + IndexUpdate.lockName)
            throw error
        }
    }

    deinit {
        git_index_free(index)
        unlink(folder + IndexUpdate.copyName)
        if hasLock { unlink(folder + IndexUpdate.lockName) }
    }

    /// The lock is a link to a file that is there before, so that whoever comes after a crash can tell whose it was.
    private static func lock(_ folder: String, _ turn: WriteTurn) throws {
        let file = folder + lockFile
        unlink(file)
        let descriptor = open(file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else { throw StoreError("cannot write to \(folder): \(systemError)") }
        defer {
            close(descriptor)
            unlink(file)
        }
        var status = stat()
        fstat(descriptor, &status)
        try turn.note(Leftovers.index(FileIdentity(status)))
        for waited in 0... {
            if link(file, folder + lockName) == 0 { return }
            guard errno == EEXIST else { throw StoreError("cannot lock the index: \(systemError)") }
            guard waited < patience else {
                throw StoreError("\(folder)\(lockName): another program holds it; remove the file if none runs")
            }
            usleep(1_000)
        }
    }

    private static func copy(_ folder: String) throws {
        let mostBytes = 1 << 30
        unlink(folder + copyName)
        guard let bytes = try readFile(AT_FDCWD, folder + "index", limit: mostBytes) else { return }
        let descriptor = open(folder + copyName, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else { throw StoreError("cannot write to \(folder): \(systemError)") }
        defer { close(descriptor) }
        guard writeAll(descriptor, bytes) else { throw StoreError("cannot write to \(folder): \(systemError)") }
    }

    /// The object that it has for a path; nil if none.
    func entry(_ path: String) -> ObjectID? {
        git_index_get_bypath(index, path, 0).map { ObjectID($0.pointee.id) }
    }

    /// Enters a file that was just written, or takes it out.
    func set(_ path: String, _ id: ObjectID?, _ status: stat?) throws {
        guard let id else {
            let code = git_index_remove(index, path, 0)
            if code != GIT_ENOTFOUND.rawValue { try check(code, "cannot change the index") }
            return
        }
        var entry = git_index_entry()
        entry.mode = UInt32(GIT_FILEMODE_BLOB.rawValue)
        entry.id = id.raw
        if let status {
            entry.ctime = git_index_time(
                seconds: Int32(truncatingIfNeeded: status.st_ctim.tv_sec), nanoseconds: UInt32(status.st_ctim.tv_nsec))
            entry.mtime = git_index_time(
                seconds: Int32(truncatingIfNeeded: status.st_mtim.tv_sec), nanoseconds: UInt32(status.st_mtim.tv_nsec))
            entry.dev = UInt32(truncatingIfNeeded: status.st_dev)
            entry.ino = UInt32(truncatingIfNeeded: status.st_ino)
            (entry.uid, entry.gid) = (status.st_uid, status.st_gid)
            entry.file_size = UInt32(truncatingIfNeeded: status.st_size)
        }
        try path.withCString { name in
            entry.path = name
            _ = try check(git_index_add(index, &entry), "cannot change the index")
        }
    }

    /// Puts the new index beside the old one.
    func write() throws {
        try check(git_index_write(index), "cannot write the index")
    }

    /// Makes it the index.
    func finish() throws {
        guard rename(folder + IndexUpdate.copyName, folder + "index") == 0 else {
            throw StoreError("cannot write the index: \(systemError)")
        }
        unlink(folder + IndexUpdate.lockName)
        hasLock = false
    }
}
