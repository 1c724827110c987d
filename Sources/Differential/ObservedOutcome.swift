// SPDX-License-Identifier: GPL-2.0-only
// The outcome of one execution in words that can be kept for years: names instead of masks, results by op,
// the state as lines.  What a fixture expects is one of these for each variant.

import CKernel
import KernelModel
import Simulation
import Traces
import VariantKit

/// What one execution of a trace came to.
public struct ObservedOutcome: Codable, Equatable, Sendable {
    /// A value of the state, or a count of events, under the names that lead to it.
    public struct Line: Hashable, Sendable {
        /// `page 3 / flags`.
        public var path: String
        public var value: String

        public init(path: String, value: String) {
            self.path = path
            self.value = value
        }

        /// Whether it counts an event, and is no value of the state.
        public var isEvent: Bool { path.hasPrefix(eventPrefix) }
    }

    /// How it ended: `complete`, `deadlock`.
    public var end: String
    /// The names of broken invariants, sorted.
    public var broken: [String]
    /// How attempts ended that nobody is told of: `migrate: EAGAIN`, sorted.
    public var attempts: [String]
    /// What the calls of each task returned.
    public var results: [[Int]]
    /// A hash of all lines of the state in hexadecimal; nil if the machine did not come to rest.
    public var state: String?
    /// The state at rest and the counts of events, without what is only cost.
    public var lines: [Line]

    public init(
        end: String, broken: [String] = [], attempts: [String] = [], results: [[Int]], state: String?,
        lines: [Line] = []
    ) {
        self.end = end
        self.broken = broken
        self.attempts = attempts
        self.results = results
        self.state = state
        self.lines = lines
    }
}

extension ObservedOutcome.Line: CustomStringConvertible {
    /// `page 3 / flags: PG_lru`.
    public var description: String { path + ": " + value }

    /// Reads such a text; nil if it is none.
    public init?(_ text: ArraySlice<UInt8>) {
        var colon = text.startIndex
        while let next = text[colon...].firstIndex(of: UInt8(ascii: ":")), next + 1 < text.endIndex {
            if text[next + 1] == UInt8(ascii: " ") {
                self.init(
                    path: String(decoding: text[..<next], as: UTF8.self),
                    value: String(decoding: text[(next + 2)...], as: UTF8.self))
                return
            }
            colon = next + 1
        }
        return nil
    }
}

/// In messages one text each: a state has hundreds.
extension ObservedOutcome.Line: Codable {
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let line = Self(Array(try container.decode(String.self).utf8)[...]) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "no line of an outcome")
        }
        self = line
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

/// One execution under a schedule, and the decisions that it really took.
public struct Observation: Sendable {
    public var outcome: ObservedOutcome
    public var schedule: Schedule

    /// A yield point as decisions name it.
    public struct Place: Hashable, Sendable {
        public var task, op: Int
        public var function, label: String
        public var occurrence: Int
    }

    /// The decisions of `wanted` that the execution did not take.
    public func missing(from wanted: Schedule) -> [Decision] {
        let taken = schedule.decisions.map(\.plain)
        return wanted.decisions.filter { !taken.contains($0.plain) }
    }
}

extension Schedule {
    /// With what an older one says of the decisions that both have.
    public func keepingRemarks(of old: Schedule) -> Schedule {
        var schedule = self
        (schedule.remarks, schedule.startRemarks) = (old.remarks, old.startRemarks)
        for number in decisions.indices {
            let same = old.decisions.first { $0.plain == decisions[number].plain }
            if let same { schedule.decisions[number].remarks = same.remarks }
        }
        return schedule
    }
}

extension Decision {
    /// Without what is said of it.
    fileprivate var plain: Decision {
        var plain = self
        plain.remarks = Remarks()
        return plain
    }
}

/// Runs traces on one variant after the other in the same arena.
public struct Observer {
    private let arena: Arena

