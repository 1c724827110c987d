// SPDX-License-Identifier: GPL-2.0-only
// Two machines side by side: the same trace under the same schedules, and what one reached that the other
// did not.

import CKernel
import KernelModel
import Simulation
import Traces
import VariantKit

/// A pair of machines, each in an arena of its own, at different addresses, with different poison.
public final class PairOfMachines {
    public let base: Machine
    public let patched: Machine
    /// The order of the second machine's memory, where that is another.
    private let permutation: UInt64
    /// Executions of either side, as far as they are counted: what settling differences costs.
    var executions = 0
    /// When to give up settling a difference; nil: never.
    var deadline: ContinuousClock.Instant?

    /// Makes the pair that a process has, in arenas of its own.
    ///
    /// - Parameter permuted: lay out the second machine's memory in another order, too: an identity pair
    ///   must be able to fail.
    public convenience init(base: Variant, patched: Variant, permuted: Bool = true) throws {
        guard let first = Arena(slot: 0), let second = Arena(slot: 1) else { throw NoAddressSpace() }
        try self.init(base: base, patched: patched, permuted: permuted, arenas: (first, second))
    }

    init(base: Variant, patched: Variant, permuted: Bool = true, arenas: (Arena, Arena)) throws {
        guard let era = Era.named(base.era) else { throw UnknownEra(name: base.era) }
        permutation = permuted ? 1 : 0
        markChangedFunctions(base.changedFunctions + patched.changedFunctions)
        self.base = Machine(arena: arenas.0, operations: notingEntries(operationsTable(era, base)))
        self.patched = Machine(
            arena: arenas.1, operations: notingEntries(operationsTable(era, patched)),
            layout: Layout(poison: permuted ? 0xa5 : 0))
    }

    /// Makes all outcomes alike: for tests of the canary.
    func blind() {
        (base.isBlind, patched.isBlind) = (true, true)
    }

    public subscript(side: Side) -> Machine { side == .base ? base : patched }

    /// What may differ on purpose.
    private(set) var claims: [Claim] = []

    /// Takes claims to hold from now on; states are compared without the fields that can be left out.
    func suppose(_ claims: [Claim]) {
        self.claims = claims
        let claimed = claims.filter { $0.level == .state }.compactMap { ClaimableFields(named: $0.subject) }
        base.claimed = ClaimableFields(claimed)
        patched.claimed = base.claimed
    }

    /// Whether a field, by its name in a difference of two states, is left out.
    func leavesOut(_ field: String) -> Bool {
        ClaimableFields(named: field).map(base.claimed.contains) ?? false
    }

    private lazy var searches = (base: DepthFirstSearch(base.arena), patched: DepthFirstSearch(patched.arena))

    /// The search of one side; its buffer is kept from one use to the next.
    func search(_ side: Side) -> DepthFirstSearch {
        side == .base ? searches.base : searches.patched
    }

    /// Boots both with a trace; false if the set-up cannot run on either.
    ///
    /// - Parameter alike: lay out both memories in the same order.  Otherwise outcomes may differ where free pages lie
    ///   together on one side only, or where compaction finds other ones: enough to suspect, not to judge.
    /// - Parameter pagesAlike: the same for pages alone.
    public func load(_ trace: CompiledTrace, alike: Bool = true, pagesAlike: Bool = false) -> Bool {
        patched.layout.permutation = alike ? 0 : permutation
        patched.layout.keepsPagesInOrder = pagesAlike
        let first = base.load(trace)
        let brokenFirst = kernel.violations
        let second = patched.load(trace)
        return first == RUN_COMPLETE && second == RUN_COMPLETE && brokenFirst == 0 && kernel.violations == 0
    }

    /// Boots both with a trace that is not compiled yet; false also if it cannot be.
    func load(_ trace: Trace, _ vocabulary: Vocabulary, alike: Bool = true) -> Bool {
        guard let compiled = try? CompiledTrace(trace, vocabulary) else { return false }
        return load(compiled, alike: alike)
    }

    /// Whether the set-up of the loaded trace does the same on both sides, at the level `events` or `cost`.  What is
    /// done by runs that begin differently cannot be compared, nor can fields that may differ on purpose.
    func setupsDoTheSame(_ level: Level) -> Bool {
        let (first, second) = (base.setupTally, patched.setupTally)
        return first.events == second.events && (level == .events || first.cost == second.cost)
    }

