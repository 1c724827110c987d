// SPDX-License-Identifier: GPL-2.0-only
import Foundation
import Testing

/// Collections of several people: what meets goes together by itself, or is told.
@Suite struct FixtureSharingTests {
    /// Two stores, and a bare one between them.
    private func folders() throws -> FixtureFolder {
        let folder = try FixtureFolder()
        for name in ["a", "b"] { try folder.makeStore(name) }
        try folder.makeStore("hub", bare: true)
        return folder
    }

    private func tree(_ folder: FixtureFolder, _ store: String) throws -> String {
        try folder.git(store, "rev-parse", "HEAD^{tree}")
    }

    @Test func theSameSetInAnyOrderIsTheSameTree() throws {
        let folder = try folders()
        for number in [0, 1, 2] { try folder.record("a", heldTrace(number)) }
        for number in [2, 0, 1] { try folder.record("b", heldTrace(number)) }
        #expect(try tree(folder, "a") == tree(folder, "b"))
        // Histories that have nothing in common but their content.
        let end = try folder.fixture("a", "merge", folder.path + "/b")
        #expect(end.status == 0 && end.output.hasPrefix("merged, commit "), "\(end.output)\(end.errors)")
        #expect(try tree(folder, "a") == tree(folder, "b"))
    }

    @Test func whatWasRecordedApartGoesTogether() throws {
        let folder = try folders()
        let common = try folder.record("a", heldTrace(0), shows: "Said by a.")
        let first = try folder.record("a", heldTrace(1))
        #expect(try folder.fixture("a", "push", folder.path + "/hub").output == "pushed\n")
        #expect(try folder.fixture("a", "push", folder.path + "/hub").output == "everything is there\n")
        #expect(try folder.record("b", heldTrace(0), shows: "Said by b.", "--link", "https://b") == common)
        let second = try folder.record("b", heldTrace(2))

        let refused = try folder.fixture("b", "push", folder.path + "/hub")
        #expect(refused.status == 2 && refused.errors.contains("fetch and merge first"), "\(refused.errors)")
        let fetched = try folder.fixture("b", "fetch", folder.path + "/hub")
        #expect(
            fetched.output.hasPrefix("new      \(first)\nfetched  refs/mmdiff/"), "\(fetched.output)\(fetched.errors)")
        let merged = try folder.fixture("b", "merge", folder.path + "/hub")
        #expect(merged.status == 0)
        #expect(merged.output.contains("added    \(first).trace\n"))
        #expect(try folder.fixture("b", "push", folder.path + "/hub").output == "pushed\n")
        let forward = try folder.fixture("a", "merge", folder.path + "/hub")
        #expect(
            forward.output.contains("added    \(second).trace\n") && forward.output.contains("fast-forward, commit "))
        #expect(try tree(folder, "a") == tree(folder, "b"))
        for store in ["a", "b"] {
            #expect(try folder.git(store, "status", "--porcelain") == "")
            try folder.checkStrictly(store)
            #expect(try folder.fixture(store, "verify").output.hasSuffix("3 fixtures, 3 ok\n"))
        }
        try folder.checkStrictly("hub")
        let text = try folder.fixture("a", "show", common).output
        #expect(text.contains("shows Said by a.\n") && text.contains("Link: https://b\n"))
        #expect(try folder.fixture("a", "merge", folder.path + "/hub").output == "up to date\n")
    }

    @Test func twoExpectationsAreAPersonsQuestion() throws {
        let folder = try folders()
        let name = try folder.record("a")
        try folder.git("a", "clone", "-q", ".", "../c")
        let file = "Fixtures/\(name).trace"
        for (store, word) in [("a", "refcount"), ("c", "mapcount")] {
            let old = try folder.read("\(store)/\(file)")
            try folder.write("\(store)/\(file)", old.replacing("breaks held-at-return", with: "breaks \(word)"))
            try folder.git(store, "commit", "-qam", word)
        }
        let head = try folder.git("a", "rev-parse", "HEAD")
        let end = try folder.fixture("a", "merge", folder.path + "/c")
        #expect(end.status == 1)
        #expect(end.output.hasPrefix("conflict \(name).trace\n  page_mlock.merged, ours:\n    end complete\n"))
        #expect(end.output.contains("    breaks refcount\n") && end.output.contains("    breaks mapcount\n"))
        #expect(try folder.git("a", "rev-parse", "HEAD") == head)
        #expect(try folder.git("a", "status", "--porcelain") == "")
        let taken = try folder.fixture("a", "merge", folder.path + "/c", "--take", "theirs")
        #expect(taken.status == 0, "\(taken.errors)")
        #expect(try folder.read("a/\(file)").contains("breaks mapcount"))
        #expect(try folder.git("a", "rev-list", "--count", "--merges", "HEAD") == "1\n")
        try folder.checkStrictly("a")
    }

    @Test func otherPartsOfAProjectAreMergedWithGit() throws {
        let folder = try folders()
        try folder.record("a")
        try folder.git("a", "clone", "-q", ".", "../c")
        try folder.write("c/src.c", "int x;\n")
        try folder.git("c", "add", "src.c")
        try folder.git("c", "commit", "-qm", "code")
        let end = try folder.fixture("a", "merge", folder.path + "/c")
        #expect(end.status == 2)
        #expect(end.errors == "mmdiff: the other side changes src.c, outside Fixtures: merge with git\n")
    }

    @Test func aBranchThatIsCheckedOutIsNotPushedTo() throws {
        let folder = try folders()
        try folder.record("a")
        let end = try folder.fixture("a", "push", folder.path + "/b")
        #expect(end.status == 2 && end.errors.contains("main is checked out there"), "\(end.errors)")
        #expect(try folder.fixture("a", "push", folder.path + "/b", "--branch", "from-a").status == 0)
        #expect(try folder.git("b", "rev-parse", "from-a") == folder.git("a", "rev-parse", "HEAD"))
    }

    @Test(arguments: [
        "/no/such/folder", "https://example.org/x", "git://example.org/x", "-oProxyCommand=touch:x", "nonsense",
    ])
    func otherPlacesAreRefused(_ place: String) throws {
        let folder = try FixtureFolder()
        try folder.makeStore("a")
        let end = try mmdiff(
            ["fixture", "fetch", "--store", folder.path + "/a", "--", place], environment: folder.environment)
        #expect(end.status == 2)
        #expect(end.errors.split(separator: "\n").count == 1, "\(end.errors)")
    }
}
