// SPDX-License-Identifier: GPL-2.0-only
// Files by what they are and not by how they are called; which of them a living process has open.

import Glibc

struct FileIdentity: Hashable {
    var device: UInt
    var inode: UInt

    init(_ status: stat) {
        device = UInt(status.st_dev)
        inode = UInt(status.st_ino)
    }

    init(device: UInt, inode: UInt) {
        self.device = device
        self.inode = inode
    }

    /// Of the plain file at a path, not of what a link leads to; nil if there is none, or if it is somebody else's.
    init?(ownFile path: String) {
        var status = stat()
        guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_uid == geteuid() else {
            return nil
        }
        self.init(status)
    }
}

/// What processes of this machine have open, as far as this user may know.
func openFiles() -> Set<FileIdentity> {
    var open: Set<FileIdentity> = []
    for process in entries(of: "/proc") where process.utf8.allSatisfy({ (48..<58).contains($0) }) {
        for descriptor in entries(of: "/proc/\(process)/fd") {
            var status = stat()
            if stat("/proc/\(process)/fd/\(descriptor)", &status) == 0 { open.insert(FileIdentity(status)) }
        }
    }
    return open
}

/// The names in a folder, without `.` and `..`, sorted; none if it cannot be read.
func entries(of folder: String) -> [String] {
    guard let stream = opendir(folder) else { return [] }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) {
            $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted()
}

/// The last error of a system call, in words.
var systemError: String { String(cString: strerror(errno)) }

/// Writes all of it.
func writeAll(_ descriptor: Int32, _ bytes: [UInt8]) -> Bool {
    var written = 0
    while written < bytes.count {
        let count = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress! + written, bytes.count - written) }
        if count < 0 && errno == EINTR { continue }
        guard count > 0 else { return false }
        written += count
    }
    return true
}

/// The bytes of a plain file, opened without following a link; nil if there is none.
///
/// - Parameter folder: an open folder, in which `name` is looked for.
func readFile(_ folder: Int32, _ name: String, limit: Int) throws -> [UInt8]? {
    let descriptor = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
    guard descriptor >= 0 else {
        if errno == ENOENT { return nil }
        throw StoreError("cannot read \(name): \(errno == ELOOP ? "a link" : systemError)")
    }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
        throw StoreError("cannot read \(name): no plain file")
    }
    guard status.st_size <= limit else {
        throw StoreError("\(name) has \(status.st_size) bytes, at most \(limit) are read")
    }
    var bytes = [UInt8](repeating: 0, count: Int(status.st_size) + 1)
    var length = 0
    while length < bytes.count {
        let count = bytes.withUnsafeMutableBytes { read(descriptor, $0.baseAddress! + length, $0.count - length) }
        if count < 0 && errno == EINTR { continue }
        guard count >= 0 else { throw StoreError("cannot read \(name): \(systemError)") }
        if count == 0 { break }
        length += count
    }
    guard length <= status.st_size else { throw StoreError("\(name) grows while it is read") }
    return Array(bytes[..<length])
}
