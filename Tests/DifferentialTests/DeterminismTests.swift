// SPDX-License-Identifier: GPL-2.0-only
import CKernel
import Foundation
import KernelModel
import MunlockSplit
import RetractPageTables
import Simulation
import Testing
import Traces
import VariantKit

@testable import Differential

extension DifferentialTests {
    /// An outcome is a function of trace, schedule and variant: neither of addresses, nor of what memory
    /// held, nor of which free page is taken, nor of how mmdiff was built.
    @Suite struct DeterminismTests {
        @Test(arguments: munlockSplit.variants.map(\.name))
        func memoryMakesNoDifference(_ variant: String) throws {
            let pair = try pair(variant, variant)
            var runs = 0
            for number in 0..<200 {
                let compiled = try CompiledTrace(traces.trace(11, number), vocabulary)
                guard pair.load(compiled, alike: false) else { continue }
                for schedule in 0..<16 {
                    let place = ScheduleSeed(seed: 11, trace: number, schedule: schedule)
                    place.strategy().install()
                    let (first, second) = (pair.base.run(), pair.patched.run())
                    #expect(first == second, "trace \(number), schedule \(schedule)")
                    runs += 1
                }
            }
            #expect(runs > 2000)
        }

        /// The tails of a huge page hold what they held as small ones.
        @Test func whatTailsHoldMakesNoDifference() throws {
            let text = """
                mmdiff trace 1
                era v6.5
                machine cpus=2 nodes=2 pages=32 ptes=8 pmds=4 swap=8 pagevec=15
                file f0 shmem pages=8
                setup
                  p0 mmap(0x8000, 0x8000, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS|MAP_LOCKED, -, 0)
                  p0 fork(p1)
                  p0 write(0xd000)
                  p0 madvise(0x8000, 0x8000, MADV_COLLAPSE)
                task t0 p0 cpu=0
                  fork(p2)
                task t1 p2 cpu=1
                  change_prot_numa(0xc000, 0x1000)

                """
            let old = try #require(retractPageTables.variant("old"))
            let pair = try PairOfMachines(base: old, patched: old, arenas: arenas)
            let trace = try Trace(parsing: Array(text.utf8), file: "test", eras: Vocabulary.all)
            #expect(pair.load(try CompiledTrace(trace, Vocabulary(.v6_5)), alike: false))
            let outcomes = [pair.base, pair.patched].map { outcome($0, ScheduleSeed(seed: 1, trace: 0, schedule: 0)) }
            #expect(outcomes[0] == outcomes[1])
        }

        @Test func aRunLeavesNothingBehind() throws {
            let pair = try pair("page_mlock.merged", "page_mlock.merged")
            for number in 0..<20 {
                guard pair.load(try CompiledTrace(traces.trace(12, number), vocabulary)) else { continue }
                let places = (0..<16).map { ScheduleSeed(seed: 12, trace: number, schedule: $0) }
                let forward = places.map { outcome(pair.base, $0) }
                let backward = places.reversed().map { outcome(pair.base, $0) }
                #expect(forward == backward.reversed())
            }
        }

        private func outcome(_ machine: Machine, _ place: ScheduleSeed) -> Outcome {
            place.strategy().install()
            return machine.run()
        }

        /// `make test` names the release build; without it both sides are this build.
        @Test func aReleaseBuildComputesTheSame() throws {
            let (count, schedules, seed) = (10, 8, UInt64(3))
            let here = try munlockSplit.variants.map { variant in
                let value = try digest(
                    of: variant, weights: munlockSplit.weights, traces: count, schedules: schedules, seed: seed,
                    arena: arenas.0)
                return "\(munlockSplit.name)/\(variant.name) \(String(value, radix: 16))"
            }
            let there = try outputOfMmdiff(
                "digest", "--traces", "\(count)", "--schedules", "\(schedules)", "--seed", "\(seed)")
            #expect(there.split(separator: "\n").map(String.init).filter { $0.hasPrefix(munlockSplit.name) } == here)
        }
    }
}

/// What mmdiff prints: the executable that MMDIFF names, else the one that was built with the tests.
private func outputOfMmdiff(_ arguments: String...) throws -> String {
    let process = Process()
    let besideTests = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
    process.executableURL =
        ProcessInfo.processInfo.environment["MMDIFF"].map { URL(filePath: $0) } ?? besideTests.appending(path: "mmdiff")
    process.arguments = arguments
    // A few lines fit into a pipe.
    let pipe = Pipe()
    process.standardOutput = pipe
    try process.run()
    process.waitUntilExit()
    #expect(process.terminationStatus == 0)
    return String(decoding: try pipe.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
}
