// SPDX-License-Identifier: GPL-2.0-only
// Where a pair's patch can matter: places in the functions that it changes, the places right before and after those, and
// whatever other code does to the same locks and fields.  Found by running a few traces, before all others, so that
// what is near does not depend on what was run.

import CKernel
import KernelModel
import Simulation
import Traces

/// Where to preempt, and how often.
struct Focus: Equatable {
    /// The chance of a place in a changed function to be a change point, and of a place near one.
    var changeChance = 0.15
    var nearChance = 0.0

    /// That of this process's pair, as marks of changed functions are the process's.
    nonisolated(unsafe) static var current = Focus()

    func strategy(_ seed: UInt64) -> Strategy {
        .focused(seed: seed, changeChance: changeChance, nearChance: nearChance)
    }
}

/// What is near changed functions.
struct Surroundings: Equatable {
    /// What they touch: labels of their places.
    var labels: [String] = []
    /// The places right before and after theirs, by name.
    var neighbours: [String] = []
    /// How many places of a run that enters them are near, on average.
    var visits = 0.0
}

extension PairOfMachines {
    /// The traces of a survey are not those of the campaign.
    private static let surveySeed: UInt64 = 0x5eed_0f5e_ed00
    /// Enough to meet nearly all places that changed functions have, in less time than ten traces of a campaign take.
    private static let surveyedTraces = 400
    private static let surveyedRuns = 120

    /// Finds out what is near changed functions and marks it.
    func survey(_ source: TraceSource, _ vocabulary: Vocabulary) {
        var sequences: [[Int]] = []
        var runs = 0
        for number in 0..<PairOfMachines.surveyedTraces where runs < PairOfMachines.surveyedRuns {
            let trace = source.trace(PairOfMachines.surveySeed, number)
            guard let compiled = try? CompiledTrace(trace, vocabulary), load(compiled) else { continue }
            for schedule in 0..<3 {
                ScheduleSeed(seed: PairOfMachines.surveySeed, trace: number, schedule: schedule, choice: .random)
                    .strategy().install()
                for side in [Side.base, .patched] {
                    guard let passed = placesPassed(self[side]) else { continue }
                    sequences += passed
                    runs += 1
                }
            }
        }
        markSurroundings(Surroundings(sequences, runs: runs))
    }

    private func markSurroundings(_ surroundings: Surroundings) {
        markPlacesNear(labels: surroundings.labels, places: surroundings.neighbours)
        Focus.current = Focus()
        if surroundings.visits > 0 { Focus.current.nearChance = min(Focus.changePoints / surroundings.visits, 1) }
    }

    /// For each task of a run that enters changed functions, the places that it passed; nil for other runs.
    private func placesPassed(_ machine: Machine) -> [[Int]]? {
        let log = StepLog()
        _ = log.record { machine.run() }
        guard kernel.reached != 0 else { return nil }
        var sequences = Array(repeating: [Int](), count: Int(kernel.nr_tasks))
        for number in 0..<Int(scheduler.nr_log) {
            let entry = scheduler.log![number]
            guard entry.kind == UInt8(LOG_STEP.rawValue), Int(entry.task) < sequences.count else { continue }
            sequences[Int(entry.task)].append(Int(entry.yield_point))
        }
        return sequences
    }
}

extension Focus {
    /// How many places near changed functions a run is to be preempted at, on average.
    fileprivate static let changePoints = 1.0
}

extension Surroundings {
    /// Labels of places where nothing is touched that another task could want.
    private static let idle: Set = ["unlock", "cpu", "end", "ipi"]

    /// - Parameter sequences: the places that tasks passed, in runs that entered changed functions.
    init(_ sequences: [[Int]], runs: Int) {
        var labels: Set<String> = []
        var neighbours: Set<String> = []
        for sequence in sequences {
            for (index, place) in sequence.enumerated() where isChanged(place) {
                labels.insert(yieldPointLabel(place))
                for near in [index - 1, index + 1] where sequence.indices.contains(near) {
                    if !isChanged(sequence[near]) { neighbours.insert(yieldPointName(sequence[near])) }
                }
            }
        }
        self.labels = labels.subtracting(Surroundings.idle).sorted()
        self.neighbours = neighbours.sorted()
        // By place, since names are slow.
        var near: [Int: Bool] = [:]
        for place in Set(sequences.joined()) { near[place] = isNear(place) }
        let count = sequences.reduce(0) { $0 + $1.count { near[$0]! } }
        visits = runs == 0 ? 0 : Double(count) / Double(runs)
    }
}

extension Surroundings {
    private func isNear(_ place: Int) -> Bool {
        !isChanged(place)
            && (labels.contains(yieldPointLabel(place)) || neighbours.contains(yieldPointName(place)))
    }
}

private func isChanged(_ place: Int) -> Bool {
    scheduler.name(place).pointee.changed != 0
}
