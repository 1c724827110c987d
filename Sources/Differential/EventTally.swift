// SPDX-License-Identifier: GPL-2.0-only
// What one execution did, as a multiset: which task did what to which object, with what result, how often.
// The order of independent steps is no part of it.  Beside it, what /proc/vmstat counts, which names neither.

import CKernel
import KernelModel
import Simulation
import VariantKit

struct EventTally {
    /// One thing done.  What `object` and `value` are is the event's.
    struct Key: Hashable, Comparable {
        var task: UInt8
        var object, value: UInt64

        static func < (a: Key, b: Key) -> Bool {
            (a.task, a.object, a.value) < (b.task, b.object, b.value)
        }
    }

    /// By event, how often each thing was done.  For look-ups and sums only: its order means nothing.
    private var counts: [UInt8: [Key: Int]] = [:]

    /// Sums up what the log and the counters of the run that has just ended hold.
    init(ofLog: Void) {
        // The machine comes to rest in a task of its own.
        self.init { $0 < kernel.nr_tasks }
        for item in vmEventNames.indices where kernel.event(item).pointee != 0 {
            counts[UInt8(vmEvent(item)), default: [:]][Key.sum] = Int(kernel.event(item).pointee)
        }
    }

    /// Sums up what the log of a set-up holds.
    init(ofSetup: Void) {
        self.init { $0 == kernel.nr_tasks }
    }

    private init(of isWanted: (UInt8) -> Bool) {
        for number in 0..<Int(scheduler.nr_log) {
            let entry = scheduler.log![number]
            guard entry.kind == UInt8(LOG_EVENT.rawValue), isWanted(entry.task) else { continue }
            let isCost = UInt32(entry.event) >= EVENT_lock.rawValue
            let key = Key(task: entry.task, object: entry.object, value: isCost ? 0 : entry.value)
            counts[entry.event, default: [:]][key, default: 0] += isCost ? Int(entry.value) : 1
        }
    }

    subscript(event: Int) -> [Key: Int] { counts[UInt8(event)] ?? [:] }

    /// The endings of attempts with these places in an outcome: `migrate: EAGAIN`, each once.
    func endings(among mask: UInt64) -> [String] {
        let event = EVENT_migrate
        let keys = self[Int(event.rawValue)].keys.sorted()
        let endings = keys.filter { mask & 1 << attemptBit(event, UInt($0.object), $0.error) != 0 }
        return Array(Set(endings.map { "\(eventName(Int(event.rawValue))): \(errorName($0.error))" })).sorted()
    }
}

extension EventTally.Key {
    /// Nobody in particular, nothing in particular.
    static let sum = EventTally.Key(task: .max, object: 0, value: 0)

    /// How an attempt ended.
    var error: Int { Int(Int64(bitPattern: value)) }
}

/// The events of a level, by number: an `event_kind`, or one that /proc/vmstat counts.
func eventNumbers(_ level: Level) -> [Int] {
    let (firstOfCost, kinds) = (Int(EVENT_lock.rawValue), Int(NR_EVENT_KINDS.rawValue))
    return level == .cost ? Array(firstOfCost..<kinds) : Array(0..<firstOfCost) + vmEventNames.indices.map(vmEvent)
}

/// The number of a `vm_event_item`.
private func vmEvent(_ item: Int) -> Int { Int(NR_EVENT_KINDS.rawValue) + item }

func eventName(_ event: Int) -> String {
    event_kind_name(UInt32(event)).map { String(cString: $0) } ?? vmEventNames[event - Int(NR_EVENT_KINDS.rawValue)]
}

/// The name of a negative error number that an attempt can end with.
private func errorName(_ error: Int) -> String {
    switch Int32(truncatingIfNeeded: -error) {
    case 0: "success"
    case EAGAIN: "EAGAIN"
    case EBUSY: "EBUSY"
    case ENOMEM: "ENOMEM"
    default: "\(error)"
    }
}

/// How two executions differ in one event.
struct EventDifference {
    let direction: Finding.Direction
    /// As a report shows them.
    let lines: [String]

    /// Things told one by one; the totals tell the rest.
    private static let details = 6

    /// Nil if they do not differ.
    init?(_ event: Int, _ tallies: (base: EventTally, patched: EventTally)) {
        let (before, after) = (tallies.base[event], tallies.patched[event])
        if before == after { return nil }
        let name = eventName(event)
        let (less, more) = (before.values.reduce(0, +), after.values.reduce(0, +))
        direction = less > more ? .lost : .new
        let differing = Set(before.keys).union(after.keys).filter { before[$0] != after[$0] && $0 != .sum }.sorted()
        lines =
            ["- \(name): \(less)", "+ \(name): \(more)"]
            + differing.prefix(EventDifference.details).map { key in
                "    t\(key.task), object 0x\(String(key.object, radix: 16)), result \(key.error):"
                    + " \(before[key] ?? 0) before, \(after[key] ?? 0) after"
            }
            + (differing.count > EventDifference.details
                ? ["    … (\(differing.count - EventDifference.details) more)"] : [])
    }
}
