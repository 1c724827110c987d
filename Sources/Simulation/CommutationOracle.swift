// SPDX-License-Identifier: GPL-2.0-only
// Whether two steps that are called independent are: from the state before both, they are run in both orders, and must
// leave the same machine.  A check for tests; it finds accesses that the recording misses, and bookkeeping that isn't.

import CKernel
import CRecording

/// Tries both orders of each two neighbouring steps that a reduction calls independent.
public final class CommutationOracle {
    /// How many pairs of steps it has tried.
    public private(set) var tried = 0
    /// The places of the first two steps that did not commute.
    public private(set) var failure: String?

    private var aside: Snapshots?

    public init() {}

    /// The last step of `search` has just been taken.
    func check(_ search: PartialOrderReduction) {
        let (later, earlier) = (search.nodes.count - 1, search.nodes.count - 2)
        guard failure == nil, earlier >= 0, let first = search.nodes[earlier].footprint,
            let second = search.nodes[later].footprint, let snapshot = search.nodes[earlier].snapshot,
            first.task != second.task, !first.conflicts(with: second),
            search.nodes[earlier].enabled & 1 << UInt32(second.task) != 0,
            // Where a task goes on on another CPU is not decided anew.
            !search.nodes[earlier].choseCPU, !search.nodes[later].choseCPU
        else { return }
        tried += 1
        let aside = self.aside ?? Snapshots(of: search.arena)
        self.aside = aside
        aside.removeAll()
        let after = aside.save()
        let size = search.arena.used
        let places = [first.task, second.task].map { yieldPointName(Int(kernel.task($0).yield_point)) }
        search.snapshots.restore(snapshot, keepingLater: true)
        resume(second.task)
        if kernel.run_end == UInt8(RUN_GOES_ON.rawValue) { resume(first.task) }
        let difference = recording_first_difference(aside.arena(at: after), size)
        if difference != size {
            failure =
                "t\(first.task) up to \(places[0]), t\(second.task) up to \(places[1]): byte \(difference) of the arena"
        }
        aside.restore(after)
    }
}
