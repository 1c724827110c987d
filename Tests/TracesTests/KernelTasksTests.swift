// SPDX-License-Identifier: GPL-2.0-only
// Kernel threads beside a given trace.

import KernelModel
import Simulation
import Testing
import Traces

@Suite struct KernelTasksTests {
    private let vocabulary = Vocabulary(Era.v5_13)

    private func trace(files: String = "", tasks: Int = 1) throws -> Trace {
        let text =
            "mmdiff trace 1\nera v5.13\nmachine cpus=2 nodes=2\n\(files)setup\n  p0 mmap(0x8000, 0x1000, PROT_READ,"
            + " MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS, -, 0)\n"
            + (0..<tasks).map { "task t\($0) p0 cpu=0\n  mlock(0x8000, 0x1000)\n" }.joined()
            + "schedule\n  start t0\n"
        return try Trace(parsing: text, file: "test", eras: [vocabulary])
    }

    private func operations(_ names: String...) throws -> [KernelModel.Operation] {
        try names.map { try #require(vocabulary[$0]) }
    }

    @Test func eachIsATaskOfItsOwn() throws {
        let trace = try trace()
        let added = try trace.with(kernelTasks: operations("kswapd", "lru_add_drain"), seed: 1)
        #expect(Array(added.tasks.prefix(1)) == trace.tasks)
        #expect(added.tasks.dropFirst().map(\.performer) == [.kernel, .kernel])
        #expect(added.tasks[1].steps.allSatisfy { $0.operation.name == "kswapd" })
        #expect(added.tasks[2].steps.allSatisfy { $0.operation.name == "lru_add_drain" })
        // The schedule was one of the tasks that there were.
        #expect(added.schedule == nil && added.setup == trace.setup)
        #expect(try Trace(parsing: added.description, file: "added", eras: [vocabulary]) == added)
    }

    @Test func theSeedDecides() throws {
        let trace = try trace(files: "file f0 disk pages=2\nfile f1 disk pages=2\n")
        let operations = try operations("kswapd", "writeback")
        let all = try (0..<200 as Range<UInt64>).map { try trace.with(kernelTasks: operations, seed: $0) }
        #expect(try all == (0..<200 as Range<UInt64>).map { try trace.with(kernelTasks: operations, seed: $0) })
        #expect(Set(all.map { $0.tasks[1].steps.count }) == [1, 2, 3, 4])
        #expect(Set(all.map { $0.tasks[1].cpu }) == [0, 1])
        #expect(Set(all.map { $0.tasks[1].steps[0].description }) == ["kswapd(0)", "kswapd(1)"])
        #expect(Set(all.map { $0.tasks[2].steps[0].description }) == ["writeback(f0)", "writeback(f1)"])
    }

    @Test func whatDoesNotFitIsRefused() throws {
        let full = #expect(throws: KernelTaskFault.self) {
            try trace(tasks: 6).with(kernelTasks: operations("kswapd", "compact"), seed: 1)
        }
        #expect(full?.description == "the trace has 6 tasks, and with 2 more there would be more than 7")
        let fileless = #expect(throws: KernelTaskFault.self) {
            try trace().with(kernelTasks: operations("writeback"), seed: 1)
        }
        #expect(fileless?.description == "writeback needs a file, and the trace has none")
    }
}
