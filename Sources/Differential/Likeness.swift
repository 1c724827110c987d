// SPDX-License-Identifier: GPL-2.0-only
// What is looked for: one outcome, or all outcomes of a kind.

import CKernel
import Simulation

/// Tells whether two outcomes are alike for the question at hand: for a broken invariant only that it is
/// broken counts, for the ending of an attempt only that it was one, otherwise everything does.
struct Likeness {
    /// The invariants that only one side broke; 0 for a difference in results or state.
    let violations: UInt32
    let end: UInt8?
    /// The endings of attempts that only one side had; 0 if it is not about them.
    let attempts: UInt64

    /// What a candidate is about.
    ///
    /// - Parameter other: the outcome of the other side under the same schedule.
    /// - Returns: nil if it is about what both sides do.
    init?(_ candidate: Candidate, other: Outcome.Essence) {
        attempts = candidate.attempts
        guard attempts == 0 else {
            (violations, end) = (0, nil)
            return
        }
        let broken = candidate.essence.violations & ~other.violations
        violations = broken & ~candidate.excused
        if violations == 0 && broken != 0 { return nil }
        end = candidate.essence.end != other.end && violations == 0 ? candidate.essence.end : nil
    }

    /// Whether a kind of outcome is looked for, not one outcome.
    var isByKind: Bool { violations != 0 || end != nil || attempts != 0 }

    /// Whether an outcome could be what is looked for, on whatever trace.
    func interests(_ essence: Outcome.Essence) -> Bool {
        if violations != 0 { return essence.violations & violations == violations }
        if let end { return essence.end == end }
        return attempts == 0 || essence.attempts & attempts != 0
    }
}
