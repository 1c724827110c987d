// SPDX-License-Identifier: GPL-2.0-only
import Foundation
import Testing

/// Collections on other machines, over ssh.
@Suite(.enabled(if: SSHServer.isPossible, Comment(rawValue: SSHServer.reason))) struct FixtureSSHTests {
    /// A store with a fixture, and an empty bare one on the server.
    private func folders() throws -> FixtureFolder {
        let folder = try FixtureFolder()
        for name in ["a", "b"] { try folder.makeStore(name) }
        try folder.makeStore("hub", bare: true)
        return folder
    }

    private func fixture(_ server: SSHServer, _ folder: FixtureFolder, _ store: String, _ arguments: String...) throws
        -> Ended
    {
        try mmdiff(
            ["fixture"] + arguments + ["--store", "\(folder.path)/\(store)"], environment: server.environment)
    }

    @Test(arguments: [(false, true), (false, false), (true, true), (true, false)])
    func pushFetchAndMerge(_ agent: Bool, _ user: Bool) throws {
        let folder = try folders()
        let server = try SSHServer(folder, agent: agent)
        if !agent { try server.installKey() }
        try server.introduce()
        let hub = server.url("hub", user: user)
        let first = try folder.record("a", heldTrace(0))
        let pushed = try fixture(server, folder, "a", "push", hub)
        try #require(pushed.status == 0, "\(pushed.errors)\(server.log)")
        #expect(pushed.output == "pushed\n")
        #expect(try folder.git("hub", "rev-parse", "main") == folder.git("a", "rev-parse", "HEAD"))

        let second = try folder.record("b", heldTrace(1))
        let refused = try fixture(server, folder, "b", "push", hub)
        #expect(refused.status == 2, "\(refused.output)")
        #expect(refused.errors.hasSuffix("has commits that are not here: fetch and merge first\n"), "\(refused.errors)")
        let fetched = try fixture(server, folder, "b", "fetch", hub)
        #expect(fetched.output.hasPrefix("new      \(first)\nfetched  refs/mmdiff/"), "\(fetched.errors)")
        #expect(try fixture(server, folder, "b", "merge", hub).status == 0)
        #expect(try fixture(server, folder, "b", "push", hub).output == "pushed\n")
        #expect(try fixture(server, folder, "b", "push", hub).output == "everything is there\n")
        let forward = try fixture(server, folder, "a", "merge", hub)
        #expect(forward.output.contains("added    \(second).trace\n"), "\(forward.errors)")
        for store in ["a", "b", "hub"] { try folder.checkStrictly(store) }
        #expect(try folder.git("a", "rev-parse", "HEAD^{tree}") == folder.git("b", "rev-parse", "HEAD^{tree}"))
    }

    /// Expects one line, and that nobody was let in.
    private func expectRefusal(
        _ server: SSHServer, _ folder: FixtureFolder, _ words: String,
        _ location: SourceLocation = #_sourceLocation
    ) throws {
        try folder.record("a")
        for arguments in ["push", "fetch"] {
            let end = try fixture(server, folder, "a", arguments, server.url("hub"))
            #expect(end.status == 2, sourceLocation: location)
            #expect(
                end.errors.hasPrefix("mmdiff: ") && end.errors.contains(words), "\(end.errors)",
                sourceLocation: location)
            #expect(end.errors.split(separator: "\n").count == 1, "\(end.errors)", sourceLocation: location)
        }
        #expect(!server.log.contains("Accepted"), "\(server.log)", sourceLocation: location)
        #expect(try folder.git("hub", "for-each-ref") == "", sourceLocation: location)
    }

    @Test func aHostThatNobodyKnows() throws {
        let folder = try folders()
        let server = try SSHServer(folder)
        try server.installKey()
        try expectRefusal(server, folder, "its host key is not the one in ~/.ssh/known_hosts")
    }

    @Test func aHostThatHasAnotherKey() throws {
        let folder = try folders()
        let server = try SSHServer(folder)
        try server.installKey()
        try server.introduce(key: "keys/client.pub")
        try expectRefusal(server, folder, "its host key is not the one in ~/.ssh/known_hosts")
    }

    @Test func aServerThatDoesNotKnowUs() throws {
        let folder = try folders()
        let server = try SSHServer(folder)
        try server.introduce()
        try expectRefusal(server, folder, "no key that it accepts, neither the agent's nor ~/.ssh/id_")
    }
}
