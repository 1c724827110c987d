// SPDX-License-Identifier: GPL-2.0-only
import Foundation
import Testing

/// `mmdiff explore` from outside, in the modes that every build has; the others are in `SearchTests`.
@Suite struct ExploreTests {
    private func explore(_ arguments: String...) throws -> Ended {
        let folder = ScratchFolder()
        _ = try folder.write("orders.trace", Self.trace)
        return try mmdiff(["explore", "orders.trace"] + arguments, in: folder.url)
    }

    private static let trace = """
        mmdiff trace 1
        era v5.13
        machine cpus=2 nodes=1 pages=16 ptes=8 pmds=4 swap=4 pagevec=15
        setup
          p0 mmap(0x8000, 0x1000, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS, -, 0)
        task t0 p0 cpu=0
          munmap(0x8000, 0x1000)
        task t1 p0 cpu=1
          mprotect(0x8000, 0x1000, PROT_READ)

        """

    private let pair = "try_to_munlock..page_mlock.posted"

    @Test func theTableOfAWholeSearch() throws {
        let end = try explore("--pair", pair)
        #expect(end.status == 0 && end.errors.isEmpty)
        #expect(
            end.output == """
                Test orders.trace try_to_munlock..page_mlock.posted
                States 2
                both              102       102 :> s0
                both               33        33 :> s1
                                                       results of t1
                                                     -   op 0 mprotect: -12
                                                     +   op 0 mprotect: 0
                Witnesses
                schedule  # s0, both
                  start t0
                  t0 op 1 task:end #1 => t1
                schedule  # s1, both
                  start t1
                  t1 op 1 task:end #1 => t0
                Observation 2 in both, 0 only before, 0 only after
                before: depth-first, 135 schedules, 2022 steps, 2 outcomes, complete
                after: depth-first, 135 schedules, 2022 steps, 2 outcomes, complete
                explored under sequential consistency

                """)
    }

    @Test func aBoundIsNamed() throws {
        let end = try explore("--pair", pair, "--preemptions", "1")
        #expect(end.status == 0)
        let lines = end.output.split(separator: "\n").map(String.init)
        for side in ["before", "after"] {
            #expect(
                lines.contains { $0.hasPrefix("\(side): bounded, ") && $0.hasSuffix(", all with at most 1 preemption") }
            )
        }
    }

    /// Where not all was run, it is said, and nothing follows from it.
    @Test func aLimitIsNamed() throws {
        let end = try explore("--pair", pair, "--schedules", "3")
        #expect(end.status == 125)
        #expect(end.output.contains("before: depth-first, 3 schedules, "))
        #expect(end.output.contains(", not complete: ended at 3 schedules\n"))
    }
}
