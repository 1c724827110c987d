// SPDX-License-Identifier: GPL-2.0-only
// mmdiff digest: outcomes of every variant as one number each, by which two builds are compared.

import ArgumentParser
import Differential
import Simulation

struct DigestCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "digest", abstract: "Print a number for each variant's outcomes.", shouldDisplay: false)

    @Option(help: "How many traces to draw.")
    var traces = 20

    @Option(help: "How many schedules to run of each.")
    var schedules = 16

    @Option(help: "The seed that traces and schedules are drawn from.")
    var seed: UInt64 = 1

    func run() throws {
        guard let arena = Arena(slot: 0) else { throw NoAddressSpace() }
        for family in commandLineCatalog.families {
            for variant in family.variants {
                let value = try digest(
                    of: variant, weights: family.weights, traces: traces, schedules: schedules, seed: seed,
                    arena: arena)
                print("\(family.name)/\(variant.name) \(String(value, radix: 16))")
            }
        }
    }
}
