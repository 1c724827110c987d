// SPDX-License-Identifier: GPL-2.0-only
import CKernel
import KernelModel
import MunlockSplit
import Simulation
import Testing
import Traces
import VariantKit

@testable import Differential

extension DifferentialTests {
    /// Birds that must sing: walkers that mlock a page by what they saw when they did not hold the page table lock.
    /// Another process munlocks meanwhile, sees that the page is not mlocked now, and the page stays mlocked for ever.
    @Suite struct CanaryTests {
        /// page_mlock.fixed with one change that nobody told mmdiff about: it lets the page table lock go before it
        /// looks at VM_LOCKED and mlocks the page.
        private static let unlocked = Variant(
            name: "unlocked", era: "v5.13", summary: "mlocks without the page table lock",
            changedFunctions: ["page_mlock_one"]
        ) { table in
            munlockSplit.variant("page_mlock.fixed")!.install(table)
            table.page_mlock_one = { page, vma, address, _ in
                var pvmw = page_vma_mapped_walk(
                    page: page, vma: vma, address: address, pmd: nil, pte: nil, ptl: nil, flags: 0)
                guard ops.page_vma_mapped_walk(&pvmw) else { return true }
                page_vma_mapped_walk_done(&pvmw)
                yield_point("vm_flags", "page_mlock_one")
                guard vma.vm_flags & VM_LOCKED != 0 else { return true }
                ops.mlock_vma_page(page)
                return false
            }
        }

        /// Two processes munlock the page that they share.
        private static let bothMunlock = """
            mmdiff trace 1
            era v5.13
            machine cpus=2 nodes=1 pages=24 ptes=8 pmds=4 swap=4 pagevec=15
            file f0 shmem pages=2
            setup
              p0 mmap(0x8000, 0x1000, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_FIXED, f0, 0)
              p0 fork(p1)
              p0 mlock(0x8000, 0x1000)
              p1 mlock(0x8000, 0x1000)
              kernel lru_add_drain_all()
            task t0 p0 cpu=0
              munlock(0x8000, 0x1000)
            task t1 p1 cpu=1
              munlock(0x8000, 0x1000)
            """

        private func campaign(_ base: String, _ patched: Variant) throws -> Campaign {
            let pair = try PairOfMachines(
                base: #require(munlockSplit.variant(base)), patched: patched, arenas: arenas)
            let trace = try Trace(parsing: CanaryTests.bothMunlock, file: "test", eras: [vocabulary])
            var configuration = CampaignConfiguration()
            configuration.traces = 100
            let campaign = Campaign(pair, .given(trace), vocabulary, claims: [], configuration: configuration)
            campaign.observer = { _, finding in finding?.level != "invariants" }
            campaign.run()
            #expect(campaign.progress.skipped == 0)
            return campaign
        }

        private func expectPageThatStaysMlocked(_ campaign: Campaign) throws {
            let finding = try #require(campaign.findings.first { $0.level == "invariants" })
            #expect(finding.direction == .new && finding.verdict == .divergent)
            #expect(finding.subject.contains("mlocked-without-vma"))
        }

        @Test func aMissingLockIsFound() throws {
            try expectPageThatStaysMlocked(campaign("page_mlock.fixed", CanaryTests.unlocked))
        }

        @Test func whatThePostedPatchMissesIsFound() throws {
            let posted = try #require(munlockSplit.variant("page_mlock.posted"))
            try expectPageThatStaysMlocked(campaign("try_to_munlock", posted))
        }

        @Test func theRepairedPatchIsSilent() throws {
            let fixed = try #require(munlockSplit.variant("page_mlock.fixed"))
            let campaign = try campaign("try_to_munlock", fixed)
            #expect(campaign.findings.filter { $0.level != "cost" && $0.level != "events" }.isEmpty)
        }
    }
}
