// SPDX-License-Identifier: GPL-2.0-only
// Whether two steps that are called independent are: from the state before both, they are run in both orders, and must do
// the same and leave the same machine.  A check for tests; it finds accesses that the recording misses, and bookkeeping
// that isn't.

import CKernel
import CRecording

/// Tries both orders of each two neighbouring steps that a reduction calls independent.
public final class CommutationOracle {
    /// Neighbouring steps of two tasks, either of which could have come first.
    public private(set) var neighbours = 0
    /// Those of them that were tried in both orders.
    public private(set) var tried = 0
    /// The places of the first two steps that did not commute.
    public private(set) var failure: String?

    private var aside: Snapshots?

    public init() {}

    /// The last step of `search` has just been taken.
    func check(_ search: PartialOrderReduction) {
        guard failure == nil, search.nodes.count > 1 else { return }
        let (before, between) = (search.nodes[search.nodes.count - 2], search.nodes[search.nodes.count - 1])
        guard let first = before.footprint, let second = between.footprint, first.task != second.task,
            before.enabled & 1 << UInt32(second.task) != 0
        else { return }
        neighbours += 1
        // Where a task goes on on another CPU is not decided anew.
        guard let snapshot = before.snapshot, !before.choseCPU, !between.choseCPU, !first.conflicts(with: second)
        else { return }
        tried += 1
        let places = [first, second].map { step in
            "t\(step.task) up to \(yieldPointName(Int(kernel.task(step.task).yield_point)))"
        }
        let size = search.arena.used
        let aside = self.aside ?? Snapshots(of: search.arena)
        self.aside = aside
        aside.removeAll()
        let after = aside.save()
        search.snapshots.restore(snapshot, keepingLater: true)
        if let step = [second, first].first(where: { recordedStep(of: kernel.task($0.task)) != $0 }) {
            failure = "\(places.joined(separator: ", ")): the other way round t\(step.task) touches other memory"
        } else {
            let difference = recording_first_difference(aside.arena(at: after), size)
            if difference != size {
                failure = "\(places.joined(separator: ", ")): byte \(difference) of the arena depends on the order"
            }
        }
        aside.restore(after)
    }
}
