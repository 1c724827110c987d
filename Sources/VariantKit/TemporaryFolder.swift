// SPDX-License-Identifier: GPL-2.0-only
import Foundation

/// A folder that lives as long as this process.
public struct TemporaryFolder {
    public let path: String

    public init() throws {
        let url = FileManager.default.temporaryDirectory.appending(path: "mmdiff-\(UUID().uuidString)")
        try FileManager.default.createDirectory(
            at: url, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
        path = url.path
        removeAtExit(path)
    }

    func makeFolder(_ name: String) throws {
        try FileManager.default.createDirectory(atPath: "\(path)/\(name)", withIntermediateDirectories: false)
    }

    public func write(_ text: String, to name: String) throws {
        try text.write(toFile: "\(path)/\(name)", atomically: false, encoding: .utf8)
    }
}

nonisolated(unsafe) private var foldersToRemove: [String] = []

private func removeAtExit(_ path: String) {
    if foldersToRemove.isEmpty {
        atexit { for path in foldersToRemove { try? FileManager.default.removeItem(atPath: path) } }
    }
    foldersToRemove.append(path)
}
