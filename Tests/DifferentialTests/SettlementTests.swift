// SPDX-License-Identifier: GPL-2.0-only
// From a candidate to a verdict: what is grave goes first, nobody is blamed for what both sides do, and what is reported
// can be repeated.

import CKernel
import KernelModel
import MunlockSplit
import Simulation
import Testing
import Traces
import VariantKit

@testable import Differential

/// What `laterPosted` calls in the end.
nonisolated(unsafe) private var postedPageMlock:
    (@convention(c) (page, vm_area_struct, UInt, UnsafeMutableRawPointer?) -> Bool)!
nonisolated(unsafe) private var calls: UInt = 0

/// page_mlock.posted, with places in front of it that the other side has not: one schedule by name is not one schedule.
private let laterPosted = Variant(
    name: "later", era: "v5.13", summary: "the same, a little later", changedFunctions: ["page_mlock_one"]
) { table in
    munlockSplit.variant("page_mlock.posted")!.install(table)
    postedPageMlock = table.page_mlock_one
    table.page_mlock_one = { page, vma, address, argument in
        yield_point("mapcount", "page_mlock_one")
        yield_point("mapcount", "page_mlock_one")
        return postedPageMlock(page, vma, address, argument)
    }
}

/// page_mlock.posted with data that no snapshot covers.
private let forgetful = Variant(
    name: "forgetful", era: "v5.13", summary: "counts its calls", changedFunctions: ["page_mlock_one"]
) { table in
    munlockSplit.variant("page_mlock.posted")!.install(table)
    postedPageMlock = table.page_mlock_one
    table.page_mlock_one = { page, vma, address, argument in
        calls += 1
        noteCost(EVENT_pte_visit, 0, calls)
        return postedPageMlock(page, vma, address, argument)
    }
}

/// page_mlock.fixed with what is done to a page that was found split out of the walker.
private let splitFixed = Variant(
    name: "split", era: "v5.13", summary: "the same in two functions", changedFunctions: ["page_mlock_one"]
) { table in
    munlockSplit.variant("page_mlock.fixed")!.install(table)
    table.page_mlock_one = { page, vma, address, _ in
        var pvmw = page_vma_mapped_walk(
            page: page, vma: vma, address: address, pmd: nil, pte: nil, ptl: nil, flags: 0)
        yield_point("vm_flags", "page_mlock_one")
        if vma.vm_flags & VM_LOCKED == 0 { return true }
        while ops.page_vma_mapped_walk(&pvmw) {
            if mlock_in_vma(&pvmw) { return false }
        }
        return true
    }
}

private func mlock_in_vma(_ pvmw: UnsafeMutablePointer<page_vma_mapped_walk>) -> Bool {
    yield_point("vm_flags")
    if pvmw.pointee.vma.vm_flags & VM_LOCKED == 0 { return false }
    ops.mlock_vma_page(pvmw.pointee.page)
    page_vma_mapped_walk_done(pvmw)
    return true
}

