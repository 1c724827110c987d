// SPDX-License-Identifier: GPL-2.0-only
// `mmdiff shrink`, and the claims of `mmdiff run`, from outside.

import Foundation
import Testing

@Suite(.serialized) final class ShrinkTests {
    private let folder = ScratchFolder()

    private let race = """
        mmdiff trace 1
        era v5.13
        machine cpus=2 nodes=1 pages=32 ptes=8 pmds=4 swap=8 pagevec=15
        file f0 shmem pages=2
        setup
          p0 mmap(0x8000, 0x2000, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_FIXED, f0, 0)
          p0 fork(p1)
          p0 mlock(0x8000, 0x2000)
          p1 mlock(0x8000, 0x2000)
          kernel lru_add_drain_all()
        task t0 p0 cpu=0
          munlock(0x8000, 0x2000)
          read(0x8000)
        task t1 p1 cpu=1
          munlock(0x8000, 0x2000)
        task t2 p0 cpu=1
          read(0x9000)

        """

    @Test func aTraceIsCutDownToItsDifference() throws {
        let trace = try folder.write("race.trace", race)
        let small = folder.path("small.trace")
        let pair = "try_to_munlock..page_mlock.posted"
        let end = try mmdiff("shrink", trace, "--pair", pair, "-o", small)
        #expect(end.status == 1)
        #expect(end.errors == "")
        // Executions apart, this is all that it says up to the state.
        let head = end.output.components(separatedBy: "   state ")[0]
        #expect(
            head == """
                \(trace) \(pair)
                divergent: mlocked-without-vma (invariants; new: possible only after the patch; seen on 1 trace)
                   settled   shown with 1 preemption; the base has it in none of all 964 schedules with at most 2 \
                preemptions of the cut-down trace, nor in 8000 random ones
                   how       t0 is stopped in page_vma_mapped_walk after accessing vm_flags in page_mlock_one, \
                before accessing the pmd;
                             t1 runs to the end of munlock;
                             t0 goes on
                   diverges  t0 op 0 try_to_unmap_one:vm_flags before, t0 op 0 page_mlock_one:vm_flags after
                   breaks    mlocked-without-vma: PG_mlocked implies a VM_LOCKED vma that maps the page
                               at rest

                """)
        for line in [
            "  tasks        3 -> 2", "  operations   9 -> 6", "  preemptions  ? -> 1", "  pages        32 -> 8",
            "  CPUs         2 -> 1", "   trace     \(small)",
            "   replay    mmdiff replay \(small) --variant page_mlock.posted",
        ] { #expect(end.output.contains(line + "\n")) }

        let replay = try mmdiff("replay", small, "--variant", "page_mlock.posted")
        #expect(replay.output.contains("mlocked-without-vma: PG_mlocked implies"))
        #expect(replay.output.contains("t1 runs to the end of munlock;\nt0 goes on\n"))
        #expect(try !mmdiff("replay", small, "--variant", "try_to_munlock").output.contains("PG_mlocked implies"))
        #expect(try mmdiff("shrink", trace, "--pair", pair, "-o", small).output == end.output)
    }

    @Test func whatDoesNotDifferIsStatus0() throws {
        let end = try mmdiff(
            "shrink", folder.write("race.trace", race), "--pair", "page_mlock.posted..page_mlock.posted.c", "--json")
        #expect(end.status == 0)
        let shrinking = try #require(try end.json() as? [String: Any])
        #expect(shrinking["finding"] == nil && shrinking["before"] != nil)
    }

    @Test func aFileThatCannotBeWrittenIsBadInput() throws {
        let end = try mmdiff(
            "shrink", folder.write("race.trace", race), "--pair", "try_to_munlock..page_mlock.posted", "-o",
            "/nowhere/x")
        #expect(end.status == 2)
        #expect(end.errors == "mmdiff: cannot write /nowhere/x\n")
    }

    // MARK: Claims

    private func run(_ arguments: String...) throws -> Ended {
        let trace = try folder.write("race.trace", race)
        let output = folder.path("found")
        return try mmdiff(
            ["run", "munlock-split", "--from", trace, "--traces", "4", "--jobs", "1", "--output", output] + arguments)
    }

    @Test func claimsAreToldWithWhatTheySwallow() throws {
        let pair = ["--pair", "try_to_munlock..page_mlock.fixed"]
        let claimed = try run(pair[0], pair[1])
        #expect(claimed.status == 0)
        #expect(
            claimed.output.contains(
                """
                    events mmu_notifier_range_start lost: expected
                      mmu_notifier_range_start, lost on 4 traces

                """))
        #expect(claimed.output.contains("    cost lock either: untested\n"))
        let none = try run(pair[0], pair[1], "--claims", "none")
        #expect(none.status == 1)
        #expect(none.output.contains("divergent: mmu_notifier_range_start (events;"))
        #expect(!none.output.contains("  claims\n"))
    }

    @Test func otherClaimsCoverWhatTheySay() throws {
        let claims = try folder.write(
            "mine.claims", "events mmu_notifier_range_start either\nevents tlb_flush lost\n\"mine\"\n")
        let end = try run("--pair", "try_to_munlock..page_mlock.fixed", "--claims", claims)
        #expect(end.output.contains("    events mmu_notifier_range_start either: expected\n"))
        #expect(end.output.contains("    events tlb_flush lost: untested\n      \"mine\"\n"))
        #expect(end.output.contains("divergent: mmu_notifier_range_end (events;"))
    }

    @Test func aBadClaimIsNamedByLineAndColumn() throws {
        let claims = try folder.write("bad.claims", "cost lock either\n  \"mine\"\nevents frob lost\n")
        let end = try run("--pair", "try_to_munlock..page_mlock.fixed", "--claims", claims)
        #expect(end.status == 2)
        #expect(end.errors.contains("bad.claims:3:8: error: no event 'frob'"))
        #expect(end.errors.split(separator: "\n").count == 1)
    }
}
