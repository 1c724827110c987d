// SPDX-License-Identifier: GPL-2.0-only
// The runs that fixtures need, in worker processes: the parent never simulates.

import Differential
import FixtureStore
import Processes
import Traces
import VariantKit

/// A trace to run on variants of its family.
struct TraceToObserve: Codable {
    var trace: String
    /// How its family is called, and the variants, by their names there.
    var family: String
    var variants: [String]
    /// A user's C file among these, and the variant that it stands on.
    var file: CompiledFile?
    /// Write the schedule down anew, as the first of these takes it that takes every decision.
    var scheduleAnew: [String] = []
    /// Find the places of decisions that have moved.
    var realign: Realignment?
    /// Send only the values at these paths; nil: all.
    var paths: [String]?

    struct CompiledFile: Codable {
        var name: String
        var library: UserLibrary
        var base: String
    }

    struct Realignment: Codable {
        var variant: String
        var expected: ObservedOutcome
        /// The paths that count.
        var paths: [String]
    }
}

extension TraceToObserve {
    /// - Parameters:
    ///   - files: a C file that is not among them is left out.
    ///   - realigned: find the places of its schedule that have moved.
    init(_ fixture: Fixture, _ files: [HandedFile], realigned: Bool) {
        (trace, family, variants) = (fixture.trace.description, fixture.family, fixture.familyVariants)
        if let file = files.file(of: fixture) { add(file, on: fixture.standsOn!) }
        if realigned, variants.contains(fixture.scheduledOn) {
            realign = Realignment(
                variant: fixture.scheduledOn, expected: fixture.outcome(of: fixture.scheduledOn)!,
                paths: fixture.paths)
        }
    }

    /// The same on one variant, under the schedule as it stands.
    func alone(on variant: String) -> TraceToObserve {
        var item = self
        (item.variants, item.scheduleAnew, item.realign) = ([variant], [], nil)
        return item
    }

    mutating func add(_ handed: HandedFile, on base: String) {
        variants.append(handed.file.name)
        file = CompiledFile(name: handed.file.name, library: handed.library, base: base)
    }
}

/// What came of it.
struct ObservedTrace: Codable {
    struct OnVariant: Codable {
        var variant: String
        /// nil if it could not run there.
        var outcome: ObservedOutcome?
        /// Why it could not run, or what happened to the process.
        var problem: String?
        /// Decisions that were not taken.
        var missing: [String] = []
    }

    /// Number of the trace in the job.
    var number: Int
    /// With the schedule that counts.
    var trace: String
    /// The variant that takes all decisions of a schedule that was written anew.
    var scheduledOn: String?
    /// `from: place, to: place`, if decisions were moved.
    var moved: [String] = []
    var variants: [OnVariant]
}

struct FixtureJob: Codable {
    var traces: [TraceToObserve]

    func run(_ worker: Worker) throws {
        let observer = try Observer()
        for (number, item) in traces.enumerated() {
            worker.begin("trace \(number)")
            try worker.send(try item.observed(number, observer, worker))
        }
    }
}

extension TraceToObserve {
    fileprivate func observed(_ number: Int, _ observer: Observer, _ worker: Worker) throws -> ObservedTrace {
        var result = ObservedTrace(number: number, trace: trace, variants: [])
        if !scheduleAnew.isEmpty, let (on, text) = try scheduled(observer) {
            (result.scheduledOn, result.trace) = (on, text)
        }
        if let realign { (result.trace, result.moved) = try realigned(realign, observer, worker) }
        // A trace is parsed once for all variants of an era.
        var traces: [String: Trace] = [:]
        for name in variants {
            let variant = try variant(name)
            do {
                let trace = try traces[variant.era] ?? CommandLineTool.trace(result.trace.utf8, in: variant.era)
                traces[variant.era] = trace
                result.variants.append(try observed(trace, on: variant, observer))
            } catch let error as TraceError {
                result.variants.append(ObservedTrace.OnVariant(variant: name, problem: "\(error)"))
            }
            worker.progress()
        }
        return result
    }

    private func variant(_ name: String) throws -> Variant {
        let family = try commandLineCatalog.family(family)
        guard let file, file.name == name else { return try commandLineCatalog.variant(name, in: family) }
        var variant = try file.library.variant(on: try commandLineCatalog.variant(file.base, in: family))
        variant.name = name
        return variant
    }

    private func observed(_ trace: Trace, on variant: Variant, _ observer: Observer) throws -> ObservedTrace.OnVariant {
        guard let observation = try observer.observe(trace, on: variant) else {
            return .init(variant: variant.name, problem: "the set-up of the trace does not run to its end")
        }
        var outcome = observation.outcome
        if let paths { outcome.keep(paths) }
        let missing = observation.missing(from: trace.schedule ?? Schedule()).map(\.description)
        return .init(variant: variant.name, outcome: outcome, missing: missing)
    }

    // MARK: Schedules

    /// The trace with the decisions that a variant really takes, forced ones included.
    private func scheduled(_ observer: Observer) throws -> (variant: String, trace: String)? {
        var last: (String, String)?
        for name in scheduleAnew {
            let variant = try variant(name)
            var trace = try CommandLineTool.trace(self.trace.utf8, in: variant.era)
            guard let observation = try observer.observe(trace, on: variant) else { continue }
            let missing = observation.missing(from: trace.schedule ?? Schedule())
            trace.schedule = observation.schedule.keepingRemarks(of: trace.schedule ?? Schedule())
            if missing.isEmpty { return (name, trace.description) }
            if last == nil { last = (name, trace.description) }
        }
        return last.map { ($0.0, $0.1) }
    }

    /// Decisions whose places have other names now, moved to where they lead to the outcome that is expected.
    private func realigned(
        _ wanted: Realignment, _ observer: Observer, _ worker: Worker
    ) throws -> (trace: String, moved: [String]) {
        let variant = try variant(wanted.variant)
        let trace = try CommandLineTool.trace(self.trace.utf8, in: variant.era)
        let found = try observer.realign(trace, on: variant) { observed in
            worker.progress()
            var observed = observed
            observed.keep(wanted.paths)
            return observed.isLike(wanted.expected)
        }
        guard let found else { return (self.trace, []) }
        return (found.trace.description, found.moved.map { "\($0.from), now \($0.to)" })
    }
}

extension ObservedOutcome {
    /// Drops all lines but those at some paths.
    mutating func keep(_ paths: [String]) {
        let kept = Set(paths)
        lines.removeAll { !kept.contains($0.path) }
    }

    /// Whether it is the same in everything that tells variants apart: the hash of a state changes with whatever
    /// the model learns to tell.
    func isLike(_ other: ObservedOutcome) -> Bool {
        var (a, b) = (self, other)
        (a.state, b.state) = (a.state.map { _ in "" }, b.state.map { _ in "" })
        return a == b
    }
}
