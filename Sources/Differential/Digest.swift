// SPDX-License-Identifier: GPL-2.0-only
// Many outcomes in one number.  Two builds of mmdiff, or two machines it runs on, must agree on it.

import CKernel
import KernelModel
import Simulation
import Traces
import VariantKit

/// The outcomes of a variant on generated traces, as one number.
///
/// - Parameters:
///   - traces: how many traces; those whose set-up does not run count as that.
///   - schedules: how many schedules of each.
public func digest(
    of variant: Variant, weights: [String: Int], traces: Int, schedules: Int, seed: UInt64, arena: Arena
) throws -> UInt64 {
    guard let era = Era.named(variant.era) else { throw UnknownEra(name: variant.era) }
    let vocabulary = Vocabulary(era)
    let source = TraceSource.generator(Generator(vocabulary, weights: weights))
    let machine = Machine(arena: arena, operations: operationsTable(era, variant))
    var digest = Digest()
    for number in 0..<traces {
        let compiled = try CompiledTrace(source.trace(seed, number), vocabulary)
        let end = machine.load(compiled)
        digest.add(UInt64(end.rawValue))
        guard end == RUN_COMPLETE else { continue }
        for schedule in 0..<schedules {
            ScheduleSeed(seed: seed, trace: number, schedule: schedule).strategy().install()
            digest.add(machine.run())
        }
    }
    return digest.value
}

private struct Digest {
    private(set) var value: UInt64 = 0

    mutating func add(_ word: UInt64) {
        value = mix(value ^ word)
    }

    mutating func add(_ outcome: Outcome) {
        add(UInt64(outcome.end) << 32 | UInt64(outcome.violations))
        add(outcome.abi)
        add(outcome.state)
        add(outcome.events)
        add(outcome.cost)
    }
}
