// SPDX-License-Identifier: GPL-2.0-only
import Foundation
import Testing

/// `mmdiff run --strategy`, `--coverage` and `--with` from outside.
@Suite(.serialized) struct StrategyOptionTests {
    private func run(_ arguments: String...) throws -> Ended {
        let folder = FileManager.default.temporaryDirectory.appending(path: "no-findings").path
        return try mmdiff(["run", "--output", folder, "--jobs", "2"] + arguments)
    }

    private let recorded = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../../Fixtures/recorded/memlockd.trace").standardizedFileURL.path

    private func pair(_ end: Ended) throws -> [String: Any] {
        let report = try JSONSerialization.jsonObject(with: Data(end.output.utf8)) as? [String: Any]
        return try #require((report?["pairs"] as? [[String: Any]])?.first)
    }

    @Test(arguments: ["random", "pct", "pos", "delay", "focused"]) func eachStrategyRuns(_ strategy: String) throws {
        let arguments = ["munlock-split", "--pair", "page_mlock.posted..page_mlock.posted.c", "--traces", "40"]
        let end = try mmdiff(["run"] + arguments + ["--strategy", strategy, "--json"])
        #expect(end.status == 0)
        let strategies = try #require(pair(end)["strategies"] as? [[String: Any]])
        #expect(!strategies.isEmpty && strategies.allSatisfy { $0["strategy"] as? String == strategy })
        for item in strategies where strategy == "pct" {
            #expect(try #require(item["published"] as? Double) > (try #require(item["probability"] as? Double)))
        }
        let text = try mmdiff(["run"] + arguments + ["--strategy", strategy]).output
        #expect(text.contains("  \(strategy)") && text.contains("traces that reach the patch"))
    }

    /// The portfolio is what is run if nothing is said, and parts of a run add up to the same each time.
    @Test func thePortfolioIsTheDefault() throws {
        let arguments = ["munlock-split", "--pair", "try_to_munlock..page_mlock.fixed", "--traces", "40"]
        let plain = try mmdiff(["run"] + arguments)
        #expect(plain.output.contains(": PCT meets a given defect of a trace with at least 0."))
        let named = try mmdiff(["run"] + arguments + ["--strategy", "portfolio"])
        #expect(named.output == plain.output)
        let both = try mmdiff(["run"] + arguments + ["--strategy", "portfolio", "--json"])
        let names = try #require(pair(both)["strategies"] as? [[String: Any]]).map { $0["strategy"] as? String }
        #expect(Set(names) == ["random", "pct"])
    }

    @Test func coverageNamesFunctionsAndYieldPoints() throws {
        let end = try run(
            "munlock-split", "--pair", "try_to_munlock..page_mlock.posted", "--traces", "40", "--coverage")
        let lines = end.output.split(separator: "\n").map(String.init)
        let first = try #require(lines.firstIndex { $0.hasSuffix(", what was reached before the patch and after it") })
        #expect(lines[first + 1].hasSuffix("before  after"))
        for name in ["__munlock_isolated_page", "try_to_munlock", "page_mlock", "page_mlock_one"] {
            #expect(lines.contains("  \(name)"))
        }
        #expect(lines.contains { $0.hasPrefix("    entry -> vm_flags") })
    }

    /// Nothing that the program does moves its pages.
    private static let resting = """
        mmdiff trace 1
        era v5.18-rc1
        machine cpus=2 pages=16 swap=1
        setup
          p0 mmap(0x8000, 0x2000, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS, -, 0)
          p0 write(0x8000)
          p0 write(0x9000)
        task t0 p0 cpu=0
          read(0x8000)

        """

    @Test func kernelThreadsReachWhatProgramsDoNot() throws {
        let path = FileManager.default.temporaryDirectory.appending(path: "\(UUID().uuidString).trace").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        try Self.resting.write(toFile: path, atomically: true, encoding: .utf8)
        // A variant beside itself, so that there is nothing to settle.
        let arguments = [
            "mlock-drain", "--pair", "drained..drained", "--from", path, "--traces", "8", "--schedules", "8",
        ]
        let alone = try mmdiff(["run"] + arguments)
        #expect(alone.status == 125 && alone.output.contains(" unreached "))
        let end = try mmdiff(["run", "--with", "compact,khugepaged", "--json"] + arguments)
        #expect(end.status == 0)
        #expect(try #require(pair(end)["reached"] as? Int) > 0)
    }

    /// A trace of what a later kernel can do says nothing of an earlier one.
    @Test func familiesWhoseEraLacksSomethingAreLeftOut() throws {
        let trace = recorded.replacing("memlockd", with: "qemu-postcopy")
        let end = try mmdiff("run", "--from", trace, "--traces", "1", "--schedules", "1", "--json")
        #expect(end.status == 125)
        #expect(end.output.contains("undrained..drained") && !end.output.contains("page_mlock.posted"))
        #expect(try mmdiff("run", "munlock-split", "--from", trace, "--traces", "1").status == 2)
    }

    @Test func whatCannotBeAddedIsBadInput() throws {
        for (arguments, words) in [
            (["--with", "kswapd"], "--with adds to the trace of --from"),
            (
                ["--from", recorded, "--with", "kswapd,kspawd"],
                "no operation of a kernel thread kspawd; did you mean kswapd?"
            ),
            (["--from", recorded, "--with", "writeback,mlock"], "no operation of a kernel thread mlock"),
            (["--strategy", "lucky"], "lucky"),
        ] {
            let end = try mmdiff(["run", "munlock-split", "--traces", "1"] + arguments)
            #expect(end.status == 2 && end.output == "", "\(arguments)")
            #expect(end.errors.contains(words), "\(end.errors)")
        }
    }
}
