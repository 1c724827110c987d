// SPDX-License-Identifier: GPL-2.0-only
import Foundation
import Testing

/// Processes that die or meet while they write.  MMDIFF_KILLS says how many are killed.
@Suite(.serialized) struct FixtureCrashTests {
    private let kills = ProcessInfo.processInfo.environment["MMDIFF_KILLS"].flatMap(Int.init) ?? 10

    private func start(_ folder: FixtureFolder, _ arguments: [String], output: String) throws -> Process {
        let process = Process()
        process.executableURL = program
        process.arguments = ["fixture"] + arguments
        process.environment = ProcessInfo.processInfo.environment.merging(folder.environment) { $1 }
        let path = try folder.write(output, "")
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = try FileHandle(forWritingTo: URL(filePath: path))
        process.standardError = try FileHandle(forWritingTo: URL(filePath: folder.write(output + ".err", "")))
        try process.run()
        return process
    }

    /// Everything that was confirmed is there, and nothing is left behind once somebody has written again.
    private func check(_ folder: FixtureFolder, _ store: String, confirmed: Set<String>) throws {
        try folder.checkStrictly(store)
        let files = Set(
            try folder.git(store, "ls-tree", "-r", "--name-only", "HEAD").split(separator: "\n").map(String.init))
        for name in confirmed { #expect(files.contains("Fixtures/\(name).trace"), "\(name) is lost") }
    }

    private func leftovers(_ folder: FixtureFolder, _ store: String) -> [String] {
        let files =
            FileManager.default.enumerator(atPath: "\(folder.path)/\(store)")?.compactMap { $0 as? String } ?? []
        return files.filter {
            $0.hasSuffix(".lock") || $0.contains("_git2_") || $0.hasSuffix("mmdiff-new") || $0.contains("mmdiff-index")
                || $0.hasSuffix("mmdiff/journal")
        }
    }

    @Test func killedWhileRecording() throws {
        let folder = try FixtureFolder()
        try folder.makeStore("store")
        let start = ContinuousClock.now
        var confirmed: Set<String> = [try folder.record("store", heldTrace(40))]
        let usual = (ContinuousClock.now - start) / .seconds(1)
        for number in 0..<kills {
            let trace = try folder.write("t.trace", variation(number))
            let process = try self.start(
                folder, ["record", trace, "--pair", heldPair, "--store", folder.path + "/store"], output: "out")
            // Most of the time it simulates; it writes at the end.
            usleep(UInt32(usual * Double.random(in: 0.4...1.1) * 1_000_000))
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
            let complaint = try folder.read("out.err")
            #expect(complaint == "", "\(complaint)")
            let told = try folder.read("out").split(separator: "\n").first { $0.hasPrefix("recorded ") }
            if let told { confirmed.insert(String(told.dropFirst(9))) }
            if number % 10 == 9 || number == kills - 1 { try check(folder, "store", confirmed: confirmed) }
        }
        try folder.record("store", heldTrace(41))
        #expect(leftovers(folder, "store") == [])
        let status = try folder.git("store", "status", "--porcelain").split(separator: "\n")
        // A file that came into the working tree before its commit is a file that is not committed, and whole.
        for line in status { #expect(line.hasPrefix("?? "), "\(line)") }
        #expect(try folder.fixture("store", "verify").status == 0)
    }

    @Test func killedWhileMerging() throws {
        let folder = try FixtureFolder()
        for name in ["ours", "theirs"] { try folder.makeStore(name) }
        let base = try folder.record("ours", heldTrace(0))
        try folder.git("theirs", "pull", "-q", "../ours", "main")
        for number in 1...3 { try folder.record("theirs", heldTrace(number)) }
        try folder.record("ours", heldTrace(4))
        let head = try folder.git("ours", "rev-parse", "HEAD").trimmingCharacters(in: .newlines)
        var merged = 0
        for number in 0..<kills {
            let process = try start(
                folder, ["merge", folder.path + "/theirs", "--store", folder.path + "/ours"], output: "out")
            usleep(UInt32.random(in: 0...60_000))
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
            if number % 10 == 9 || number == kills - 1 { try check(folder, "ours", confirmed: [base]) }
            if try folder.git("ours", "rev-parse", "HEAD").trimmingCharacters(in: .newlines) != head {
                merged += 1
                // Once more from the beginning; what the next one finds it must clear away first.
                try folder.git("ours", "update-ref", "refs/heads/main", head, status: nil)
                unlink(folder.path + "/ours/.git/refs/heads/main.lock")
                try folder.git("ours", "reset", "-q", "--hard", status: nil)
                try folder.git("ours", "clean", "-qfd", "Fixtures")
            }
        }
        let end = try folder.fixture("ours", "merge", folder.path + "/theirs")
        #expect(end.status == 0, "\(end.output)\(end.errors)")
        #expect(leftovers(folder, "ours") == [])
        #expect(try folder.git("ours", "status", "--porcelain") == "")
        #expect(try folder.fixture("ours", "verify").output.hasSuffix("5 fixtures, 5 ok\n"))
    }

    @Test func fourAtOnce() throws {
        let folder = try FixtureFolder()
        try folder.makeStore("store")
        let each = 4
        var processes: [Process] = []
        // Each with several commits, while git commits something else.
        for number in 0..<4 {
            let traces = try (0..<each).map {
                try folder.write("t\(number)-\($0).trace", variation(number * each + $0))
            }
            let script = traces.map {
                "'\(program.path)' fixture record '\($0)' --pair \(heldPair) --store '\(folder.path)/store' || exit 1"
            }
            let process = Process()
            process.executableURL = URL(filePath: "/bin/sh")
            process.arguments = ["-c", script.joined(separator: "\n")]
            process.environment = ProcessInfo.processInfo.environment.merging(folder.environment) { $1 }
            process.standardOutput = FileHandle.nullDevice
            try process.run()
            processes.append(process)
        }
        for number in 0..<10 {
            try folder.write("store/notes", "\(number)\n")
            try folder.git("store", "add", "notes", status: nil)
            try folder.git("store", "commit", "-qm", "note \(number)", status: nil)
        }
        for process in processes {
            process.waitUntilExit()
            #expect(process.terminationStatus == 0)
        }
        try folder.checkStrictly("store")
        #expect(
            try folder.fixture("store", "verify", "--at", "HEAD").output.hasSuffix(
                "\(4 * each) fixtures, \(4 * each) ok\n"))
        let fixtureCommits = try folder.git("store", "log", "--oneline", "--grep=^fixture: munlock")
        #expect(fixtureCommits.split(separator: "\n").count == 4 * each)
        #expect(leftovers(folder, "store") == [])
    }
}

/// As many traces as one likes, each a fixture of its own: reads of one page in different numbers by two processes.
private func variation(_ number: Int) -> String {
    let locked = "  p0 mlock(r0+0x3000, 0x1000)\n"
    return heldTrace(number % 20).replacing(
        locked, with: locked + "  p0 mlock(r0+0x3000, \(0x1000 - number / 20))\n")
}
