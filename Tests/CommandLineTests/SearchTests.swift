// SPDX-License-Identifier: GPL-2.0-only
import Foundation
import Testing

/// The program that compares the searches with each other; it is part of the build that records accesses, which
/// `make test` makes and names in SEARCHCHECK.
private let searchCheck = ProcessInfo.processInfo.environment["SEARCHCHECK"]

/// Every search finds the outcomes that plain depth-first search finds.
@Suite(.enabled(if: searchCheck != nil, "SEARCHCHECK is not set: make test"))
struct SearchTests {
    @Test(arguments: [
        // Locks, waits and ends of all kinds, in a few steps each.
        ["programs", "200"],
        ["traces", "100"],
        ["large-traces", "20"],
    ])
    func searchesAgree(_ arguments: [String]) throws {
        let process = Process()
        process.executableURL = URL(filePath: searchCheck!)
        process.arguments = arguments
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        #expect(process.terminationStatus == 0, "\(text)")
        #expect(text.contains(arguments[1]), "\(text)")
    }

    @Test func modesAgreeOnAPair() throws {
        let trace = try file(named: "idle.trace", RunTests.idle)
        var found: [String: [String]] = [:]
        for mode in ["depth-first", "reduced", "stateful"] {
            let end = try mmdiff("explore", trace, "--pair", "try_to_munlock..page_mlock.posted", "--mode", mode)
            #expect(end.status == 0, "\(end.errors)")
            #expect(end.output.contains("before: \(mode), "))
            #expect(end.output.contains("complete\nexplored under sequential consistency"))
            // On which sides a state is; the searches find them in orders of their own.
            found[mode] = end.output.split(separator: "\n").filter { $0.contains(":>") || $0.contains("*>") }
                .map { String($0.prefix(11)) }.sorted()
        }
        #expect(found["reduced"] == found["depth-first"])
        #expect(found["stateful"] == found["depth-first"])
    }

    private func file(named name: String, _ text: String) throws -> String {
        let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let path = folder.appending(path: name).path
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        return path
    }
}
