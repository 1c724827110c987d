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
    /// Campaigns find what is there and nothing else.
    @Suite struct CampaignTests {
        @Test func aVariantEqualsItself() throws {
            let campaign = try campaign("try_to_munlock", "try_to_munlock", traces: 300)
            expectSilence(campaign)
        }

        @Test func swiftEqualsC() throws {
            let campaign = try campaign(
                "page_mlock.posted", "page_mlock.posted.c", traces: 300)
            expectSilence(campaign)
        }

        /// The merged walker's early return leaves a page table lock held: mm/rmap.c, page_mlock_one(), repaired
        /// by 023e1a8dd502.
        @Test func theLockThatStaysHeldIsFound() throws {
            let names: Set = ["held-at-return", "sleeping-in-atomic", "self-deadlock"]
            // The other task, or the same one, comes for the lock in the end.
            let isWanted = { (finding: Finding) in finding.isNewlyBroken(names) && finding.verdict == .deadlock }
            let campaign = try campaign("page_mlock.posted", "page_mlock.merged", traces: 6000, until: isWanted)
            let finding = try #require(campaign.findings.first(where: isWanted))
            // Who waits does so for the lock itself, or for the CPU of the one that has left it held.
            let words = [" waits for ptl, held by t", ", which holds ptl"]
            #expect(
                finding.difference.contains { line in words.contains { line.contains($0) } }, "\(finding.difference)")
            #expect(finding.broken.contains { names.contains($0.name) })
        }

        private func expectSilence(_ campaign: Campaign) {
            // What both sides break is no difference.
            for finding in campaign.findings where finding.direction != .both {
                Issue.record("\(finding.key): \(finding.difference)\n\(finding.trace)")
            }
            let progress = campaign.progress
            #expect(progress.traces > progress.skipped * 4)
            // Traces that do not get to what the pair changes are not tried often.
            #expect(progress.schedules > progress.traces)
            #expect(progress.reached > 0)
        }

        /// 64 schedules of a trace are 64 different ones, but for traces with few to choose from.
        @Test func schedulesAreDistinct() throws {
            let pair = try pair("try_to_munlock", "try_to_munlock")
            scheduler.recording = 1
            defer { scheduler.recording = 0 }
            var (runs, distinct) = (0, 0)
            for number in 0..<50 {
                guard pair.load(try CompiledTrace(traces.trace(1, number), vocabulary)) else { continue }
                var seen: Set<[UInt64]> = []
                for schedule in 0..<64 {
                    ScheduleSeed(seed: 1, trace: number, schedule: schedule).strategy().install()
                    _ = pair.base.run()
                    seen.insert(decisions())
                }
                runs += 64
                distinct += seen.count
            }
            #expect(distinct * 2 > runs, "\(distinct) of \(runs) schedules differ")
        }

        private func decisions() -> [UInt64] {
            (0..<Int(scheduler.nr_decisions)).map {
                let decision = scheduler.decision($0).pointee
                return UInt64(decision.task) << 56 | UInt64(decision.next) << 48 | UInt64(decision.op) << 32
                    | UInt64(decision.yield_point) << 16 | UInt64(decision.occurrence)
            }
        }
    }
}

extension Finding {
    /// Whether only the patched side breaks one of these invariants.
    fileprivate func isNewlyBroken(_ names: Set<String>) -> Bool {
        level == "invariants" && direction == .new && !names.isDisjoint(with: subject)
    }
}
