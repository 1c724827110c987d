// SPDX-License-Identifier: GPL-2.0-only
// Random programs: each search against the reference.

import CKernel
import Differential
import Simulation

/// Compares the searches on `count` sets of programs, after those that are known to be hard; false if one has lost an
/// outcome, or found one that is none.
func checkPrograms(_ count: Int, seed: UInt64) -> Bool {
    var random = Random(seed: seed)
    var totals = Totals()
    var known = RandomPrograms.onceWrong[...]
    while totals.compared < RandomPrograms.onceWrong.count + count {
        let programs =
            known.popFirst()
            ?? RandomPrograms(&random, tasks: 2 + random.below(2), length: 2 + random.below(3))
        ProgramMachine.boot(programs)
        let (reference, expected) = outcomes(.depthFirst)
        guard reference.complete else { continue }
        let (reduced, found) = outcomes(.reduced)
        guard totals.agree("reduced", found, expected, reduced.complete, "\(programs)") else { return false }
        let (stateful, visited) = outcomes(.stateful)
        guard totals.agree("stateful", visited, expected, stateful.complete, "\(programs)") else { return false }
        totals.add(
            reference, reduced, stateful, endings: expected.count, outcomes: Set(expected.map { $0.dropLast() }).count)
    }
    totals.report("programs")
    return true
}

private func outcomes(_ mode: SearchMode) -> (Exploration.Search, Set<[Int]>) {
    var found: Set<[Int]> = []
    attachRecording(ProgramMachine.arena)
    let plan = SearchPlan(mode, limit: mode == .stateful ? Totals.limit * 10 : Totals.limit)
    let result = search(ProgramMachine.arena, plan) {
        found.insert(ProgramMachine.outcome($0) + [Int(bitPattern: UInt(stateHash(ProgramMachine.arena)))])
        return true
    }
    return (result, found)
}

/// What was compared so far.
struct Totals {
    /// Schedules of the reference: what has more is left out.
    static let limit = 10_000
    /// The same of a trace, where each takes longer.
    static let limitOfTraces = 3_000

    var compared = 0
    /// Different ones of the memory that is left, and of what came of it.
    var endings = 0
    var outcomes = 0
    var schedules = 0
    var reduced = 0
    var redundant = 0
    var states = 0
    var steps = (reference: 0, reduced: 0, stateful: 0)

    mutating func add(
        _ reference: Exploration.Search, _ reduced: Exploration.Search, _ stateful: Exploration.Search,
        endings: Int, outcomes: Int
    ) {
        compared += 1
        self.endings += endings
        self.outcomes += outcomes
        schedules += reference.schedules
        self.reduced += reduced.schedules
        redundant += reduced.redundant ?? 0
        states += stateful.states ?? 0
        steps.reference += reference.steps
        steps.reduced += reduced.steps
        steps.stateful += stateful.steps
    }

    /// Says so if a search has not found what the reference has.
    func agree<Outcome: Hashable>(
        _ search: String, _ found: Set<Outcome>, _ expected: Set<Outcome>, _ complete: Bool, _ subject: String
    ) -> Bool {
        if found == expected && complete { return true }
        let lost = expected.subtracting(found).count
        let wrong = found.subtracting(expected).count
        print(
            "\(search)\(complete ? "" : " (not complete)"): \(lost) of \(expected.count) endings lost, \(wrong) wrong")
        for ending in expected.subtracting(found).prefix(3) { print("  lost \(ending)") }
        for ending in found.subtracting(expected).prefix(3) { print("  wrong \(ending)") }
        print(subject)
        return false
    }

    func report(_ subjects: String) {
        print("\(compared) \(subjects), \(outcomes) outcomes, \(endings) ways that memory is left: all searches agree")
        if schedules > 0 { print("depth-first: \(schedules) schedules, \(steps.reference) steps") }
        print("reduced: \(reduced) schedules and \(redundant) left early, \(steps.reduced) steps")
        print("stateful: \(states) states, \(steps.stateful) steps")
    }
}