    public init() throws {
        guard let arena = Arena(slot: 0) else { throw NoAddressSpace() }
        self.arena = arena
    }

    /// Runs `trace` on `variant` under its schedule; nil if its set-up does not run there.
    public func observe(_ trace: Trace, on variant: Variant) throws -> Observation? {
        guard let era = Era.named(variant.era) else { throw UnknownEra(name: variant.era) }
        let machine = Machine(arena: arena, operations: operationsTable(era, variant))
        let compiled = try CompiledTrace(trace, Vocabulary(era))
        guard machine.load(compiled) == RUN_COMPLETE, kernel.violations == 0 else { return nil }
        CompiledSchedule(trace.schedule ?? Schedule()).install()
        let log = StepLog()
        let detail = log.record { RunDetail(running: machine) }
        return Observation(
            outcome: ObservedOutcome(detail, tasks: trace.tasks.count), schedule: detail.schedule)
    }
}

extension ObservedOutcome {
    /// Of a run that has just ended and whose log is still there.
    fileprivate init(_ detail: RunDetail, tasks: Int) {
        let state = detail.tree.children.filter { !$0.name.hasPrefix("results of ") && $0.name != "events" }
        // What it costs changes with every yield point of the model, and is nobody's regression.
        let costs = eventNumbers(.cost).map { eventPrefix + eventName($0) }
        let events = detail.tree.children.filter { $0.name == "events" }.flatMap { $0.valueLines() }
            .filter { !costs.contains($0.path) }
        let stateLines = state.flatMap { $0.valueLines() }
        self.init(
            end: endName(detail.outcome.end),
            broken: invariants.filter { detail.outcome.violations & 1 << $0.kind != 0 }.map(\.name).sorted(),
            attempts: EventTally(ofLog: ()).endings(among: detail.outcome.attempts),
            results: (0..<tasks).map { task in
                (0..<Int(kernel.task(task).op)).map { kernel.task(task).result($0).pointee }
            },
            state: detail.outcome.wholeState == 0 ? nil : hash(of: stateLines),
            lines: stateLines + events)
    }
}

extension StateNode {
    /// Each value below the node with the names that lead to it.
    fileprivate func valueLines(under path: String = "") -> [ObservedOutcome.Line] {
        let own = path.isEmpty ? name : path + " / " + name
        // A group without values is there or not, which is a value, too.
        let value = value ?? (children.isEmpty ? "there" : nil)
        return (value.map { [ObservedOutcome.Line(path: own, value: $0)] } ?? [])
            + children.flatMap { $0.valueLines(under: own) }
    }
}

/// Before the name of an event whose count is a line.
private let eventPrefix = "events / "

/// FNV-1a of the lines as text.
private func hash(of lines: [ObservedOutcome.Line]) -> String {
    var value: UInt64 = 0xcbf2_9ce4_8422_2325
    func add(_ text: String) {
        for byte in text.utf8 { value = (value ^ UInt64(byte)) &* 0x100_0000_01b3 }
    }
    for line in lines {
        add(line.path)
        add(": ")
        add(line.value)
        add("\n")
    }
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
}

/// The places that each task passed in the run that has just ended, in order.
func passedPlaces(_ tasks: Int) -> [Observation.Place] {
    var passed: [Observation.Place: Int] = [:]
    var places: [Observation.Place] = []
    for number in 0..<Int(scheduler.nr_log) {
        let entry = scheduler.log![number]
        guard entry.kind == UInt8(LOG_STEP.rawValue), Int(entry.task) < tasks else { continue }
        let point = Int(entry.yield_point)
        var place = Observation.Place(
            task: Int(entry.task), op: Int(entry.op), function: yieldPointFunction(point),
            label: yieldPointLabel(point), occurrence: 0)
        passed[place, default: 0] += 1
        place.occurrence = passed[place]!
        if place.occurrence <= TraceLimits.occurrences.upperBound { places.append(place) }
    }
    return places
}
