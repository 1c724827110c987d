// SPDX-License-Identifier: GPL-2.0-only
import Foundation
import Testing

/// What `mmdiff run` says of itself.
@Suite final class DoubtTests {
    private let folder = ScratchFolder()

    private func run(_ arguments: String...) throws -> Ended {
        try mmdiff(["run", "munlock-split", "--output", folder.path("found"), "--jobs", "1"] + arguments)
    }

    /// Each pair of each family: even the shortest run must not doubt without a reason.
    @Test(arguments: ["munlock-split", "mlock-drain", "retract-page-tables"])
    func aShortRunIsBelieved(_ family: String) throws {
        let end = try mmdiff("run", family, "--traces", "3", "--json", "--output", folder.path("found"))
        let report = try #require(try end.json() as? [String: Any])
        for pair in try #require(report["pairs"] as? [[String: Any]]) {
            #expect(pair["failures"] as? [String] == [])
            let doubt = try #require(pair["doubt"] as? [String: Any])
            #expect((doubt["canary"] as? [String: Any])?["heard"] is String)
            #expect((doubt["identities"] as? [Any])?.count == 2)
        }
    }

    /// A blind oracle finds nothing; were it not for the canary, that would be taken for equality.
    @Test func aSilentCanaryIsStatus125() throws {
        let arguments = ["--pair", "page_mlock.posted..page_mlock.merged", "--traces", "1200"]
        #expect(try run(arguments[0], arguments[1], arguments[2], arguments[3]).status == 1)
        let end = try run(arguments[0], arguments[1], arguments[2], arguments[3], "--blind")
        #expect(end.status == 125)
        #expect(end.output.contains("SILENT without "))
        #expect(end.output.contains("page_mlock.merged without the lock of "))
        #expect(end.output.contains("This run is not to be believed"))
        // Red is for terminals.
        #expect(!end.output.contains("\u{1b}"))
    }

    @Test func aVariantThatDiffersFromItselfIsStatus125() throws {
        let mine = try folder.write(
            "mine.c",
            """
            #include <mmdiff.h>

            bool page_evictable(struct page *page)
            {
                return !((unsigned long)page & 0x10000000) && !PageMlocked(page);
            }

            """)
        let end = try run("--pair", "page_mlock.posted..\(mine)", "--traces", "8")
        #expect(end.status == 125)
        #expect(end.output.contains("\(mine) differs from itself: trace "))
    }

    /// The lock is found in a user's file as well, which calls it by way of others.
    @Test func aUsersFileHasACanary() throws {
        let end = try run("--pair", "page_mlock.posted..\(folder.pageMlockOne(""))", "--traces", "60")
        #expect(end.status == 0)
        #expect(end.output.contains("heard without "))
    }
}
