// SPDX-License-Identifier: GPL-2.0-only
// Cutting a trace down: steps and tasks are left out one by one as long as the difference stays.

import Simulation
import Traces

/// Leaves out what a difference does not need.
///
/// - Parameters:
///   - attempts: how many smaller traces to try at most.
///   - stays: whether a trace still shows the difference.
func reduce(_ trace: Trace, attempts limit: Int, while stays: (Trace) -> Bool) -> Trace {
    var best = trace
    var attempts = 0
    var progress = true
    while progress && attempts < limit {
        progress = false
        for smaller in smallerTraces(best) {
            attempts += 1
            if stays(smaller) {
                best = smaller
                progress = true
                break
            }
            if attempts >= limit { break }
        }
    }
    return best
}

/// The traces with one thing less: whole tasks first, then single steps from the last to the first, so
/// that no step loses the result it uses before it is gone itself.
private func smallerTraces(_ trace: Trace) -> [Trace] {
    var result: [Trace] = []
    if trace.tasks.count > 1 {
        for number in trace.tasks.indices.reversed() {
            var smaller = trace
            smaller.tasks.remove(at: number)
            smaller.schedule = nil
            result.append(smaller)
        }
    }
    for number in trace.tasks.indices.reversed() where trace.tasks[number].steps.count > 1 {
        for step in trace.tasks[number].steps.indices.reversed() {
            var smaller = trace
            smaller.tasks[number].steps.remove(at: step)
            smaller.schedule = nil
            result.append(smaller)
        }
    }
    for step in trace.setup.steps.indices.reversed() {
        var smaller = trace
        smaller.setup.steps.remove(at: step)
        smaller.schedule = nil
        result.append(smaller)
    }
    return result
}
