// SPDX-License-Identifier: GPL-2.0-only
// The schedules a comparison tries: a mix of strategies, each schedule a function of the run's seed, the
// trace's number and its own.

import Simulation

/// A place in the sequence of all schedules of a run.
public struct ScheduleSeed: Sendable, Codable, Equatable {
    public var seed: UInt64
    public var trace: Int
    public var schedule: Int
    /// Whether one schedule in four preempts in changed functions alone; nil: no.
    public var focused: Bool?

    public init(seed: UInt64, trace: Int, schedule: Int, focused: Bool? = nil) {
        self.seed = seed
        self.trace = trace
        self.schedule = schedule
        self.focused = focused
    }

    /// Yield points of a run, for PCT: most generated traces pass between 100 and 400.
    private static let assumedSteps = 200

    /// The strategy of this schedule.  The first runs every task to its end, the others go round a
    /// portfolio: few preemptions, many, and PCT of depth 2 and 3.
    public func strategy() -> Strategy {
        let steps = ScheduleSeed.assumedSteps
        let key = mix(seed ^ mix(UInt64(trace) << 24 ^ UInt64(schedule)))
        if schedule == 0 { return .random(seed: key, switchChance: 0) }
        if focused == true && schedule % 4 == 3 { return .focused(seed: key, changeChance: 0.15) }
        switch schedule % 8 {
        case 0: return .random(seed: key, switchChance: 0.5)
        case 1: return .pct(seed: key, depth: 2, steps: steps)
        case 2: return .random(seed: key, switchChance: 0.1)
        case 3: return .pct(seed: key, depth: 3, steps: steps)
        case 4: return .random(seed: key, switchChance: 0.03)
        case 5: return .pct(seed: key, depth: 3, steps: steps)
        case 6: return .random(seed: key, switchChance: 0.02)
        default: return .pct(seed: key, depth: 4, steps: steps)
        }
    }
}
