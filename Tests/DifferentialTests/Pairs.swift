// SPDX-License-Identifier: GPL-2.0-only
import KernelModel
import MunlockSplit
import Simulation
import Testing
import Traces
import VariantKit

@testable import Differential

/// Tests of comparisons.  They share two machines, so they run one after the other.
@Suite(.serialized) enum DifferentialTests {}

/// Slots can be mapped once a process.
nonisolated(unsafe) let arenas = (Arena(slot: 0)!, Arena(slot: 1)!)

/// Two variants of munlock-split, laid out in memory in different ways.
func pair(_ base: String, _ patched: String) throws -> PairOfMachines {
    try PairOfMachines(
        base: #require(munlockSplit.variant(base)), patched: #require(munlockSplit.variant(patched)), arenas: arenas)
}

let vocabulary = Vocabulary(Era.v5_13)
let traces = TraceSource.generator(Generator(vocabulary, weights: munlockSplit.weights))

/// A campaign on generated traces, run to its end or to the first finding that `isWanted`.
func campaign(
    _ base: String, _ patched: String, traces count: Int, schedules: Int = 64,
    until isWanted: @escaping (Finding) -> Bool = { _ in false }
) throws -> Campaign {
    var configuration = CampaignConfiguration()
    configuration.traces = count
    configuration.schedules = schedules
    let campaign = Campaign(
        try pair(base, patched), traces, vocabulary, claims: munlockSplit.claims(base: base, patched: patched),
        configuration: configuration)
    var found = false
    campaign.observer = { _, finding in
        found = found || finding.map(isWanted) ?? false
        return !found
    }
    campaign.run()
    return campaign
}
