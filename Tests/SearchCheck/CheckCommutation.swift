// SPDX-License-Identifier: GPL-2.0-only
// Generated traces: steps that the reduction calls independent, in both orders.

import Differential
import Simulation

/// Tries both orders of independent steps on `count` traces; false if there are two that do not commute.
func checkCommutation(_ count: Int, seed: UInt64) throws -> Bool {
    var (traces, executions, cutOff) = (0, 0, 0)
    var (neighbours, pairs) = (0, 0)
    var number: UInt64 = 0
    while traces < count {
        let drawn = try DrawnTrace(number, .large, seed: seed)
        number += 1
        guard let drawn else { continue }
        traces += 1
        let oracle = CommutationOracle()
        let reduction = PartialOrderReduction(drawn.machine.arena)
        reduction.commutation = oracle
        drawn.machine.useTrace()
        let result = reduction.run(schedules: executionsOfCommutation) { _ in oracle.failure == nil }
        if let failure = oracle.failure {
            print("not independent: \(failure)\n\(drawn.text)")
            return false
        }
        executions += result.schedules + result.redundant
        if !result.complete { cutOff += 1 }
        neighbours += oracle.neighbours
        pairs += oracle.tried
    }
    print("\(traces) traces, \(executions) executions; \(cutOff) traces have more than \(executionsOfCommutation)")
    print("\(pairs) of \(neighbours) pairs of neighbouring steps are called independent: both orders do the same")
    return true
}

/// Executions of each trace at most: what a step does, it does in most of them.
private let executionsOfCommutation = 100