extension DifferentialTests {
    @Suite struct SettlementTests {
        /// Its yield points have other names, so that those of the walker are passed less often.
        @Test(arguments: [Side.base, .patched]) func scheduleIsFollowedIntoAPartThatIsSplitOut(_ side: Side) throws {
            let pair = try PairOfMachines(
                base: #require(munlockSplit.variant("page_mlock.fixed")), patched: splitFixed, arenas: arenas)
            let trace = try Trace(parsing: manyWalks, file: "test", eras: [vocabulary])
            try #require(pair.load(CompiledTrace(trace, vocabulary)))
            var moved = 0
            for number in 0..<40 {
                ScheduleSeed(seed: 1, trace: 0, schedule: number).strategy().install()
                let run = pair.recorded(side.other)
                let (schedule, numbers) = pair.aligned(run.schedule, for: side)
                #expect(pair.execute(schedule, on: side).essence == run.essence, "schedule \(number)")
                moved += numbers.count
            }
            #expect(moved > 20)
        }

        private let manyWalks = """
            mmdiff trace 1
            era v5.13
            machine cpus=2 nodes=1 pages=32 ptes=16 pmds=2 swap=8 pagevec=15
            setup
              p0 mmap(0x10000, 0x10000, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS|MAP_LOCKED, -, 0)
              p0 fork(p1)
              p0 fork(p2)
            task t0 p0 cpu=0
              write(0x1c000)
              mlockall(MCL_CURRENT)
            task t1 p1 cpu=0
              mlock(0x1c000, 0x5000)
              munlock(0x10000, 0x10000)
            task t2 p2 cpu=0
              mlockall(MCL_CURRENT)

            """

        private func campaign(_ base: String, _ patched: Variant, schedules: Int, traces: Int) throws -> Campaign {
            let pair = try PairOfMachines(
                base: #require(munlockSplit.variant(base)), patched: patched, arenas: arenas)
            let trace = try Trace(parsing: twoMunlock, file: "test", eras: [vocabulary])
            var configuration = CampaignConfiguration()
            (configuration.traces, configuration.schedules) = (traces, schedules)
            let campaign = Campaign(pair, .given(trace), vocabulary, claims: [], configuration: configuration)
            campaign.run()
            #expect(campaign.progress.skipped == 0 && campaign.progress.reached > 0)
            return campaign
        }

        /// Few schedules a trace, so that often only one side breaks the rule in them.
        @Test func nobodyIsBlamedForWhatTheOtherSideDoesUnderOtherSchedules() throws {
            let campaign = try campaign("page_mlock.posted", laterPosted, schedules: 8, traces: 60)
            let broken = campaign.findings.filter { $0.subject.contains("mlocked-without-vma") }
            #expect(broken.map(\.verdict) == [.preExisting])
            #expect(!campaign.findings.contains { $0.verdict.isUnexpected && $0.level != "cost" })
        }

        /// Of a trace with much that it does not need, what both sides break is left.
        @Test func whatBothSidesBreakIsCutDown() throws {
            let pair = try pair("try_to_munlock", "page_mlock.posted")
            let trace = try Trace(parsing: hugeMunlock, file: "test", eras: [vocabulary])
            var configuration = CampaignConfiguration()
            (configuration.traces, configuration.schedules) = (1, 8)
            let campaign = Campaign(pair, .given(trace), vocabulary, claims: [], configuration: configuration)
            campaign.run()
            let finding = try #require(campaign.findings.first { $0.subject == ["lost-huge-mlock"] })
            #expect(finding.verdict == .preExisting && finding.broken.map(\.name) == ["lost-huge-mlock"])
            let left = try Trace(parsing: finding.trace, file: "test", eras: [vocabulary])
            #expect(left.tasks.count == 1 && left.operations <= 6, "\(finding.trace)")
            try #require(pair.load(left, vocabulary))
            for side in [Side.base, .patched] {
                let broken = try pair.execute(#require(left.schedule), on: side).essence.violations
                #expect(broken & 1 << VIOLATION_lost_huge_mlock.rawValue != 0)
            }
        }

        private let hugeMunlock = """
            mmdiff trace 1
            era v5.13
            machine cpus=2 nodes=1 pages=32 ptes=8 pmds=4 swap=2 pagevec=15
            file f0 shmem pages=8 huge
            setup
              p0 mmap(0x10000, 0x2000, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS, -, 0)
              p0 mmap(0x8000, 0x8000, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_FIXED|MAP_POPULATE, f0, 0)
              p0 fork(p1)
              p0 mlock(0x8000, 0x8000)
              p1 mlock(0x8000, 0x8000)
            task t0 p0 cpu=0
              write(0x10000)
              munlock(0x8000, 0x8000)
            task t1 p0 cpu=1
              read(0x11000)
              write(0x11000)

            """

        @Test func whatCannotBeRepeatedIsNotReported() throws {
            let campaign = try campaign("page_mlock.posted", forgetful, schedules: 16, traces: 2)
            let words = try #require(campaign.irreproducible)
            #expect(words.hasPrefix("the same schedule led the patched side to two executions"))
            #expect(!campaign.findings.contains { $0.level == "cost" })
            #expect(
                try self.campaign("page_mlock.posted", laterPosted, schedules: 16, traces: 2).irreproducible == nil)
        }

        @Test func aSettledDifferenceSaysWhatWasDoneForIt() throws {
            let posted = try #require(munlockSplit.variant("page_mlock.posted"))
            let campaign = try campaign("try_to_munlock", posted, schedules: 64, traces: 20)
            let finding = try #require(campaign.findings.first { $0.level == "invariants" && $0.direction == .new })
            #expect(finding.verdict == .divergent && finding.preemptions == 1)
            #expect(finding.effort.hasPrefix("shown with 1 preemption; the base has it in none of all "))
            #expect(finding.story.count == 3 && finding.story[0].contains("is stopped in"))
            let trace = try Trace(parsing: finding.trace, file: "test", eras: [vocabulary])
            #expect(trace.tasks.count == 2 && trace.operations <= 8)
        }

        // MARK: Order

        private func entry(_ level: String, _ names: [String] = ["a"]) throws -> Docket.Entry {
            let trace = try Trace(parsing: twoMunlock, file: "test", eras: [vocabulary])
            let essence = Outcome.Essence(end: 0, violations: 0, deadlock: 0, abi: 0, state: 0, attempts: 0)
            let seed = ScheduleSeed(seed: 1, trace: 0, schedule: 0)
            let candidate = Candidate(side: .base, essence: essence, seed: seed)
            let witness = Witness(
                side: .base, trace: trace, compiled: try CompiledTrace(trace, vocabulary), schedule: Schedule(),
                essence: essence, subject: Subject(level: level, direction: .lost, names: names),
                likeness: try #require(Likeness(candidate, other: essence)))
            return Docket.Entry(witness: witness, seed: seed, isScreened: true)
        }

        @Test func theGravestGoesFirst() throws {
            var docket = Docket()
            for level in ["state", "abi", "invariants", "attempts", "abi"] { docket.add(try entry(level)) }
            var order: [String] = []
            while let next = docket.next(compared: nil, { _ in false }) { order.append(next.witness.subject.level) }
            #expect(order == ["invariants", "attempts", "abi", "abi", "state"])
        }

        @Test func whatIsLeastGraveGetsItsShareOnly() throws {
            var docket = Docket()
            let state = try entry("state")
            docket.note(state.witness.subject, cost: 60_001, inVain: false)
            docket.add(state)
            #expect(docket.next(compared: 100_000, { _ in false }) == nil)
            docket.add(try entry("invariants"))
            #expect(docket.next(compared: 100_000, { _ in false })?.witness.subject.level == "invariants")
            #expect(docket.next(compared: 100_001, { _ in false })?.witness.subject.level == "state")
        }

        @Test func aSubjectThatLeadsToNothingIsGivenUp() throws {
            var docket = Docket()
            let state = try entry("state").witness.subject
            #expect(docket.admits(state))
            docket.note(state, cost: 10_000_000, inVain: false)
            #expect(docket.admits(state))
            docket.note(state, cost: 10_000_000, inVain: true)
            #expect(!docket.admits(state))
            #expect(docket.admits(try entry("state", ["b"]).witness.subject))
        }

        @Test func whatLooksKnownComesLast() throws {
            var docket = Docket()
            docket.add(try entry("state", ["a", "b"]))
            docket.add(try entry("state", ["c"]))
            let known = try entry("state", ["a"]).witness.subject
            #expect(docket.next(compared: nil) { $0.includes(known) }?.witness.subject.names == ["c"])
        }
    }
}
