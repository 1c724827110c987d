// SPDX-License-Identifier: GPL-2.0-only
// The family retract-page-tables: what the patch is known to have done, on traces that get there, and that claims
// cover what they say and nothing else.

import CKernel
import KernelModel
import RetractPageTables
import Simulation
import Testing
import Traces
import VariantKit

@testable import Differential

private let shared = """
      p0 mmap(0x8000, 0x8000, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_FIXED|MAP_POPULATE, f0, 0)
    """

private func trace(_ setup: String, _ tasks: String) throws -> Trace {
    try parse(
        """
        mmdiff trace 1
        era v6.5
        machine cpus=2 nodes=1 pages=32 ptes=8 pmds=4 swap=2 pagevec=15
        file f0 shmem pages=8
        setup
        \(shared)
        \(setup)
        \(tasks)

        """)
}

private func parse(_ text: String) throws -> Trace {
    try Trace(parsing: Array(text.utf8), file: "test", eras: Vocabulary.all)
}

private func pairOfFamily(_ base: String, _ patched: String) throws -> PairOfMachines {
    try PairOfMachines(
        base: #require(retractPageTables.variant(base)), patched: #require(retractPageTables.variant(patched)),
        arenas: arenas)
}

private func campaign(
    _ base: String, _ patched: String, _ source: TraceSource, traces count: Int, claims: [Claim]? = nil
) throws -> Campaign {
    var configuration = CampaignConfiguration()
    configuration.traces = count
    configuration.focused = true
    let pair = try pairOfFamily(base, patched)
    let campaign = Campaign(
        pair, source, Vocabulary(.v6_5), claims: claims ?? retractPageTables.claims(base: base, patched: patched),
        configuration: configuration)
    campaign.run()
    return campaign
}

extension DifferentialTests {
    @Suite struct RetractTests {
        /// What only the first posting breaks on the trace.
        private func lost(_ setup: String, _ tasks: String) throws -> Set<String> {
            let campaign = try campaign("new.v1", "new", .given(trace(setup, tasks)), traces: 8)
            for finding in campaign.findings where finding.level == "invariants" {
                #expect(finding.direction == .lost, "\(finding.key)")
            }
            return Set(campaign.findings.filter { $0.direction == .lost }.flatMap(\.broken).map(\.name))
        }

        @Test func markersVanishWithTheTableOfTheFirstPosting() throws {
            let lost = try lost(
                "",
                """
                task t0 p0 cpu=0
                  madvise(0x8000, 0x8000, MADV_COLLAPSE)
                task t1 p0 cpu=1
                  uffd_register(0x8000, 0x8000, WP)
                  uffd_writeprotect(0xa000, 0x1000, WP)
                """)
            #expect(lost == ["lost-entry"])
        }

        @Test func pagesOfUserfaultfdVanishWithTheTableOfTheFirstPosting() throws {
            let lost = try lost(
                """
                  p0 mmap(0x10000, 0x8000, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_FIXED, f0, 0)
                  p0 read(0x10000)
                  p0 uffd_register(0x10000, 0x8000, MISSING)
                """,
                """
                task t0 p0 cpu=0
                  madvise(0x8000, 0x8000, MADV_COLLAPSE)
                task t1 p0 cpu=1
                  uffd_copy(0x12000, 0x1000, 0)
                """)
            #expect(lost.isSuperset(of: ["table-in-use", "leak"]))
        }

        /// Whether there is a huge page to be had depends on which pages are free: no difference of the variants.
        @Test func whereFreePagesLieIsNoDifference() throws {
            let trace = try parse(
                """
                mmdiff trace 1
                era v6.5
                machine cpus=2 nodes=1 pages=32 ptes=16 pmds=4 swap=4 pagevec=4
                file f0 shmem pages=16
                file f1 shmem pages=4
                setup
                  p0 mmap(0x20000, 0x2000, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_FIXED|MAP_LOCKED, f0, 0)
                  p0 mmap(0x20000, 0x10000, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_FIXED, f0, 0)
                  p0 write(0x22000)
                  p0 write(0x27000)
                  p0 fork(p1)
                  p1 write(0x20000)
                  p0 read(0x27000)
                  p1 fsync(f1)
                task t0 p1 cpu=1
                  mlock(0x2f000, 0x1000)
                task t1 p0 cpu=1
                  read(0x20000)
                task t2 p1 cpu=0
                  read(0x27000)
                task t3 p1 cpu=1
                  mremap(0x20000, 0x10000, 0x10000, MREMAP_MAYMOVE|MREMAP_FIXED, 0x30000)
                  mlock(0x30000, 0x10000)
                  file_write(f0, 5)
                  madvise(0x30000, 0x10000, MADV_COLLAPSE)

                """)
            let campaign = try campaign("old", "old", .given(trace), traces: 20)
            #expect(campaign.findings.filter { $0.direction != .both }.isEmpty)
        }

        @Test func anIOMMUWalksTheFreedTableOfTheFirstPosting() throws {
            let lost = try lost(
                "  p0 sva_bind_device()",
                """
                task t0 p0 cpu=0
                  madvise(0x8000, 0x8000, MADV_COLLAPSE)
                task t1 device cpu=1
                  sva_read(p0, 0xa000)
                  sva_read(p0, 0xb000)
                """)
            #expect(lost.contains("freed-reachable"))
        }

