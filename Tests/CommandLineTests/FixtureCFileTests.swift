// SPDX-License-Identifier: GPL-2.0-only
import Foundation
import Testing

/// Fixtures about a user's C file: kept without the file, checked where it is handed over.
@Suite struct FixtureCFileTests {
    private static let good = pageMlockFixed
    /// A walker that leaves without giving the page table lock back.
    private static let bad = good.replacing("\t\t\tpage_vma_mapped_walk_done(&pvmw);\n", with: "")

    /// One process unlocks what the other has locked, too.
    private static let trace = """
        mmdiff trace 1
        era v5.13
        machine cpus=1 nodes=1 pages=8 ptes=8 pmds=2 swap=1 pagevec=15
        file f0 shmem pages=1
        setup
          r0 = p0 mmap(0, 0x1000, PROT_WRITE, MAP_SHARED, f0, 0)
          p0 write(r0)
          p0 mlock(r0, 0x1000)
          p0 fork(p1)
          p1 mlock(r0, 0x1000)
        task t0 p0 cpu=0
          munlock(r0, 0x1000)

        """

    private let folder: FixtureFolder

    init() throws {
        folder = try FixtureFolder()
        try folder.makeStore("store")
    }

    private func mine(_ text: String = bad, _ name: String = "mine.c") throws -> String {
        try folder.write("work/" + name, text)
    }

    private func record(_ pair: String) throws -> Ended {
        try folder.fixture("store", "record", folder.write("x.trace", Self.trace), "--pair", pair)
    }

    private func recorded(_ pair: String) throws -> String {
        let end = try record(pair)
        try #require(end.status == 0, "\(end.errors)")
        let line = try #require(end.output.split(separator: "\n").first)
        return String(line.dropFirst("recorded ".count))
    }

    @Test func aFileIsKnownByNameAndDigest() throws {
        let file = try mine()
        let name = try recorded("page_mlock.fixed..\(file)")
        #expect(name.hasPrefix("munlock-split/held-at-return-"))
        let text = try folder.fixture("store", "show", name).output
        let digest = try runProgram("/usr/bin/env", ["sha256sum", file], [:]).output.prefix(12)
        #expect(text.contains("pair page_mlock.fixed..mine.c\n") && text.contains("\nc-file mine.c \(digest)\n"))
        #expect(text.contains("\noutcome mine.c\n  end complete\n  breaks held-at-return\n"), "\(text)")
        #expect(!text.contains("page_vma_mapped_walk_done"))
        #expect(try record("page_mlock.fixed..\(file)").output == "known    \(name)\n")
        // Another file of that name is another thing.
        let other = try recorded("page_mlock.fixed..\(mine(Self.bad + "/* Mine, too. */\n"))")
        #expect(other != name)
        try folder.checkStrictly("store")
    }

    @Test func onlyAFileThatIsHandedOverIsChecked() throws {
        let file = try mine()
        let name = try recorded("page_mlock.fixed..\(file)")
        // One that lies there is left alone: what a repository holds is not run.
        try folder.write("store/mine.c", Self.bad)
        try folder.write("store/Fixtures/munlock-split/mine.c", Self.bad)
        let skipped = try folder.fixture("store", "verify")
        #expect(skipped.status == 0, "\(skipped.errors)")
        #expect(
            skipped.output == "ok       \(name)\n         mine.c: skipped: not given with --file\n1 fixture, 1 ok\n")
        #expect(
            try folder.fixture("store", "verify", "--ktap").output.contains("  # mine.c: skipped: not given with"))
        let checked = try folder.fixture("store", "verify", "--file", file)
        #expect(checked.status == 0 && checked.output == "ok       \(name)\n1 fixture, 1 ok\n", "\(checked.output)")
        let unused = try folder.fixture("store", "verify", "--file", mine(Self.good, "other.c"))
        #expect(unused.status == 2)
        #expect(unused.errors == "mmdiff: other.c: no fixture here is about such a file\n")
    }

    @Test func aFileThatWasMendedIsTold() throws {
        let name = try recorded("page_mlock.fixed..\(mine())")
        let before = try folder.fixture("store", "show", name).output
        let file = try mine(Self.good)
        let told = try folder.fixture("store", "verify", "--file", file)
        #expect(told.status == 1)
        #expect(told.output.contains("         mine.c: is not what it was: digest "), "\(told.output)")
        #expect(told.output.contains("         mine.c: - breaks held-at-return\n"))

        let refused = try folder.fixture("store", "expect", name, "--reason", "Mended.")
        #expect(refused.status == 2)
        #expect(refused.errors == "mmdiff: \(name) is about mine.c: give it with --file\n")
        let left = try folder.fixture("store", "expect", "--all", "--reason", "Mended.")
        #expect(left.status == 0 && left.output == "nothing has changed\n")
        #expect(left.errors.hasPrefix("mmdiff: \(name) is left as it is: it is about mine.c"), "\(left.errors)")
        #expect(try folder.fixture("store", "show", name).output == before)

        let accepted = try folder.fixture("store", "expect", name, "--reason", "Mended.", "--file", file)
        #expect(accepted.status == 0, "\(accepted.errors)")
        #expect(try folder.git("store", "log", "-1", "--format=%B").contains("  + c-file mine.c "))
        #expect(try folder.fixture("store", "verify", "--file", file).output.hasSuffix("1 fixture, 1 ok\n"))
        // Variants of the family still differ in their events.
        #expect(try folder.fixture("store", "prune", "--file", file).output == "every fixture tells variants apart\n")
    }

    @Test func aRunsReportAboutAFileIsRecorded() throws {
        let file = try mine()
        let run = try mmdiff(
            "run", "munlock-split", "--pair", "page_mlock.fixed..\(file)", "--traces", "100", "--jobs", "1", "--json",
            "--output", folder.path + "/found")
        try #require(run.status == 1, "\(run.errors)")
        let end = try folder.fixture("store", "record", folder.write("report.json", run.output))
        #expect(end.status == 0 && end.output.hasPrefix("recorded munlock-split/"), "\(end.errors)")
        #expect(try folder.fixture("store", "verify", "--file", file).status == 0)
    }

    @Test(arguments: [
        ("Mine.c", "a fixture knows a C file by its name: lower-case letters"),
        ("page_mlock.posted.c", "page_mlock.posted.c is a variant of munlock-split: call the file otherwise"),
    ])
    func namesThatCannotBe(_ name: String, _ words: String) throws {
        let end = try record("page_mlock.fixed..\(mine(Self.bad, name))")
        #expect(end.status == 2 && end.errors.contains(words), "\(end.errors)")
        #expect(end.errors.split(separator: "\n").count == 1)
    }

    @Test func twoFilesAreNoFixture() throws {
        let end = try record("\(mine())..\(mine(Self.good, "other.c"))")
        #expect(
            end.status == 2 && end.errors.contains("a fixture is about two variants of one family"), "\(end.errors)")
    }

    @Test func aFileThatCrashesIsTold() throws {
        let name = try recorded("page_mlock.fixed..\(mine())")
        let crash = Self.bad.replacing("mlock_vma_page(page);", with: "*(volatile int *)8 = 0;")
        let end = try folder.fixture("store", "verify", "--file", mine(crash))
        #expect(end.status == 1 && end.output.hasPrefix("deviates \(name)\n"), "\(end.output)\(end.errors)")
        let lines = end.output.split(separator: "\n")
        #expect(lines.count { $0.contains("the process ended") } == 1, "\(end.output)")
        #expect(end.output.contains("  mine.c: the process ended: SIGSEGV at t0 op 0 page_mlock_one:"), "\(end.output)")
    }
}
