// SPDX-License-Identifier: GPL-2.0-only
// What a run did.  For comparison it is kept as a multiset: a sum of hashes by task and object, which no
// reordering of independent steps changes.  A replay also keeps every line.

import CKernel

/// Notes something the level `events` compares: a notifier call, a TLB flush, a drain.
@inline(__always)
public func noteEvent(_ event: event_kind, _ object: UInt, _ value: UInt) {
    kernel.event_count(Int(event.rawValue)).pointee += 1
    kernel.tally.pointee.events &+= mix(tallyKey(event, object) ^ UInt64(value) &* 0xc2b2_ae3d_27d4_eb4f)
    if _slowPath(scheduler.logging != 0) {
        appendLog(LOG_EVENT, event: UInt8(event.rawValue), object: UInt64(object), value: UInt64(value))
    }
}

/// Notes how an attempt of the kernel's ended that nobody is told of: one of several, or in the background.  How an
/// attempt can end at all is part of what a patch can change; how often it is made depends on the schedule.  So an
/// outcome keeps the set of endings, with `bitsOfAttempts` places for them.
@inline(__always)
public func noteAttempt(_ event: event_kind, _ object: UInt, error: Int) {
    noteEvent(event, object, UInt(bitPattern: error))
    kernel.attempts |= 1 << attemptBit(event, object, error)
}

/// The place of an attempt's ending in `kernel.attempts`.
public func attemptBit(_ event: event_kind, _ object: UInt, _ error: Int) -> UInt64 {
    let hash = mix(UInt64(event.rawValue) << 56 ^ UInt64(object) << 16 ^ UInt64(UInt16(truncatingIfNeeded: error)))
    return hash % bitsOfAttempts
}

private let bitsOfAttempts: UInt64 = 64

/// Notes work the level `cost` compares: a lock taken, a pte or a vma visited.
@inline(__always)
public func noteCost(_ event: event_kind, _ object: UInt, _ value: UInt) {
    kernel.event_count(Int(event.rawValue)).pointee += UInt32(truncatingIfNeeded: value)
    kernel.tally.pointee.cost &+= mix(tallyKey(event, object)) &* UInt64(value)
    if _slowPath(scheduler.logging != 0) {
        appendLog(LOG_EVENT, event: UInt8(event.rawValue), object: UInt64(object), value: UInt64(value))
    }
}

/// Who did what to which object, in words that differ in many bits.
@inline(__always)
private func tallyKey(_ event: event_kind, _ object: UInt) -> UInt64 {
    (UInt64(kernel.current.number) << 8 | UInt64(event.rawValue)) &* 0x9e37_79b9_7f4a_7c15 ^ UInt64(object)
}

@inline(never)
func appendLog(_ kind: log_kind, event: UInt8 = 0, object: UInt64 = 0, value: UInt64 = 0) {
    guard let log = scheduler.log, Int32(scheduler.nr_log) < MAX_LOG_ENTRIES else { return }
    let task = kernel.current
    log[Int(scheduler.nr_log)] = log_entry(
        kind: UInt8(kind.rawValue), task: task.number, cpu: task.cpu, event: event, op: task.op,
        yield_point: task.yield_point, object: object, value: value)
    scheduler.nr_log += 1
}

/// Notes the start or the end of an op in the log.
public func logOp(start: Bool, value: Int = 0) {
    if _slowPath(scheduler.logging != 0) {
        appendLog(start ? LOG_OP_START : LOG_OP_END, value: UInt64(bitPattern: Int64(value)))
    }
}
