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
    /// A run finds out when it is not to be believed, and only then.
    @Suite struct SelfDoubtTests {
        private func doubter(_ variant: Variant, traces: Int) -> Doubter {
            var configuration = CampaignConfiguration()
            configuration.traces = traces
            return Doubter(
                base: variant, patched: variant, generated, vocabulary, configuration: configuration, arenas: arenas)
        }

        private var fixed: Variant { munlockSplit.variant("page_mlock.fixed")! }

        /// What depends on an address is not equal to itself.
        @Test func aVariantThatLooksAtAddressesIsNoticed() throws {
            var variant = fixed
            variant.install = { [fixed] table in
                fixed.install(table)
                // The two arenas of a process lie 256 MiB apart.
                table.page_mlock_one = { page, _, _, _ in
                    if UInt(bitPattern: address(page)) & 0x1000_0000 == 0 { return true }
                    ops.mlock_vma_page(page)
                    return false
                }
            }
            let doubter = doubter(variant, traces: 1500)
            #expect(try doubter.identity(of: variant).difference?.hasPrefix("trace ") == true)
            let identity = try doubter.identity(of: fixed)
            #expect(identity.difference == nil && identity.schedules > 100)
        }

        /// page_mlock.fixed with a walker that locks some pages only.
        private func looking(_ locks: @escaping @convention(c) (vm_area_struct) -> Bool) -> Variant {
            var variant = fixed
            SelfDoubtTests.locks = locks
            variant.install = { [fixed] table in
                fixed.install(table)
                table.page_mlock_one = { page, vma, _, _ in
                    if !SelfDoubtTests.locks(vma) { return true }
                    ops.mlock_vma_page(page)
                    return false
                }
            }
            return variant
        }
        nonisolated(unsafe) private static var locks: @convention(c) (vm_area_struct) -> Bool = { _ in true }

        private func differs(_ variant: Variant) throws -> Bool {
            try doubter(variant, traces: 1500).identity(of: variant).difference != nil
        }

        /// So is what depends on which objects were allocated first.
        @Test func aVariantThatLooksAtTheOrderOfObjectsIsNoticed() throws {
            #expect(try !differs(looking { _ in true }))
            #expect(
                try differs(
                    looking { vma in
                        let cache = kernel.cache(Int(CACHE_vm_area_struct.rawValue)).pointee
                        let offset = address(vma) - UnsafeMutableRawPointer(cache.base)
                        return offset / Int(cache.size) % 2 == 0
                    }))
        }

        /// So is what depends on memory that nobody has written.
        @Test func aVariantThatReadsWhatWasNeverWrittenIsNoticed() throws {
            #expect(
                try differs(
                    looking { _ in
                        let cache = kernel.cache(Int(CACHE_anon_vma_chain.rawValue)).pointee
                        var bytes = 0
                        for index in 0..<Int(cache.count) where cache.live & 1 << UInt64(index) == 0 {
                            let object = UnsafeMutableRawPointer(cache.base) + index * Int(cache.size)
                            bytes |= Int(object.load(as: UInt8.self)) & 0x80
                        }
                        return bytes == 0
                    }))
        }

        @Test func functionsThatTakeNoLockHaveNoCanary() throws {
            var variant = fixed
            variant.changedFunctions = ["page_evictable"]
            var doubt = SelfDoubt()
            try doubter(variant, traces: 3).run { doubt = $0 }
            #expect(doubt.failures == [])
            let canary = try #require(doubt.canary)
            #expect(canary.lock == nil && canary.heard == nil && canary.traces == 200)
        }

        /// The schedule of a finding gives the same again, and where it does not, that is noticed.
        @Test func findingsAreRepeated() throws {
            let isBroken = { (finding: Finding) in finding.direction == .new && finding.level == "invariants" }
            let campaign = try campaign("page_mlock.posted", "page_mlock.merged", traces: 6000, until: isBroken)
            campaign.repeatFindings()
            #expect(campaign.findings.count > 1)
            #expect(campaign.findings.allSatisfy { $0.isRepeatable == true })
            #expect(campaign.findings.allSatisfy { $0.detection!.schedules > 0 })
            let number = try #require(campaign.findings.firstIndex(where: isBroken))
            let trace = campaign.findings[number].trace
            // Another schedule, the one without preemption.
            campaign.findings[number].trace = String(trace[..<(try #require(trace.range(of: "schedule\n")).lowerBound)])
            campaign.findings[number].seed.schedule = 0
            campaign.repeatFindings()
            #expect(campaign.findings.filter { $0.isRepeatable == false }.map(\.key) == [campaign.findings[number].key])
        }
    }
}