    /// Whether two runs with the same results and state did not do the same, at the level `events` or `cost`.
    func differ(inWhatWasDone level: Level, _ base: Outcome, _ patched: Outcome) -> Bool {
        base.essence == patched.essence && base.wholeState == patched.wholeState && setupsDoTheSame(level)
            && (level == .events ? base.events != patched.events : base.cost != patched.cost)
    }

    /// Whether two runs differ in fields that may differ on purpose, and in nothing else that they left.
    func differAsClaimed(_ base: Outcome, _ patched: Outcome) -> Bool {
        base.essence == patched.essence && base.wholeState != patched.wholeState && setupsDoTheSame(.cost)
    }

    /// What the set-up of the loaded trace does on each side.
    func setupTallies() -> (base: EventTally, patched: EventTally) {
        func tally(_ machine: Machine) -> EventTally {
            StepLog().record { _ = machine.load(machine.trace!) }
            return EventTally(ofSetup: ())
        }
        return (tally(base), tally(patched))
    }
}

public enum Side: Sendable {
    case base, patched

    public var other: Side { self == .base ? .patched : .base }
}

public struct UnknownEra: Error, CustomStringConvertible {
    public let name: String
    public var description: String {
        "no era \(name); known: \(Era.all.map(\.name).joined(separator: ", "))"
    }
}

public struct NoAddressSpace: Error, CustomStringConvertible {
    public init() {}
    public var description: String { "the fixed addresses of the simulated memory are taken" }
}

func operationsTable(_ era: Era, _ variant: Variant) -> kernel_ops {
    makeOperationsTable { ops in
        era.install(ops)
        variant.install(ops)
    }
}

/// An outcome that one side reached and the other, under the schedules tried, did not.
struct Candidate {
    var side: Side
    var essence: Outcome.Essence
    var seed: ScheduleSeed
    /// The endings of attempts that only this side had, if it is about them.
    var attempts: UInt64 = 0
    /// Invariants that the other side broke under some schedule of the trace: nobody is blamed for them.
    var excused: UInt32 = 0

    /// Small for what is grave: a broken invariant, then an attempt's ending, then all others.
    fileprivate var rank: Int {
        if essence.violations & ~excused != 0 || essence.end != UInt8(RUN_COMPLETE.rawValue) { return 0 }
        return attempts != 0 ? 1 : 2
    }
}

/// What comparing one trace gave.
struct TraceComparison {
    var schedules = 0
    /// Different ones among them.
    var distinct = 0
    /// Schedules in which a changed function was entered.
    var reached = 0
    var steps = 0
    /// What was drawn from which strategy.
    var strategies = StrategyTally()
    var candidates: [Candidate] = []
    /// Invariants broken on both sides, each with the first schedule under which the base breaks it.
    var brokenOnBoth: [(kinds: UInt32, seed: ScheduleSeed)] = []
    /// Set if the schedule without preemption differs in what was done, though not in what came of it.  Under
    /// preemption one schedule by name is not one schedule, and counts differ by chance.
    var differsInEvents: ScheduleSeed?
    var differsInCost: ScheduleSeed?
    /// The first schedules that differ in what claims say may differ, and in no other result or state.
    var differsAsClaimed: [ScheduleSeed] = []
}

extension PairOfMachines {
    /// Schedules after which a trace must have entered a changed function.
    private static let probes = 4
    /// How many schedules of a trace to show for what claims cover: without preemption and with.
    private static let claimedDifferences = 2

