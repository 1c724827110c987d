// SPDX-License-Identifier: GPL-2.0-only
import Foundation
import Testing

/// `mmdiff run`, `replay`, `explore` and `import` from outside.
@Suite(.serialized) final class RunTests {
    private let folder = ScratchFolder()

    private func run(_ arguments: String...) throws -> Ended {
        try mmdiff(["run", "munlock-split", "--output", folder.path("found")] + arguments)
    }

    // MARK: A user's C file

    @Test func aFileThatDoesTheSameIsEqual() throws {
        let end = try run("--pair", "page_mlock.posted..\(folder.pageMlockOne())", "--traces", "60", "--json")
        #expect(end.status == 0)
        let pair = try firstPair(end)
        #expect(["equal", "pre-existing"].contains(pair["verdict"] as? String))
        #expect(try #require(pair["reached"] as? Int) > 0)
    }

    @Test func aFileThatDoesNotCompileIsNoVariant() throws {
        let end = try run("--pair", "page_mlock.posted..\(folder.pageMlockOne("frob;"))", "--traces", "1")
        #expect(end.status == 125)
        #expect(end.output == "")
        #expect(end.errors.contains("mine.c"))
    }

    @Test(arguments: [("*(volatile int *)8 = 1;", "SIGSEGV"), ("for (volatile int i = 0;; i++) {}", "endless loop")])
    func aFileThatCrashesIsAFinding(_ code: String, _ words: String) throws {
        let end = try run("--pair", "page_mlock.posted..\(folder.pageMlockOne(code))", "--traces", "60", "--jobs", "1")
        #expect(end.status == 1)
        #expect(end.output.contains("1. crash: "))
        #expect(end.output.contains(words))
        #expect(end.output.contains("page_mlock"))
    }

    // MARK: Findings

    @Test func theMergedPatchDiffersFromThePostedOne() throws {
        let arguments = ["run", "--pair", "page_mlock.posted..page_mlock.merged", "--traces", "1200", "--seed", "1"]
        let output = ["--output", folder.path("found")]
        let end = try mmdiff(arguments + output)
        #expect(end.status == 1)
        #expect(end.errors == "")
        for text in [
            "held-at-return", "settled ", "explored under sequential consistency; seed 1",
            "mmdiff run munlock-split --pair page_mlock.posted..page_mlock.merged --seed 1 --traces ",
        ] { #expect(end.output.contains(text)) }
        #expect(try mmdiff(arguments + output).output == end.output)

        let trace = try #require(
            FileManager.default.enumerator(atPath: folder.path("found"))?
                .compactMap { $0 as? String }.sorted().first { $0.contains("new-held-at-return") })
        let path = folder.path("found/\(trace)")
        let replay = try mmdiff("replay", path, "--variant", "page_mlock.merged")
        #expect(replay.status == 0)
        #expect(replay.output.contains("t0 "))
        #expect(replay.output.contains("*** held-at-return"))
        #expect(try !mmdiff("replay", path, "--variant", "page_mlock.posted").output.contains("***"))
    }

    @Test func aRunThatEntersNothingCannotTell() throws {
        let trace = try folder.write("idle.trace", RunTests.idle)
        let end = try run("--pair", "try_to_munlock..page_mlock.posted", "--from", trace, "--traces", "2")
        #expect(end.status == 125)
        #expect(end.output.contains("unreached"))
    }

    @Test func aBadTraceIsNamedByLineAndColumn() throws {
        let trace = try folder.write("bad.trace", "mmdiff trace 1\nera v9.99\n")
        for arguments in [
            ["run", "--from", trace], ["replay", trace], ["explore", trace, "--pair", "v5.13..page_mlock.posted"],
        ] {
            let end = try mmdiff(arguments)
            #expect(end.status == 2)
            #expect(end.errors.contains("bad.trace:2:"))
            #expect(end.errors.split(separator: "\n").count == 1)
        }
    }

    // MARK: One trace

