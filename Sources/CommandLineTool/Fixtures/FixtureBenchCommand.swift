// SPDX-License-Identifier: GPL-2.0-only
// mmdiff fixture bench: many fixtures in one commit, beside what git itself takes for the same.

import ArgumentParser
import Differential
import FixtureStore
import Foundation
import Processes
import Traces

struct FixtureBenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measure a large collection, beside git.", shouldDisplay: false)

    @Option(help: "How many fixtures.")
    var fixtures = 10_000

    @Option(help: "How often; the median counts.")
    var rounds = 3

    @OptionGroup var workers: WorkerOptions

    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard (1...100_000).contains(fixtures), (1...99).contains(rounds) else {
            throw ValidationError("--fixtures takes 1 to 100000, --rounds 1 to 99.")
        }
    }

    private struct Row: Encodable {
        var what: String
        var seconds: Double
        /// What git did meanwhile, and how many times as long mmdiff took.
        var git: String?
        var gitSeconds: Double?
        var ratio: Double?
    }

    /// In seconds, by round.
    private struct Times {
        var record: [Double] = []
        var gitImport: [Double] = []
        var read: [Double] = []
        var gitRead: [Double] = []
        var list: [Double] = []
        var check: [Double] = []
        var verify: [Double] = []
    }

    func run() throws {
        guard let git = findTool("git") else { throw InputError("the bench needs git to compare with") }
        let folder = FileManager.default.temporaryDirectory.appending(path: "mmdiff-bench-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let collection = try collection()
        let texts = collection.map { (path: "Fixtures/\($0.name.path)", text: $0.description) }
        try stream(texts).write(toFile: folder + "/stream", atomically: false, encoding: .utf8)
        var times = Times()
        for round in 0..<rounds {
            let store = try newStore("\(folder)/store\(round)")
            let other = "\(folder)/git\(round)"
            try shell("'\(git)' init -q --bare '\(other)'")
            // In turns, so that what the machine does besides meets both alike.
            times.record.append(try seconds { _ = try store.record(collection) })
            times.gitImport.append(
                try seconds { try shell("'\(git)' -C '\(other)' fast-import --quiet < '\(folder)/stream'") })
            let names = "'\(git)' -C '\(other)' ls-tree -r refs/heads/main | cut -c13-52"
            let contents = "'\(git)' -C '\(other)' cat-file --batch > '\(folder)/all'"
            times.read.append(try seconds { for item in try store.collection().fixtures { _ = try item.bytes() } })
            times.gitRead.append(try seconds { try shell("\(names) | \(contents)") })
            times.list.append(try seconds { for item in try store.collection().fixtures { _ = try item.head() } })
            times.check.append(try seconds { for item in try store.collection().fixtures { _ = try item.fixture() } })
            if round == 0 { times.verify.append(try seconds { try verify(store) }) }
        }
        let reading = "git ls-tree and cat-file --batch"
        let rows = [
            compared("record in one commit, flushed to the disk", times.record, "git fast-import", times.gitImport),
            compared("read", times.read, reading, times.gitRead),
            compared("list, with what each shows", times.list, reading, times.gitRead),
            Row(what: "read, parse and check the name", seconds: median(times.check)),
            Row(what: "verify: run on each variant, \(workers.jobs) at once", seconds: median(times.verify)),
        ]
        try output.print(rows) {
            "\(fixtures) fixtures\n"
                + table(
                    rows.map { row in
                        [row.what, "\(thousandths(row.seconds)) s"]
                            + (row.git.map {
                                ["\($0) \(thousandths(row.gitSeconds!)) s", "x \(thousandths(row.ratio!))"]
                            } ?? [])
                    }, indent: 2)
        }
    }

    private func compared(_ what: String, _ own: [Double], _ git: String, _ other: [Double]) -> Row {
        let (own, other) = (median(own), median(other))
        return Row(what: what, seconds: own, git: git, gitSeconds: other, ratio: own / other)
    }

    private func median(_ times: [Double]) -> Double { times.sorted()[times.count / 2] }

    private func thousandths(_ value: Double) -> String {
        let number = Int((value * 1000).rounded())
        let rest = String(number % 1000)
        return "\(number / 1000)." + String(repeating: "0", count: 3 - rest.count) + rest
    }

    private func seconds(_ body: () throws -> Void) rethrows -> Double {
        let start = ContinuousClock.now
        try body()
        let (seconds, attoseconds) = (ContinuousClock.now - start).components
        return Double(seconds) + Double(attoseconds) / 1e18
    }

    private func shell(_ script: String) throws {
        let (end, text) = try runTool("/bin/sh", ["-c", script])
        guard end == .exited(status: 0) else { throw InputError("\(script): \(inOneLine(text))") }
    }

    private func newStore(_ path: String) throws -> Store {
        _ = try Store(making: path, bare: true)
        let configuration = "\(path)/config"
        let old = try String(contentsOfFile: configuration, encoding: .utf8)
        try (old + "[user]\n\tname = bench\n\temail = bench@localhost\n")
            .write(toFile: configuration, atomically: true, encoding: .utf8)
        return try Store(at: path)
    }

    private func verify(_ store: Store) throws {
        let results = try Verifier(jobs: workers.jobs, tolerant: false).verify(store.collection().fixtures)
        guard results.count == fixtures, results.allSatisfy({ $0.result == .ok }) else {
            throw InputError("\(results.count { $0.result != .ok }) of \(results.count) fixtures do not hold")
        }
    }

    /// One fixture over and over, each with other steps in its set-up that change nothing: mlock() of a part of a
    /// page is one of the page.
    private func collection() throws -> [Fixture] {
        let page = 0x1000
        let base = FixtureDraft(
            source: "the bench", trace: try trace(1, 1), pair: try FixturePair("page_mlock.posted..page_mlock.merged"),
            shows: "A fixture of the bench.", references: [])
        let fixture = try FixtureMaker(jobs: 1).fixtures([base])[0]
        let schedule = fixture.trace.schedule
        return try (0..<fixtures).map { number in
            var copy = fixture
            copy.trace = try trace(1 + number % page, 1 + number / page)
            copy.trace.schedule = schedule
            return copy
        }
    }

    private func trace(_ first: Int, _ second: Int) throws -> Trace {
        let text = """
            mmdiff trace 1
            era v5.13
            machine cpus=1 nodes=1 pages=8 ptes=8 pmds=2 swap=1 pagevec=15
            setup
              r0 = p0 mmap(0, 0x4000, PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -, 0)
              p0 mlock(r0+0x3000, \(first))
              p0 mlock(r0+0x3000, \(second))
              p0 fork(p1)
              p0 fork(p2)
            task t0 p0 cpu=0
              munlock(r0, 0x4000)
            task t1 p2 cpu=0
              mlock(r0+0x2000, 0x2000)
            schedule
              start t1
              t1 op 0 map_pte:pte #1 -> t0

            """
        return try CommandLineTool.trace(text.utf8, file: "the bench", in: nil)
    }

    /// What git fast-import reads.
    private func stream(_ files: [(path: String, text: String)]) -> String {
        var stream = ""
        for (number, file) in files.enumerated() {
            stream += "blob\nmark :\(number + 1)\ndata \(file.text.utf8.count)\n\(file.text)\n"
        }
        stream += "commit refs/heads/main\ncommitter bench <bench@localhost> 1700000000 +0000\ndata 4\nmany\n"
        for (number, file) in files.enumerated() { stream += "M 100644 :\(number + 1) \(file.path)\n" }
        return stream + "done\n"
    }
}
