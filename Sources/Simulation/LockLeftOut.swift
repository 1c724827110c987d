// SPDX-License-Identifier: GPL-2.0-only
// A lock that is not taken: the canary of a run is a variant with one acquisition left out, in the functions that
// the pair changes or in what they call.  Local locks do not count: they keep nobody out but by preemption.

import CKernel

/// Whether the acquisition at which the current task stands does nothing.  Its release stays, as when somebody
/// forgets a lock.
@inline(__always)
func lockIsLeftOut() -> Bool {
    scheduler.watching_locks != 0 && noteAcquisition()
}

@inline(never)
private func noteAcquisition() -> Bool {
    // In the set-up nobody passes a yield point.
    guard kernel.current.in_changed != 0, kernel.interleaving != 0 else { return false }
    let point = kernel.current.yield_point
    scheduler.times_acquired(Int(point)).pointee &+= 1
    return point + 1 == kernel.lock_left_out
}

/// Counts from now on where changed functions take locks.
public func watchLocks() {
    scheduler.watching_locks = 1
    for place in 0..<Int(scheduler.nr_yield_points) { scheduler.times_acquired(place).pointee = 0 }
}

/// Where changed functions took locks since `watchLocks()`, and how often.
public func acquisitions() -> [(place: Int, times: Int)] {
    (0..<Int(scheduler.nr_yield_points)).map { ($0, Int(scheduler.times_acquired($0).pointee)) }
        .filter { $0.times != 0 }
}