        /// Repaired by 9aa1345d66b8: a fault has seen a table, and has none at hand when it is gone and no huge page in its place.
        @Test func aFaultAroundFindsNoTable() throws {
            let trace = try trace(
                """
                  p0 fork(p1)
                  p1 read(0x8000)
                  p1 madvise(0x8000, 0x8000, MADV_DONTNEED)
                """,
                """
                task t0 p0 cpu=0
                  madvise(0x8000, 0x8000, MADV_COLLAPSE)
                  fallocate_punch(f0, 0, 1)
                task t1 p1 cpu=1
                  read(0xa000)
                """)
            let pair = try pairOfFamily("old", "new")
            #expect(pair.load(try CompiledTrace(trace, Vocabulary(.v6_5))))
            var broken = (base: 0, patched: 0)
            for schedule in 0..<512 {
                ScheduleSeed(seed: 1, trace: 0, schedule: schedule, focused: true).strategy().install()
                broken.base += pair.base.run().violations & Self.bugOn == 0 ? 0 : 1
                broken.patched += pair.patched.run().violations & Self.bugOn == 0 ? 0 : 1
            }
            #expect(broken.base == 0 && broken.patched > 0)
        }

        /// Registered anew in another mode, the range has markers that mean nothing.
        @Test func aMarkerOfNoRegistrationMayGo() throws {
            let trace = try trace(
                """
                  p0 fork(p1)
                  p1 read(0x8000)
                  p0 uffd_register(0xd000, 0x1000, WP)
                  p0 uffd_writeprotect(0xd000, 0x1000, WP)
                """,
                """
                task t0 p0 cpu=0
                  uffd_register(0x8000, 0x8000, MINOR)
                  madvise(0x8000, 0x8000, MADV_COLLAPSE)
                """)
            let pair = try pairOfFamily("old", "new")
            #expect(pair.load(try CompiledTrace(trace, Vocabulary(.v6_5))))
            for machine in [pair.base, pair.patched] {
                ScheduleSeed(seed: 1, trace: 0, schedule: 0).strategy().install()
                #expect(machine.run().violations == 0)
            }
        }

        private static let bugOn: UInt32 = 1 << VIOLATION_bug_on.rawValue

        // MARK: Claims

        /// The other mapping keeps its table before the patch, and khugepaged is to come for it.
        private let otherMapping = (
            setup: """
              p0 madvise(0x8000, 0x8000, MADV_HUGEPAGE)
              p0 fork(p1)
              p1 read(0x8000)
            """,
            tasks: """
            task t0 p0 cpu=0
              madvise(0x8000, 0x8000, MADV_COLLAPSE)
            """
        )

        @Test func allMappingsLoseTheirTableAsClaimed() throws {
            let campaign = try campaign(
                "old", "new", .given(trace(otherMapping.setup, otherMapping.tasks)), traces: 1)
            let expected = campaign.findings.filter { $0.verdict == .expected && $0.level == "state" }
            #expect(expected.map(\.key) == ["state lost process.nr_ptes"])
            #expect(campaign.findings.allSatisfy { !$0.verdict.isUnexpected })
        }

        @Test func withoutAClaimItIsDivergent() throws {
            let campaign = try campaign(
                "old", "new", .given(trace(otherMapping.setup, otherMapping.tasks)), traces: 1, claims: [])
            #expect(campaign.findings.contains { $0.level == "state" && $0.verdict == .divergent })
        }

        @Test func aClaimTheOtherWayDoesNotCover() throws {
            let claim = Claim(.state, "process.nr_ptes", .new, "more tables")
            let campaign = try campaign(
                "old", "new", .given(trace(otherMapping.setup, otherMapping.tasks)), traces: 1, claims: [claim])
            #expect(campaign.findings.contains { $0.key == "state lost process.nr_ptes" && $0.verdict == .divergent })
        }

        @Test(arguments: [("mmu_notifier_range_start", Verdict.expected), ("lru_drain", .divergent)])
        func aClaimHoldsWhereItsConditionDoes(_ event: String, _ verdict: Verdict) throws {
            let condition = Claim.Condition(level: .events, subject: event, direction: .new)
            let claim = Claim(.state, "process.nr_ptes", .lost, if: [condition], "fewer tables")
            let campaign = try campaign(
                "old", "new", .given(trace(otherMapping.setup, otherMapping.tasks)), traces: 1, claims: [claim])
            let finding = try #require(campaign.findings.first { $0.key == "state lost process.nr_ptes" })
            #expect(finding.verdict == verdict)
        }

        @Test func aResultIsClaimedByItsValues() throws {
            // The child has no page table to map the huge page by.
            let source = try TraceSource.given(
                trace(
                    "  p0 fork(p1)",
                    """
                    task t0 p1 cpu=0
                      madvise(0x8000, 0x8000, MADV_COLLAPSE)
                    """))
            let keys = { (campaign: Campaign) in
                campaign.findings.filter { $0.level == "abi" }.map { "\($0.key) \($0.verdict.rawValue)" }
            }
            #expect(
                try keys(campaign("old", "new", source, traces: 1)).sorted() == [
                    "abi lost results.madvise expected", "abi new results.madvise expected",
                ])
            let other = [Claim(.abi, "madvise", .either, values: Claim.Values(before: -11, after: 0), "another errno")]
            #expect(
                try keys(campaign("old", "new", source, traces: 1, claims: other)).sorted() == [
                    "abi lost results.madvise divergent", "abi new results.madvise divergent",
                ])
        }

        @Test func swiftEqualsC() throws {
            let generator = Generator(Vocabulary(.v6_5), weights: retractPageTables.weights)
            let campaign = try campaign("new", "new.c", .generator(generator), traces: 150)
            for finding in campaign.findings where finding.direction != .both {
                Issue.record("\(finding.key): \(finding.difference)\n\(finding.trace)")
            }
            #expect(campaign.progress.reached > 0)
        }
    }
}
