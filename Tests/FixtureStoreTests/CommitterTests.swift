// SPDX-License-Identifier: GPL-2.0-only
// What happens to a repository between the reading of a branch and its move: nobody's commit is lost, and a
// reference never points to what is not there.

import Foundation
import Testing

@testable import FixtureStore

@Suite struct CommitterTests {
    private let path = FileManager.default.temporaryDirectory.appending(path: "committer-\(UUID().uuidString)").path

    private func makeStore(bare: Bool = false) throws -> Store {
        _ = try Store(making: path, bare: bare)
        try git("config", "user.name", "A. Tester")
        try git("config", "user.email", "tester@example.org")
        return try Store(at: path)
    }

    @discardableResult
    private func git(_ arguments: String...) throws -> String {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["git", "-C", path] + arguments
        let output = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        try #require(process.terminationStatus == 0, "git \(arguments.joined(separator: " "))")
        return text.trimmingCharacters(in: .newlines)
    }

    private func edits(_ count: Int) -> [Edit] {
        (0..<count).map { Edit(path: "Fixtures/a/file\($0)", content: Array("\($0)\n".utf8)) }
    }

    private func commit(_ count: Int, to store: Store, meanwhile: (() throws -> Void)? = nil) throws
        -> (id: ObjectID?, attempts: Int)
    {
        var attempts = 0
        let id = try Committer(repository: store.repository).commit { _ in
            attempts += 1
            if attempts == 1 { try meanwhile?() }
            return Proposal(edits: edits(count), message: "ours\n")
        }
        return (id, attempts)
    }

    @Test(arguments: [1, 60], [false, true]) func aBranchThatMovesMeanwhileIsNotOverwritten(_ count: Int, _ bare: Bool)
        throws
    {
        let store = try makeStore(bare: bare)
        _ = try Committer(repository: store.repository).commit { _ in
            Proposal(edits: [Edit(path: "Fixtures/a/first", content: [65])], message: "first\n")
        }
        let (id, attempts) = try commit(count, to: store) {
            let other = try git("commit-tree", "HEAD^{tree}", "-p", "HEAD", "-m", "meanwhile")
            try git("update-ref", "HEAD", other)
        }
        #expect(attempts == 2)
        #expect(try git("rev-parse", "HEAD") == id?.description)
        #expect(try git("log", "--format=%s") == "ours\nmeanwhile\nfirst")
        if !bare { #expect(try git("status", "--porcelain") == "") }
        try git("fsck", "--strict")
    }

    @Test func aBranchThatIsBornMeanwhileIsNotOverwritten() throws {
        let store = try makeStore()
        let attempts = try commit(1, to: store) {
            let tree = try git("write-tree")
            try git("update-ref", "HEAD", git("commit-tree", tree, "-m", "meanwhile"))
        }.attempts
        #expect(attempts == 2)
        #expect(try git("log", "--format=%s") == "ours\nmeanwhile")
    }

    @Test func whoSwitchesBranchesMeanwhileGetsItOnTheNewOne() throws {
        let store = try makeStore()
        _ = try commit(1, to: store)
        let main = try git("rev-parse", "HEAD")
        try git("branch", "other")
        var attempts = 0
        _ = try Committer(repository: store.repository).commit { _ in
            attempts += 1
            if attempts == 1 { try git("symbolic-ref", "HEAD", "refs/heads/other") }
            return Proposal(edits: [Edit(path: "Fixtures/a/second", content: [66])], message: "second\n")
        }
        #expect(attempts == 2)
        #expect(try git("log", "-1", "--format=%s", "other") == "second")
        #expect(try git("for-each-ref", "--points-at", main, "--format=%(objecttype)").contains("commit"))
    }

    /// Many files become a pack.  Where that cannot be written, no reference may have moved.
    @Test func objectsComeBeforeReferences() throws {
        let store = try makeStore()
        _ = try commit(1, to: store)
        let head = try git("rev-parse", "HEAD")
        let packs = path + "/.git/objects/pack"
        try? FileManager.default.removeItem(atPath: packs)
        try "".write(toFile: packs, atomically: false, encoding: .utf8)
        #expect(throws: (any Error).self) { try commit(60, to: store) }
        #expect(try git("rev-parse", "HEAD") == head)
        #expect(try git("status", "--porcelain") == "")
        try FileManager.default.removeItem(atPath: packs)
        try git("fsck", "--strict")
    }
}
