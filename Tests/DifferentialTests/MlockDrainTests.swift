// SPDX-License-Identifier: GPL-2.0-only
import CKernel
import KernelModel
import MlockDrain
import Simulation
import Testing
import Traces
import VariantKit

@testable import Differential

extension DifferentialTests {
    /// The family mlock-drain on traces by hand: what the patch repairs is seen, and nothing else.
    @Suite struct MlockDrainTests {
        private static let vocabulary = Vocabulary(Era.v5_18_rc1)

        /// Compaction of a page that is mlocked once, and that nobody else refers to.
        private static let compaction = """
            mmdiff trace 1
            era v5.18-rc1
            machine cpus=2 nodes=1 pages=24 ptes=8 pmds=4 swap=4 pagevec=15
            setup
              p0 mmap(0x10000, 0x1000, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS, -, 0)
              p0 write(0x10000)
              p0 mlock(0x10000, 0x1000)
              kernel lru_add_drain_all()
            task t0 kernel cpu=0
              compact(0)
            """

        /// A pin for long moves the page first.
        private static let longtermPin = """
            mmdiff trace 1
            era v5.18-rc1
            machine cpus=2 nodes=2 pages=24 ptes=8 pmds=4 swap=4 pagevec=15 movable=0
            setup
              p0 mmap(0x10000, 0x1000, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS, -, 0)
              p0 write(0x10000)
              p0 mlock(0x10000, 0x1000)
              kernel lru_add_drain_all()
            task t0 p0 cpu=0
              pin(0x10000, FOLL_WRITE|FOLL_LONGTERM)
            """

        private func pair(_ base: String, _ patched: String) throws -> PairOfMachines {
            try PairOfMachines(
                base: #require(mlockDrain.variant(base)), patched: #require(mlockDrain.variant(patched)),
                arenas: arenas)
        }

        private func compiled(_ text: String) throws -> CompiledTrace {
            try CompiledTrace(
                Trace(parsing: text, file: "test", eras: [MlockDrainTests.vocabulary]), MlockDrainTests.vocabulary)
        }

        /// The results of the attempts to migrate, without preemption: how often each.
        private func attempts(_ variant: String, _ text: String) throws -> [Int: Int] {
            let machine = try pair(variant, variant).base
            #expect(machine.load(try compiled(text)) == RUN_COMPLETE)
            ScheduleSeed(seed: 1, trace: 0, schedule: 0).strategy().install()
            let log = StepLog()
            _ = log.record { RunDetail(running: machine) }
            var results: [Int: Int] = [:]
            for (key, count) in EventTally(ofLog: ())[Int(EVENT_migrate.rawValue)] {
                results[key.error, default: 0] += count
            }
            return results
        }

        @Test(arguments: [compaction, longtermPin])
        func attemptsFailWithoutTheDrain(_ trace: String) throws {
            #expect(try attempts("undrained", trace)[-Int(EAGAIN), default: 0] > 0)
            for variant in ["drained", "drained.walk"] {
                let results = try attempts(variant, trace)
                #expect(results[0, default: 0] > 0 && results[-Int(EAGAIN)] == nil)
            }
        }

        /// Whether some schedule of a search fails the pin.
        private func pinFails(_ variant: String) throws -> Bool {
            let machine = try pair(variant, variant).base
            #expect(machine.load(try compiled(MlockDrainTests.longtermPin)) == RUN_COMPLETE)
            machine.useTrace()
            var fails = false
            _ = DepthFirstSearch(machine.arena).run(preemptionBound: 2, schedules: 20_000) { end in
                #expect(end == RUN_COMPLETE && kernel.violations == 0)
                fails = fails || kernel.task(0).result(0).pointee == -Int(ENOMEM)
                return !fails
            }
            return fails
        }

        @Test func whoMovesBeforeTheDrainOfTheWalkLeavesAReferenceBehind() throws {
            #expect(try pinFails("drained.walk"))
            #expect(try !pinFails("drained"))
        }

        private func campaign(_ base: String, _ patched: String, _ text: String) throws -> Campaign {
            let trace = try Trace(parsing: text, file: "test", eras: [MlockDrainTests.vocabulary])
            var configuration = CampaignConfiguration()
            configuration.traces = 4
            let campaign = Campaign(
                try pair(base, patched), .given(trace), MlockDrainTests.vocabulary,
                claims: mlockDrain.claims(base: base, patched: patched), configuration: configuration)
            campaign.run()
            #expect(campaign.progress.skipped == 0 && campaign.progress.reached > 0)
            return campaign
        }

        /// Attempts that fail are an outcome that the patch loses, in the eyes of whoever retries, too.
        @Test(arguments: [("undrained", compaction), ("undrained", longtermPin), ("drained.walk", longtermPin)])
        func failingAttemptsAreLost(_ base: String, _ trace: String) throws {
            let finding = try #require(
                campaign(base, "drained", trace).findings.first { finding in
                    finding.direction == .lost && finding.level == "attempts" && finding.subject == ["migrate: EAGAIN"]
                })
            #expect(finding.verdict == .divergent)
        }

        @Test(arguments: ["undrained", "drained.walk", "drained"])
        func aVariantIsLikeItself(_ variant: String) throws {
            for trace in [MlockDrainTests.compaction, MlockDrainTests.longtermPin] {
                #expect(try campaign(variant, variant, trace).findings.isEmpty)
            }
        }
    }
}
