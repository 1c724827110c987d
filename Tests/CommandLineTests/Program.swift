// SPDX-License-Identifier: GPL-2.0-only
import Foundation

/// How a run of mmdiff ended, and what it said.
struct Ended {
    var status: Int32
    var output: String
    var errors: String

    func json() throws -> Any {
        try JSONSerialization.jsonObject(with: Data(output.utf8))
    }
}

func mmdiff(_ arguments: String..., environment: [String: String] = [:]) throws -> Ended {
    try mmdiff(arguments, environment: environment)
}

/// The project's folder.
let project = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

/// - Parameter current: the folder that it runs in; this process's if none is given.
func mmdiff(_ arguments: [String], environment: [String: String] = [:], in current: URL? = nil) throws -> Ended {
    try runProgram(program.path, arguments, environment, in: current)
}

/// The executable that MMDIFF names (`make test` sets it to the release build), else the one that was built with
/// the tests.
let program: URL =
    ProcessInfo.processInfo.environment["MMDIFF"].map { URL(filePath: $0) }
    ?? URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent().appending(path: "mmdiff")

/// Runs any program.
func runProgram(
    _ executable: String, _ arguments: [String], _ environment: [String: String], in current: URL? = nil
) throws -> Ended {
    let process = Process()
    process.executableURL = URL(filePath: executable)
    if let current { process.currentDirectoryURL = current }
    process.arguments = arguments
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    // Files and not pipes: nothing can fill up and block.
    let files = try ["out", "err"].map { name in
        let url = folder.appending(path: name)
        _ = FileManager.default.createFile(atPath: url.path, contents: nil)
        return (url, try FileHandle(forWritingTo: url))
    }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = files[0].1
    process.standardError = files[1].1
    try process.run()
    process.waitUntilExit()
    return Ended(
        status: process.terminationReason == .exit ? process.terminationStatus : 128 + process.terminationStatus,
        output: try String(contentsOf: files[0].0, encoding: .utf8),
        errors: try String(contentsOf: files[1].0, encoding: .utf8))
}
