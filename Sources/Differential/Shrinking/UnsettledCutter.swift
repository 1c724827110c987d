// SPDX-License-Identifier: GPL-2.0-only
// Cuts down a trace whose two sides do or leave something else with the same results: what needs no settling needs no
// search of the other side either, so each cut is judged by one execution of each.

import Simulation
import Traces

final class UnsettledCutter: TraceCutter {
    private let pair: PairOfMachines
    private let vocabulary: Vocabulary
    private let differ: (Outcome, Outcome) -> Bool
    private let shows: (Picture) -> Bool
    private let ownSeed: ScheduleSeed
    private(set) var smallest: Trace
    /// The schedule that shows the difference.
    private(set) var seed: ScheduleSeed
    private var left = UnsettledCutter.tries

    /// Cuts to try: most are turned down by one execution of each side.
    private static let tries = 400

    /// - Parameters:
    ///   - differ: a quick look at the two outcomes of a schedule; most cuts are turned down by it.
    ///   - shows: whether the difference is there.
    init(
        _ pair: PairOfMachines, _ trace: Trace, _ vocabulary: Vocabulary, _ seed: ScheduleSeed,
        differ: @escaping (Outcome, Outcome) -> Bool, shows: @escaping (Picture) -> Bool
    ) {
        (self.pair, self.vocabulary, self.differ, self.shows) = (pair, vocabulary, differ, shows)
        (smallest, self.seed, ownSeed) = (trace, seed, seed)
    }

    var hasBudget: Bool { left > 0 && !pair.isOutOfTime }

    /// Cuts as far as possible.
    ///
    /// - Returns: what the smallest trace, which is loaded then, shows; nil if it shows nothing where both memories are
    ///   laid out alike.
    func cut() -> Picture? {
        if ownSeed.schedule != 0 { withoutPreemption() }
        cutProgram()
        cutDetails()
        guard pair.load(smallest, vocabulary) else { return nil }
        let picture = Picture(pair, seed)
        return shows(picture) ? picture : nil
    }

    /// Under the schedule without preemption it is easier to understand.
    private func withoutPreemption() {
        seed.schedule = 0
        if !tries(smallest) { seed = ownSeed }
    }

    func tries(_ smaller: Trace) -> Bool {
        guard hasBudget else { return false }
        left -= 1
        guard pair.load(smaller, vocabulary) else { return false }
        let outcomes = (run(.base), run(.patched))
        guard differ(outcomes.0, outcomes.1), shows(Picture(pair, seed)), smaller.isWritable else { return false }
        smallest = smaller
        return true
    }

    private func run(_ side: Side) -> Outcome {
        seed.strategy().install()
        return pair[side].run()
    }
}