    /// Runs the loaded trace under `count` schedules on both sides, or under a few where it does not enter
    /// what the pair changes.
    func compare(_ seed: ScheduleSeed, schedules count: Int) -> TraceComparison {
        var result = TraceComparison()
        var schedules: Set<UInt64> = []
        var essences: (base: Set<Outcome.Essence>, patched: Set<Outcome.Essence>) = ([], [])
        var suspects: [(ScheduleSeed, Outcome.Essence, Outcome.Essence)] = []
        var broken: (base: UInt32, patched: UInt32) = (0, 0)
        var brokenFirst: [(kinds: UInt32, seed: ScheduleSeed)] = []
        var attempts = (base: Attempts(side: .base), patched: Attempts(side: .patched))
        defer { countCoverage(ofSide: nil) }
        var place = seed
        for number in 0..<count {
            place.schedule = number
            let strategy = place.strategy()
            strategy.install()
            countCoverage(ofSide: 0)
            let first = base.run()
            countEntries()
            let entered = kernel.reached != 0
            let schedule = kernel.schedule
            schedules.insert(schedule)
            result.steps += Int(kernel.steps)
            result.strategies.note(strategy, schedule: schedule)
            countCoverage(ofSide: 1)
            let second = patched.run()
            countEntries()
            result.strategies.noteSteps()
            // How many steps a run has is known once it was run.
            if number == 0 && (place.choice != nil || place.steps != nil) { place.steps = result.strategies.steps }
            result.schedules += 1
            if entered || kernel.reached != 0 { result.reached += 1 }
            // A trace that does not enter a changed function soon is not worth its time.
            if number + 1 == PairOfMachines.probes && result.reached == 0 { break }
            attempts.base.add(first.essence, place)
            attempts.patched.add(second.essence, place)
            if first.violations & ~broken.base != 0 { brokenFirst.append((first.violations & ~broken.base, place)) }
            broken.base |= first.violations
            broken.patched |= second.violations
            if result.differsAsClaimed.count < PairOfMachines.claimedDifferences, differAsClaimed(first, second) {
                result.differsAsClaimed.append(place)
            }
            if number == 0 {
                if differ(inWhatWasDone: .events, first, second) { result.differsInEvents = place }
                if differ(inWhatWasDone: .cost, first, second) { result.differsInCost = place }
            }
            essences.base.insert(first.essence)
            essences.patched.insert(second.essence)
            if first.essence != second.essence { suspects.append((place, first.essence, second.essence)) }
        }
        result.distinct = schedules.count
        result.brokenOnBoth = brokenFirst.map { ($0.kinds & broken.patched, $0.seed) }.filter { $0.0 != 0 }
        let candidates =
            [attempts.base.candidate(unlike: attempts.patched), attempts.patched.candidate(unlike: attempts.base)]
            .compactMap { $0 } + candidates(suspects, essences.base, essences.patched)
        result.candidates = gravestFirst(
            candidates.map { candidate in
                var candidate = candidate
                candidate.excused = candidate.side == .base ? broken.patched : broken.base
                return candidate
            })
        return result
    }

    /// In their order otherwise.
    private func gravestFirst(_ candidates: [Candidate]) -> [Candidate] {
        (0...2).flatMap { rank in candidates.filter { $0.rank == rank } }
    }

    /// Of the schedules with different outcomes, those whose outcome the other side never had.
    private func candidates(
        _ suspects: [(ScheduleSeed, Outcome.Essence, Outcome.Essence)], _ base: Set<Outcome.Essence>,
        _ patched: Set<Outcome.Essence>
    ) -> [Candidate] {
        var found: [Candidate] = []
        for (seed, first, second) in suspects {
            if !base.contains(second) && !found.contains(where: { $0.essence == second }) {
                found.append(Candidate(side: .patched, essence: second, seed: seed))
            }
            if !patched.contains(first) && !found.contains(where: { $0.essence == first }) {
                found.append(Candidate(side: .base, essence: first, seed: seed))
            }
        }
        return found
    }
}

/// The endings of attempts that one side had, over all schedules of a trace, and where each was seen first.
private struct Attempts {
    let side: Side
    private var all: UInt64 = 0
    private var firsts: [(bits: UInt64, essence: Outcome.Essence, seed: ScheduleSeed)] = []

    init(side: Side) {
        self.side = side
    }

    mutating func add(_ essence: Outcome.Essence, _ seed: ScheduleSeed) {
        let new = essence.attempts & ~all
        guard new != 0 else { return }
        all |= new
        firsts.append((new, essence, seed))
    }

    /// The first ending that the other side never had.
    func candidate(unlike other: Attempts) -> Candidate? {
        guard let first = firsts.first(where: { $0.bits & ~other.all != 0 }) else { return nil }
        return Candidate(
            side: side, essence: first.essence, seed: first.seed, attempts: first.bits & ~other.all)
    }
}
