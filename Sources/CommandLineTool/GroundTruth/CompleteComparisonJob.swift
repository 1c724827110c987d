// SPDX-License-Identifier: GPL-2.0-only
// Compares the outcome sets of a pair on small random traces, in a process of its own.

import Differential
import KernelModel
import Processes
import Traces
import VariantKit

struct CompleteComparisonJob: Codable {
    var pair: CompiledPair
    var family: String
    var plan: CompleteComparison.Plan

    func run(_ worker: Worker) throws {
        worker.begin("a comparison under all schedules")
        let family = try commandLineCatalog.family(family)
        let era = family.variants[0].era
        let (base, patched) = try commandLineCatalog.load(pair, era: era)
        var comparison = CompleteComparison()
        try comparison.run(
            PairOfMachines(base: base, patched: patched), Vocabulary(Era.named(era)!), family.weights, plan
        ) { worker.progress() }
        try worker.send(comparison)
    }
}