    static let idle = """
        mmdiff trace 1
        era v5.13
        machine cpus=2 nodes=1 pages=16 ptes=8 pmds=4 swap=4 pagevec=15
        setup
          p0 mmap(0x8000, 0x1000, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS, -, 0)
        task t0 p0 cpu=0
          munmap(0x8000, 0x1000)
        task t1 p0 cpu=1
          munmap(0x8000, 0x1000)
        schedule
          start t1

        """

    /// A trace at system-call level means the same in each era.
    @Test func aTraceOfAnotherEraRuns() throws {
        let trace = try folder.write("idle.trace", RunTests.idle.replacing("v5.13", with: "v6.5"))
        let end = try run("--pair", "try_to_munlock..page_mlock.posted", "--from", trace, "--traces", "2")
        #expect(end.status == 125)
        #expect(end.output.contains("unreached"))
        #expect(try mmdiff("replay", trace, "--variant", "try_to_munlock").status == 0)
        #expect(try mmdiff("replay", trace, "--variant", "undrained").status == 0)
        #expect(try mmdiff("explore", trace, "--pair", "v5.13..page_mlock.posted", "--schedules", "1").status == 125)
    }

    @Test func anOperationThatTheErasLackIsNamed() throws {
        let text = RunTests.idle.replacing("v5.13", with: "v6.5")
            .replacing("task t1", with: "  madvise(0x8000, 0x1000, MADV_COLLAPSE)\ntask t1")
        let trace = try folder.write("new.trace", text)
        let end = try run("--from", trace, "--traces", "1")
        #expect(end.status == 2)
        #expect(end.output == "")
        #expect(end.errors.contains("new.trace:8:27: error: found 'MADV_COLLAPSE' for 'advice'"))
    }

    @Test func aReplayHasAColumnForEachTask() throws {
        let trace = try folder.write("idle.trace", RunTests.idle)
        let end = try mmdiff("replay", trace)
        #expect(end.status == 0)
        let lines = end.output.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        #expect(lines.count > 8)
        #expect(lines[0] == "\(trace) on v5.13")
        #expect(lines[2].hasPrefix("t0 p0 cpu 0") && lines[2].hasSuffix("t1 p0 cpu 1"))
        let column = try #require(lines[2].range(of: "t1")).lowerBound.utf16Offset(in: lines[2])
        #expect(lines[3] == String(repeating: " ", count: column) + "  [ op 0 munmap(0x8000, 0x1000)")
        #expect(lines.contains("  ] op 0 = 0"))
        #expect(lines.contains("end: complete, after 1 switches; explored under sequential consistency"))
        #expect(lines.contains("  op 0 munmap: 0"))
    }

    @Test func anExplorationIsExhaustiveWhereItCanBe() throws {
        let trace = try folder.write("idle.trace", RunTests.idle)
        let end = try mmdiff("explore", trace, "--pair", "try_to_munlock..page_mlock.posted", "--preemptions", "1")
        #expect(end.status == 0)
        #expect(end.output.hasPrefix("Test \(trace) try_to_munlock..page_mlock.posted\nStates "))
        #expect(
            end.output.contains("\nafter: bounded, ")
                && (end.output.contains(", complete\n") || end.output.contains(", all with at most 1 preemption\n")))
        let cut = try mmdiff("explore", trace, "--pair", "try_to_munlock..page_mlock.posted", "--schedules", "1")
        #expect(cut.status == 125)
    }

    @Test func anImportedLogRuns() throws {
        let log = try folder.write(
            "log.strace",
            """
            mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000000000
            mlock(0x7f0000000000, 8192) = 0
            munlock(0x7f0000000000, 8192) = 0
            +++ exited with 0 +++

            """)
        let trace = folder.path("imported.trace")
        let end = try mmdiff("import", "strace", log, "-o", trace)
        #expect(end.status == 0)
        #expect(end.output == "")
        #expect(end.errors.contains("Imported from"))
        #expect(try mmdiff("import", "strace", log).output == String(contentsOfFile: trace, encoding: .utf8))
        #expect(try mmdiff("replay", trace).status == 0)
    }

    private func firstPair(_ end: Ended) throws -> [String: Any] {
        let report = try #require(try end.json() as? [String: Any])
        return try #require((report["pairs"] as? [[String: Any]])?.first)
    }
}
