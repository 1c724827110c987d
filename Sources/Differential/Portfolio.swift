// SPDX-License-Identifier: GPL-2.0-only
// The schedules a comparison tries: a mix of strategies, or variations of one, each schedule a function of the run's
// seed, the trace's number and its own.

import Simulation

/// What schedules are drawn by.
public enum StrategyChoice: String, Codable, CaseIterable, Sendable {
    case random, pct, pos, delay
    /// PCT of all others' kinds, and in and around changed functions only.
    case focused
    /// Few preemptions, many, and PCT of several depths.
    case portfolio
}

/// A place in the sequence of all schedules of a run.
public struct ScheduleSeed: Sendable, Codable, Equatable {
    public var seed: UInt64
    public var trace: Int
    public var schedule: Int
    /// Whether one schedule in four preempts in changed functions alone; nil: no.
    public var focused: Bool?
    /// nil: the portfolio.
    public var choice: StrategyChoice?
    /// Yield points that a run of the trace passes; nil: not known.
    public var steps: Int?

    public init(
        seed: UInt64, trace: Int, schedule: Int, focused: Bool? = nil, choice: StrategyChoice? = nil, steps: Int? = nil
    ) {
        self.seed = seed
        self.trace = trace
        self.schedule = schedule
        self.focused = focused
        self.choice = choice == .portfolio ? nil : choice
        self.steps = steps
    }

    /// Yield points of a run, for PCT: most generated traces pass between 100 and 400.
    private static let assumedSteps = 200
    /// The most delays of a schedule: two are what most defects need, three what the others do.
    public static let delayBounds = [2, 3]
    /// How often random schedules preempt.
    private static let chances = [0.5, 0.1, 0.03, 0.02]
    private static let depths = [2, 3, 3, 4]

    /// The strategy of this schedule.  The first runs every task to its end, the others go round.
    public func strategy() -> Strategy {
        let steps = steps ?? ScheduleSeed.assumedSteps
        let key = mix(seed ^ mix(UInt64(trace) << 24 ^ UInt64(schedule)))
        if schedule == 0 { return .random(seed: key, switchChance: 0) }
        switch choice {
        case nil, .portfolio: return portfolio(key, steps)
        case .random: return .random(seed: key, switchChance: ScheduleSeed.chances[schedule % 4])
        case .pct: return .pct(seed: key, depth: ScheduleSeed.depths[schedule % 4], steps: steps)
        case .pos: return .pos(seed: key)
        case .delay: return .delay(seed: key, bound: ScheduleSeed.delayBounds[schedule % 2], steps: steps)
        case .focused: return Focus.current.strategy(key)
        }
    }

    private func portfolio(_ key: UInt64, _ steps: Int) -> Strategy {
        if focused == true && schedule % 4 == 3 { return Focus.current.strategy(key) }
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
