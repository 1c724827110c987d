// SPDX-License-Identifier: GPL-2.0-only
// What a step does, wherever it is taken.  A reduction asks whether two steps depend on each other before one of them is
// taken again somewhere else, where it may do other things: a lock that was held is free, and what it protects is
// touched.  The theory of partial orders wants a relation that does not change with the place: otherwise a step that is
// asleep for what it did in one place hides what it would do in another, and outcomes are lost.
//
// So a step is told by where it begins: the task, its op, and all that it has read since the op began, of which its local
// variables are a function.  It is taken to do all that it was ever seen to do from there.  What that is, is learned on
// the way.  If more was learned of a step after it had been used, and the more touches what other tasks touch, the search
// goes through the trace again with what it knows now, until it learns nothing.
//
// That is enough: think of a machine whose steps stop dead where they would touch what is not known of them.  Its
// relation is fixed, so the last search found all that this machine can do.  It met no such stop.  So there is none, and
// the machine is the real one.

import CKernel
import Dependence

/// The steps that a search has taken, and what they may do.
struct KnownSteps {
    /// By where they begin; for look-ups only.
    private var footprints: [UInt64: Footprint] = [:]
    /// By task, what was learned of its steps after they had been used.
    private var learned: [Footprint?] = Array(repeating: nil, count: Int(MAX_TASKS))

    mutating func removeAll() {
        footprints.removeAll(keepingCapacity: true)
        learned = learned.map { _ in nil }
    }

    /// What the step that begins at `place` may do, now that it has been seen to do this.
    mutating func add(_ footprint: Footprint, at place: UInt64) -> Footprint {
        guard var known = footprints[place] else {
            footprints[place] = footprint
            return footprint
        }
        guard let more = footprint.exceeding(known) else { return known }
        known.formUnion(more)
        footprints[place] = known
        if learned[more.task] == nil { learned[more.task] = more } else { learned[more.task]!.formUnion(more) }
        return known
    }

    /// Whether something was learned, since this was last asked, by which a step depends on one of another task.
    mutating func haveChanged() -> Bool {
        defer { learned = learned.map { _ in nil } }
        let news = learned.compactMap { $0 }
        return !news.isEmpty
            && footprints.values.contains { known in
                news.contains { $0.task != known.task && $0.conflicts(with: known) }
            }
    }
}
