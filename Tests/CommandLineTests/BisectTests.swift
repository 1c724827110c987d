// SPDX-License-Identifier: GPL-2.0-only
import Foundation
import Testing

/// `git bisect run mmdiff run` finds the commit that broke a user's file, past one that does not compile.
@Suite struct BisectTests {
    private let folder = ScratchFolder()
    private let findings = ScratchFolder()

    private func git(_ arguments: String...) throws -> String {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["git", "-c", "user.name=Test", "-c", "user.email=test@localhost"] + arguments
        process.currentDirectoryURL = folder.url
        process.environment = ProcessInfo.processInfo.environment.merging(
            ["GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", "LC_ALL": "C"]) { $1 }
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        #expect(process.terminationStatus == 0, "git \(arguments.joined(separator: " ")): \(text)")
        return text
    }

    private func commit(_ subject: String, _ text: String) throws {
        _ = try folder.write("mine.c", text)
        _ = try git("add", "mine.c")
        _ = try git("commit", "--quiet", "--message", subject)
    }

    @Test func theBadCommitIsFound() throws {
        let good = pageMlockFixed
        let renamed = good.replacing("unused)", with: "arg)")
        let broken = renamed.replacing("return true;\n}", with: "return frob;\n}")
        let bad = renamed.replacing("\t\t\tpage_vma_mapped_walk_done(&pvmw);\n", with: "")
        let commented = "/* Walks the mappings of a page. */\n" + bad
        _ = try folder.write("README", "A history.\n")
        _ = try git("init", "--quiet", "--initial-branch=main")
        try commit("Begin", good)
        try commit("Call it arg", renamed)
        try commit("A line at the end", renamed + "\n")
        // In the middle, where the search begins.
        try commit("Does not compile", broken)
        try commit("Compile again", renamed)
        try commit("Drop a line that nobody needs", bad)
        try commit("Say what it is", commented)
        try commit("Two lines at the end", commented + "\n\n")

        _ = try git("bisect", "start", "HEAD", "HEAD~7")
        // The traces of findings go elsewhere, so that the work tree stays clean.
        let log = try git(
            "bisect", "run", program.path, "run", "munlock-split", "--pair", "page_mlock.fixed..mine.c", "--traces",
            "150", "--jobs", "1", "--output", findings.path("found"))
        #expect(log.contains("does not compile"))
        #expect(log.contains("is the first bad commit"))
        #expect(log.contains("Drop a line that nobody needs"))
    }

    /// What does not compile says nothing of its behaviour.
    @Test(arguments: ["return frob;", "static int count; return count++;"])
    func aFileThatIsNoVariantIsStatus125(_ line: String) throws {
        let mine = try folder.write(
            "mine.c", pageMlockFixed.replacing("return true;\n}", with: "\(line)\n}"))
        let end = try mmdiff("run", "munlock-split", "--pair", "page_mlock.fixed..\(mine)", "--traces", "1")
        #expect(end.status == 125)
        #expect(end.output == "")
        #expect(end.errors.hasPrefix("mmdiff: \(mine): "))
    }
}
