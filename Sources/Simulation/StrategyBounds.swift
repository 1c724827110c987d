// SPDX-License-Identifier: GPL-2.0-only
// What strategies promise: how likely a schedule of PCT meets a defect, and how many schedules a bound of delays allows.

/// PCT with hashed change points: a lower bound of the probability that one schedule meets a given defect.
///
/// PCT draws `depth - 1` change points out of k; here each of the places that a run passes is one with a chance of its own,
/// so that a place is one or not by its name.  A defect is met if those places are that it needs, in the one order of
/// lowered priorities of (d-1)! that it needs, no other is, no task moves to another CPU where it may, and its task has the
/// right one of n priorities.  With q = (d-1)/k that is the published bound times about 0.37, 0.27, 0.22 for d = 2, 3, 4.
public func detectionBound(depth: Int, tasks: Int, steps: Int, moves: Int, chance: Double) -> Double {
    let points = max(depth - 1, 0)
    var probability = 1 / Double(max(tasks, 1))
    for point in 0..<points { probability *= chance / Double(point + 1) }
    return probability * power(1 - chance, max(steps - points, 0)) * power(1 - Strategy.moveChance, moves)
}

/// Ways to place at most `bound` delays in `steps` places.
public func delayedSchedules(steps: Int, bound: Int) -> Double {
    var (sum, ways) = (1.0, 1.0)
    for delay in 0..<min(bound, steps) {
        ways *= Double(steps - delay) / Double(delay + 1)
        sum += ways
    }
    return sum
}

/// The chance that one of `count` schedules is met by a probability that may be too small to be told from 0 beside 1.
public func chanceOfOne(_ probability: Double, _ count: Int) -> Double {
    let expected = probability * Double(count)
    return expected < 1e-4 ? expected : 1 - power(1 - probability, count)
}

/// By multiplication alone, so that it is the same on every machine.
public func power(_ base: Double, _ exponent: Int) -> Double {
    var (result, factor, rest) = (1.0, base, exponent)
    while rest > 0 {
        if rest & 1 != 0 { result *= factor }
        factor *= factor
        rest >>= 1
    }
    return result
}
