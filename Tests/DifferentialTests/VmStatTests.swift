// SPDX-License-Identifier: GPL-2.0-only
import CKernel
import KernelModel
import MunlockSplit
import Simulation
import Testing
import Traces
import VariantKit

@testable import Differential

/// Where the traces of these tests come from.
private let generated = traces

extension DifferentialTests {
    /// What /proc/vmstat counts is seen by programs, so a patch that counts something else is told from one that does not.
    @Suite struct VmStatTests {
        /// page_mlock.fixed without the count of what it munlocks.
        private var silent: Variant {
            var variant = munlockSplit.variant("page_mlock.fixed")!
            variant.install = { [install = variant.install] table in
                install(table)
                table.__munlock_isolated_page = { page in
                    if page_mapcount(page) > 1 { ops.page_mlock(page) }
                    ops.putback_lru_page(page)
                }
            }
            return variant
        }

        private func findings(_ claims: [Claim]) throws -> [Finding] {
            var configuration = CampaignConfiguration()
            configuration.traces = 300
            let pair = try PairOfMachines(
                base: munlockSplit.variant("page_mlock.fixed")!, patched: silent, arenas: arenas)
            let campaign = Campaign(pair, generated, vocabulary, claims: claims, configuration: configuration)
            campaign.run()
            return campaign.findings.filter { $0.direction != .both }
        }

        @Test func aLostCountIsADifference() throws {
            let findings = try findings([])
            #expect(findings.map(\.key) == ["events lost unevictable_pgs_munlocked"])
            let finding = try #require(findings.first)
            #expect(finding.verdict == .divergent)
            #expect(finding.difference.count == 2)
            #expect(finding.difference.allSatisfy { $0.contains("unevictable_pgs_munlocked: ") })
        }

        @Test func aClaimCoversIt() throws {
            let claim = Claim(.events, "unevictable_pgs_munlocked", .lost, "nobody reads it")
            #expect(try findings([claim]).map(\.verdict) == [.expected])
        }

        @Test func eventsAreNoCosts() {
            #expect(eventNumbers(.cost).map(eventName) == ["lock", "pte_visit", "vma_visit", "access"])
            let events = eventNumbers(.events).map(eventName)
            #expect(events.contains("userfault") && events.contains("thp_split_pmd"))
            #expect(vmEventNames.count == Int(NR_VM_EVENT_ITEMS.rawValue))
        }
    }
}
