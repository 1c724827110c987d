// SPDX-License-Identifier: GPL-2.0-only
// Generated traces: each search against the reference, on the variants of all families in turn.

import CKernel
import Differential
import KernelModel
import MlockDrain
import MunlockSplit
import RetractPageTables
import Simulation
import Traces
import VariantKit

private let families = [munlockSplit, mlockDrain, retractPageTables]

/// How large the traces are, and what the reference is.
enum TraceSize {
    /// Depth-first search comes to its end.
    case small
    /// Where there are too many schedules, the stateful search stands in: it shares nothing with the reduced one.
    case large

    var tasks: Int { self == .small ? 2 : 3 }
    var steps: Int { self == .small ? 1 : 2 }
    /// States of a trace: what has more is left out before time is lost on it.
    var states: Int { self == .small ? 400 : 20_000 }
}

/// Compares the searches on `count` traces; false if one has lost an outcome, or found one that is none.
func checkTraces(_ count: Int, _ size: TraceSize, seed: UInt64) throws -> Bool {
    var totals = Totals()
    var number: UInt64 = 0
    while totals.compared < count {
        let drawn = try DrawnTrace(number, size, seed: seed)
        number += 1
        guard let drawn, let same = compare(drawn.machine, size, drawn.text, &totals) else { continue }
        if !same { return false }
    }
    print("\(number) traces drawn; larger ones, and those of one task, are left out")
    totals.report("traces")
    return true
}

/// A generated trace of two tasks or more, on a variant of a family.
struct DrawnTrace {
    let machine: Machine
    let text: String

    /// Nil if it is none of these, or its set-up does not run.
    init?(_ number: UInt64, _ size: TraceSize, seed: UInt64) throws {
        let family = families[Int(number) % families.count]
        let variant = family.variants[Int(number) / families.count % family.variants.count]
        let vocabulary = Vocabulary(Era.named(variant.era)!)
        var generator = Generator(vocabulary, weights: family.weights)
        generator.maximalTasks = size.tasks
        generator.maximalSteps = size.steps
        let trace = generator.trace(seed: mix(seed ^ mix(number)))
        guard trace.tasks.count > 1 else { return nil }
        machine = try Machine(variant, slot: 0)
        text = "\(variant.name)\n\(trace)"
        guard machine.load(try CompiledTrace(trace, vocabulary)) == RUN_COMPLETE else { return nil }
    }
}

/// Whether all searches agree on the loaded trace; nil if it is too large.
private func compare(_ machine: Machine, _ size: TraceSize, _ subject: String, _ totals: inout Totals) -> Bool? {
    let (stateful, visited) = outcomes(machine, SearchPlan(.stateful, limit: size.states))
    guard stateful.complete else { return nil }
    var reference = Exploration.Search(mode: .depthFirst)
    if size == .small {
        let expected: Set<Ending>
        (reference, expected) = outcomes(machine, SearchPlan(.depthFirst, limit: Totals.limitOfTraces))
        guard reference.complete else { return nil }
        guard totals.agree("stateful", visited, expected, true, subject) else { return false }
    }
    let (reduced, found) = outcomes(machine, SearchPlan(.reduced, limit: Totals.limit))
    // A large one may be too large for it.
    if size == .large && !reduced.complete && found.isSubset(of: visited) { return nil }
    guard totals.agree("reduced", found, visited, reduced.complete, subject) else { return false }
    totals.add(reference, reduced, stateful, endings: visited.count, outcomes: Set(visited.map(\.outcome)).count)
    return true
}

private func outcomes(_ machine: Machine, _ plan: SearchPlan) -> (search: Exploration.Search, found: Set<Ending>) {
    var found: Set<Ending> = []
    var memory: UInt64 = 0
    attachRecording(machine.arena)
    let result = search(
        machine, plan, atEnd: { memory = stateHash(machine.arena) },
        visit: { found.insert(Ending(outcome: $0.essence, memory: memory)) })
    return (result, found)
}

/// What an execution ended in: what came of it, and every byte that it left behind.
private struct Ending: Hashable {
    var outcome: Outcome.Essence
    var memory: UInt64
}
