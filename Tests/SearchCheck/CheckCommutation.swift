// SPDX-License-Identifier: GPL-2.0-only
// Generated traces: steps that the reduction calls independent, in both orders.

import Differential
import Simulation

/// Tries both orders of independent steps on `count` traces; false if there are two that do not commute.
func checkCommutation(_ count: Int, seed: UInt64) throws -> Bool {
    var (traces, pairs) = (0, 0)
    for number in 0..<UInt64.max where traces < count {
        guard let drawn = try DrawnTrace(number, .large, seed: seed) else { continue }
        traces += 1
        let oracle = CommutationOracle()
        let reduction = PartialOrderReduction(drawn.machine.arena)
        reduction.commutation = oracle
        drawn.machine.useTrace()
        _ = reduction.run(schedules: schedulesOfCommutation) { _ in oracle.failure == nil }
        pairs += oracle.tried
        if let failure = oracle.failure {
            print("not independent: \(failure)\n\(drawn.text)")
            return false
        }
    }
    print("\(traces) traces, \(pairs) pairs of steps: each leaves the same machine in both orders")
    return true
}

/// Schedules of each trace: what a step does, it does in most of them.
private let schedulesOfCommutation = 100
