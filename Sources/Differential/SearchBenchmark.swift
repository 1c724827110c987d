// SPDX-License-Identifier: GPL-2.0-only
// How fast the searches are, and how much they leave out.

import CKernel
import Simulation
import Traces
import VariantKit

/// One search that was timed.
public struct SearchFigures: Codable, Sendable {
    public var subject: String
    public var mode: SearchMode
    /// Whether the build records accesses, and pays for it.
    public var instrumented: Bool
    public var schedules: Int
    public var redundant: Int?
    public var states: Int?
    public var outcomes: Int
    public var complete: Bool
    public var seconds: Double

    init(_ subject: String, _ search: Exploration.Search, outcomes: Int, seconds: Double) {
        self.subject = subject
        mode = search.mode
        instrumented = recordsAccesses
        (schedules, redundant, states) = (search.schedules, search.redundant, search.states)
        self.outcomes = outcomes
        complete = search.complete
        self.seconds = seconds
    }
}

/// What this build can do, of all modes but the bounded one.
private var modes: [SearchMode] { recordsAccesses ? [.depthFirst, .reduced, .stateful] : [.depthFirst] }

/// Times the searches of `trace` on `variant`.
///
/// - Parameter limit: schedules, or states, after which a search is ended.
public func timeSearches(
    of trace: Trace, named name: String, on variant: Variant, vocabulary: Vocabulary, limit: Int,
    progress: () -> Void
) throws -> [SearchFigures] {
    let machine = try Machine(variant, slot: 0)
    guard machine.load(try CompiledTrace(trace, vocabulary)) == RUN_COMPLETE else { return [] }
    return modes.map { mode in
        var outcomes: Set<Outcome.Essence> = []
        var result = Exploration.Search(mode: mode)
        let time = ContinuousClock().measure {
            result = search(machine, SearchPlan(mode, limit: limit)) {
                outcomes.insert($0.essence)
                progress()
            }
        }
        return SearchFigures(name, result, outcomes: outcomes.count, seconds: seconds(time))
    }
}

/// Times the searches of the lock model.
public func timeSearches(ofLockModelWith steps: Int) throws -> [SearchFigures] {
    guard let model = LockModel(steps: steps) else { throw NoAddressSpace() }
    return modes.map { mode in
        var result = Exploration.Search(mode: mode)
        let time = ContinuousClock().measure {
            result = search(model.arena, SearchPlan(mode, limit: Int.max)) { _ in true }
        }
        return SearchFigures(
            "lock model, \(steps) steps", result, outcomes: 1, seconds: seconds(time))
    }
}
