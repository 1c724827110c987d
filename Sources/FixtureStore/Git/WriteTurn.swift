// SPDX-License-Identifier: GPL-2.0-only
// One process of mmdiff writes to a repository at a time, and whoever comes next clears away what one that was
// killed has left behind.

import Glibc

/// The turn to write.  Other programs do not know of it: against them references and the index are locked in
/// git's own way, too.
final class WriteTurn {
    private let repository: Repository
    private let descriptor: Int32
    /// What another process notes is not ours to remove.
    private var isOwner = false

    /// Who waits longer waits for something that hangs.
    private static let patience = 120.0

    private static func folder(_ repository: Repository) -> String { repository.commonFolder + "mmdiff" }
    private var journalPath: String { WriteTurn.folder(repository) + "/journal" }

    /// Waits for it.
    init(_ repository: Repository) throws {
        self.repository = repository
        let folder = WriteTurn.folder(repository)
        guard mkdir(folder, 0o777) == 0 || errno == EEXIST else {
            throw StoreError("cannot write to \(repository.commonFolder): \(systemError)")
        }
        descriptor = open(folder + "/lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else { throw StoreError("cannot write to \(folder): \(systemError)") }
        let start = ContinuousClock.now
        // The kernel takes the lock from a process that dies.
        while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            guard errno == EWOULDBLOCK || errno == EINTR else {
                throw StoreError("cannot lock \(folder)/lock: \(systemError)")
            }
            guard ContinuousClock.now - start < .seconds(WriteTurn.patience) else {
                throw StoreError("another mmdiff writes to \(repository.commonFolder) and does not come to an end")
            }
            usleep(2_000)
        }
        isOwner = true
        if let left = WriteTurn.read(journalPath) { Leftovers(repository, journal: left).clear() }
        unlink(journalPath)
        // From here on whatever is written may be left behind.
        try note("turn of \(getpid())")
    }

    deinit {
        if isOwner { unlink(journalPath) }
        if descriptor >= 0 { close(descriptor) }
    }

    /// Notes a file that will have to be cleared away if this process dies.
    func note(_ leftover: String) throws {
        let descriptor = open(journalPath, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else { throw StoreError("cannot write \(journalPath): \(systemError)") }
        defer { close(descriptor) }
        guard writeAll(descriptor, Array((leftover + "\n").utf8)), fsync(descriptor) == 0 else {
            throw StoreError("cannot write \(journalPath): \(systemError)")
        }
    }

    private static func read(_ path: String) -> String? {
        let mostBytes = 1 << 20
        guard let bytes = try? readFile(AT_FDCWD, path, limit: mostBytes) else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// What a process that died in its turn has left behind.
struct Leftovers {
    private let repository: Repository
    private let notes: [[String]]
    private let open: Set<FileIdentity>

    init(_ repository: Repository, journal: String) {
        self.repository = repository
        notes = journal.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
        open = openFiles()
    }

    /// What `note()` is told before a reference is locked.
    static func reference(_ name: String, _ target: ObjectID) -> String { "reference \(name) \(target)" }

    /// What it is told before a branch is fetched.
    static func fetch(_ name: String) -> String { "fetch \(name)" }

    /// What it is told before the index is locked by a file that is there already.
    static func index(_ file: FileIdentity) -> String { "index \(file.device) \(file.inode)" }

    func clear() {
        for note in notes {
            switch (note.first, note.count) {
            case ("reference", 3): clearReference(note[1], target: note[2])
            case ("fetch", 2): clearFetched(note[1])
            case ("index", 3):
                guard let device = UInt(note[1]), let inode = UInt(note[2]) else { continue }
                clearIndex(FileIdentity(device: device, inode: inode))
            default: continue
            }
        }
        clearObjects()
    }

    /// A lock file that is empty or names the commit that was to be made, and that nobody has open: git keeps
    /// its own open as long as they are empty.
    private func clearReference(_ name: String, target: String) {
        let path = repository.commonFolder + name + ".lock"
        guard name.hasPrefix("refs/"), !name.contains(".."), isForgotten(path),
            let bytes = try? readFile(AT_FDCWD, path, limit: 64)
        else { return }
        if (target + "\n").utf8.starts(with: bytes) { unlink(path) }
    }

    /// Nobody else writes the references under which mmdiff keeps what it fetched.
    private func clearFetched(_ name: String) {
        let path = repository.commonFolder + name + ".lock"
        if name.hasPrefix("refs/mmdiff/"), !name.contains(".."), isForgotten(path) { unlink(path) }
    }

    /// The index was written completely before the reference was moved: if that came to pass, it is the index now.
    private func clearIndex(_ lock: FileIdentity) {
        let path = repository.folder + IndexUpdate.lockName
        if FileIdentity(ownFile: path) == lock {
            if isCommitted { rename(repository.folder + IndexUpdate.copyName, repository.folder + "index") }
            unlink(path)
        }
        for name in IndexUpdate.temporaryNames { unlink(repository.folder + name) }
    }

    /// Temporary files of libgit2, and an index whose pack did not come to be.
    private func clearObjects() {
        let objects = repository.commonFolder + "objects"
        clear(objects) { $0.hasPrefix("tmp_object_git2_") }
        let names = Set(entries(of: objects + "/pack"))
        clear(objects + "/pack") { name in
            if name.hasPrefix("pack_git2_") || name.hasSuffix(".idx.lock") || name.hasSuffix(".pack.lock") {
                return true
            }
            return name.hasSuffix(".idx") && !names.contains(name.dropLast(4) + ".pack")
        }
    }

    /// Whether the process came as far as moving the reference.
    private var isCommitted: Bool {
        notes.contains { note in
            guard note.count == 3, note[0] == "reference" else { return false }
            return (try? repository.target(of: note[1]))??.description == note[2]
        }
    }

    private func clear(_ folder: String, _ isTemporary: (String) -> Bool) {
        for name in entries(of: folder) where isTemporary(name) && isForgotten("\(folder)/\(name)") {
            unlink("\(folder)/\(name)")
        }
    }

    private func isForgotten(_ path: String) -> Bool {
        FileIdentity(ownFile: path).map { !open.contains($0) } ?? false
    }
}
