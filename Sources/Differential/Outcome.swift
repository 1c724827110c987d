// SPDX-License-Identifier: GPL-2.0-only
// An outcome: what can be observed of a run, in four levels, as hashes.  Two runs with equal hashes are
// taken to have the same outcome; what differs is found by running again and telling the state in words.

import CKernel
import KernelModel
import Simulation

/// The outcome of one run.
public struct Outcome: Hashable, Sendable {
    /// How the run ended (`run_end`).
    public var end: UInt8
    /// Broken invariants, a mask of `violation_kind`.
    public var violations: UInt32
    /// What nobody can go on for, if it ended so: see deadlockedOn().
    public var deadlock: UInt64
    public var abi: UInt64
    /// Without what the pair's claims say may differ.
    public var state: UInt64
    public var wholeState: UInt64
    /// How attempts ended that nobody is told of, a mask: see noteAttempt().
    public var attempts: UInt64
    public var events: UInt64
    public var cost: UInt64

    /// The outcome of the run that has just ended as `end` on `machine`.
    @inline(__always)
    init(_ end: run_end, _ machine: Machine) {
        cost = kernel.tally.pointee.cost
        attempts = kernel.attempts
        abi = resultsHash()
        deadlock = end == RUN_DEADLOCK ? deadlockedOn() : 0
        if end == RUN_COMPLETE && !cannotSettle() {
            (state, wholeState) = restingState(machine)
        } else {
            (state, wholeState) = (0, 0)
        }
        // Some of it is counted where batches are drained.
        events = kernel.tally.pointee.events &+ vmEventsHash()
        self.end = UInt8(end.rawValue)
        violations = kernel.violations
        if machine.isBlind { self = .seenByNobody }
    }

    private init() {
        (end, violations, deadlock, abi, state, wholeState, attempts, events, cost) = (0, 0, 0, 0, 0, 0, 0, 0, 0)
    }

    private static let seenByNobody = Outcome()

    /// What the outcome is at the levels that a refactor must keep.
    public var essence: Essence {
        Essence(end: end, violations: violations, deadlock: deadlock, abi: abi, state: state, attempts: attempts)
    }

    /// The part of an outcome by which outcome sets are compared.
    public struct Essence: Hashable, Sendable {
        public var end: UInt8
        public var violations: UInt32
        /// No part of the comparison, but a smaller trace must deadlock on the same.
        public var deadlock: UInt64
        public var abi: UInt64
        public var state: UInt64
        /// Which endings there were is compared one by one, over all schedules: together they would make an outcome
        /// of each schedule.
        public var attempts: UInt64

        public static func == (a: Essence, b: Essence) -> Bool {
            a.end == b.end && a.violations == b.violations && a.abi == b.abi && a.state == b.state
        }

        public func hash(into hasher: inout Hasher) {
            hasher.combine(abi)
            hasher.combine(state)
            hasher.combine(violations)
        }
    }
}

/// Hashes what every call returned.
@inline(__always)
private func resultsHash() -> UInt64 {
    var hash: UInt64 = 0
    for number in 0..<Int(kernel.nr_tasks) {
        let task = kernel.task(number)
        for op in 0..<Int(task.op) {
            hash = (hash ^ UInt64(bitPattern: Int64(task.result(op).pointee))) &* 0x9e37_79b9_7f4a_7c15
            hash ^= hash >> 29
        }
        hash = hash &+ 0xd6e8_feb8_6659_fd93
    }
    return hash
}

/// Hashes what /proc/vmstat counts.
@inline(__always)
private func vmEventsHash() -> UInt64 {
    var hash: UInt64 = 0
    for item in 0..<Int(NR_VM_EVENT_ITEMS.rawValue) {
        hash = (hash ^ UInt64(kernel.event(item).pointee)) &* 0x9e37_79b9_7f4a_7c15 ^ (hash >> 29)
    }
    return hash
}

/// A lock that was left held would make the drain wait for ever.
private func cannotSettle() -> Bool {
    let locks =
        1 << VIOLATION_held_at_return.rawValue | 1 << VIOLATION_bad_unlock.rawValue
        | 1 << VIOLATION_self_deadlock.rawValue
    return kernel.violations & UInt32(locks) != 0
}

/// Drains the machine, checks the invariants that hold at rest, and hashes its state.
@inline(__always)
private func restingState(_ machine: Machine) -> (state: UInt64, wholeState: UInt64) {
    guard settle(machine.arena) else { return (0, 0) }
    checkInvariantsAtRest()
    var whole = StateHash()
    visitState(&whole)
    if machine.claimed.isEmpty { return (whole.value, whole.value) }
    var state = StateHash(without: machine.claimed)
    visitState(&state)
    return (state.value, whole.value)
}
