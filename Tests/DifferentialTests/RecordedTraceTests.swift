// SPDX-License-Identifier: GPL-2.0-only
import CKernel
import Foundation
import KernelModel
import MlockDrain
import MunlockSplit
import RetractPageTables
import Simulation
import Testing
import Traces
import VariantKit

@testable import Differential

extension DifferentialTests {
    /// What real programs did runs on each family.
    @Suite struct RecordedTraceTests {
        static let names = ["memlockd", "redis", "zgc", "qemu"]
        static let families = [munlockSplit, mlockDrain, retractPageTables]

        @Test(arguments: names, families.map(\.name)) func runs(_ name: String, _ familyName: String) throws {
            let family = try #require(Self.families.first { $0.name == familyName })
            let named = try #require(family.pairs.first)
            let base = try #require(family.variant(named.base))
            let vocabulary = Vocabulary(try #require(Era.named(base.era)))
            let trace = try recorded(name, in: vocabulary)
            let pair = try PairOfMachines(
                base: base, patched: #require(family.variant(named.patched)), arenas: arenas)
            var configuration = CampaignConfiguration()
            (configuration.traces, configuration.schedules) = (1, 8)
            let campaign = Campaign(
                pair, .given(trace), vocabulary, claims: family.claims(base: named.base, patched: named.patched),
                configuration: configuration)
            campaign.run()
            #expect(campaign.progress.traces == 1 && campaign.progress.skipped == 0)
            #expect(campaign.progress.schedules > 0)
            for finding in campaign.findings where finding.verdict == .crash {
                Issue.record("\(finding.key): \(finding.difference)")
            }
        }

        /// A trace of what an era does not have is refused, with the place.
        @Test func whatAnEraLacksIsNamed() throws {
            let error = #expect(throws: TraceError.self) { try recorded("qemu-postcopy", in: Vocabulary(Era.v5_13)) }
            #expect(error?.problem.hasPrefix("unknown operation 'uffd_") ?? false)
            #expect(error?.problem.hasSuffix("in a trace of v5.18-rc1 that is to run in v5.13") ?? false)
            try runs("qemu-postcopy", "mlock-drain")
            try runs("qemu-postcopy", "retract-page-tables")
        }

        /// Most of what succeeded there succeeds here: the trace is about memory that is there.
        @Test(arguments: names) func mostStepsSucceed(_ name: String) throws {
            let vocabulary = Vocabulary(Era.v5_13)
            let trace = try recorded(name, in: vocabulary)
            let pair = try pair("try_to_munlock", "try_to_munlock")
            #expect(pair.load(try CompiledTrace(trace, vocabulary)))
            ScheduleSeed(seed: 1, trace: 0, schedule: 0).strategy().install()
            _ = pair.base.run()
            var results: [Int] = []
            for (number, task) in trace.tasks.enumerated() {
                for op in task.steps.indices { results.append(kernel.task(number).result(op).pointee) }
            }
            let failed = results.count { $0 < 0 }
            #expect(failed * 4 < results.count, "\(failed) of \(results.count) failed")
        }

        private func recorded(_ name: String, in era: Vocabulary) throws -> Trace {
            let path = URL(filePath: #filePath).deletingLastPathComponent()
                .appending(path: "../../Fixtures/recorded/\(name).trace")
            let text = try String(contentsOf: path, encoding: .utf8)
            return try Trace(parsing: text, file: "\(name).trace", eras: Vocabulary.all, as: era)
        }
    }
}
