// SPDX-License-Identifier: GPL-2.0-only
import Foundation
import Processes
import Testing

/// Workers that behave, fail, crash and hang: Tests/TestWorker is their program.
@Suite struct WorkerPoolTests {
    private let pool = WorkerPool(
        command: [
            URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
                .appending(path: "TestWorker").path
        ],
        width: 2, patience: 2)

    /// Where all bad jobs go wrong.
    private func place(_ job: String) -> WorkerPlace {
        WorkerPlace(activity: "working on \(job)", task: 1, op: 1, yieldPoint: "page_mlock:vm_flags")
    }

    private func run(_ jobs: [[String]]) throws -> (ends: [WorkerEnd], results: [[String]]) {
        var results = [[String]](repeating: [], count: jobs.count)
        let ends = try pool.run(jobs) { (number, result: String) in results[number].append(result) }
        return (ends, results)
    }

    @Test func resultsComeInOrderForEachJob() throws {
        let (ends, results) = try run([["a", "b"], ["many"], [], ["c"]])
        #expect(ends == [.done, .done, .done, .done])
        #expect(results == [["A", "B"], (0..<10_000).map(String.init), [], ["C"]])
    }

    @Test func largeJobsArrive() throws {
        let job = [String(repeating: "x", count: 1 << 20)]
        let (ends, results) = try run([job])
        #expect(ends == [.done])
        #expect(results[0].first?.count == 1 << 20)
    }

    @Test func errorsAreTold() throws {
        let (ends, results) = try run([["a", "fail", "b"]])
        #expect(ends == [.failed("cannot do that")])
        #expect(results == [["A"]])
    }

    @Test(arguments: [("crash", SIGSEGV), ("overflow", SIGSEGV)])
    func crashesAreToldWithTheirPlace(_ deed: String, _ signal: Int32) throws {
        let (ends, results) = try run([["a", deed], ["b"]])
        #expect(ends == [.crashed(signal: signal, place(deed), ""), .done])
        #expect(results == [["A"], ["B"]])
    }

    @Test func trapsAreToldWithWhatTheySay() throws {
        let ends = try run([["trap"]]).ends
        guard case .crashed(_, let where_, let complaint) = ends[0] else {
            Issue.record("\(ends)")
            return
        }
        #expect(where_ == place("trap"))
        #expect(complaint.contains("what a trap says"))
    }

    @Test func endlessLoopsAreStoppedAndToldWithTheirPlace() throws {
        let (ends, results) = try run([["loop"], ["b"]])
        #expect(ends == [.hung(place("loop")), .done])
        #expect(results == [[], ["B"]])
    }

    @Test func deathWithoutNoticeLeavesThePlaceOpen() throws {
        let (ends, _) = try run([["die"]])
        let nowhere = WorkerPlace(activity: "working on die", task: nil, op: nil, yieldPoint: "")
        #expect(ends == [.crashed(signal: SIGKILL, nowhere, "")])
    }

    @Test func programThatIsNotThereIsAnError() {
        let pool = WorkerPool(command: ["/no/such/program"])
        #expect(throws: ProcessError.self) { try pool.run([["a"]]) { (_, _: String) in } }
    }
}
