// SPDX-License-Identifier: GPL-2.0-only
// How fast the simulation is, on generated traces of three tasks with every invariant on; beside it, in the
// same run, a fixed reference, since machines differ.

import CKernel
import KernelModel
import Simulation
import Traces
import VariantKit

/// One measured figure.
public struct Measurement: Codable, Sendable {
    public var name: String
    public var value: Double
    public var unit: String
}

/// Measures a pair of machines.
public final class Benchmark {
    private let pair: PairOfMachines
    private let traces: [CompiledTrace]
    private let clock = ContinuousClock()

    /// - Parameter count: how many traces to measure; the first ones of three tasks that the seed gives.
    public init(_ pair: PairOfMachines, _ generator: Generator, seed: UInt64, traces count: Int) {
        self.pair = pair
        var found: [CompiledTrace] = []
        var number: UInt64 = 0
        while found.count < count {
            let trace = generator.trace(seed: mix(seed ^ mix(number)))
            number += 1
            guard trace.tasks.count == 3, let compiled = try? CompiledTrace(trace, generator.vocabulary),
                pair.load(compiled)
            else { continue }
            found.append(compiled)
        }
        traces = found
    }

    /// Schedules of each trace.
    private static let schedules = 200

    /// Executions a second of three fibers that do nothing: what machines differ in.
    public static func reference() -> Measurement {
        Measurement(name: "reference: bare executions of three idle fibers", value: bareExecutions(), unit: "/s")
    }

    /// All figures, in the order of a report.
    public func run(reference: Measurement) -> [Measurement] {
        let whole = phase { _ = $0.run() }
        let pairs = pairsPerSecond()
        let execution = phase {
            $0.useTrace(); _ = runInterleaved($0.arena)
        }
        let settling = phase { machine in
            machine.useTrace()
            if runInterleaved(machine.arena) == RUN_COMPLETE && kernel.violations == 0 { _ = settle(machine.arena) }
        }
        let checking = phase { machine in
            machine.useTrace()
            guard runInterleaved(machine.arena) == RUN_COMPLETE && kernel.violations == 0 else { return }
            if settle(machine.arena) { checkInvariantsAtRest() }
        }
        let resetting = phase { machine in
            kernel = machine.arena.root
            machine.arena.reset()
        }
        let yields = whole.yields / whole.runs
        return [
            Measurement(name: "sequential operations", value: sequentialOperations(), unit: "/s"),
            Measurement(name: "yields a schedule", value: yields, unit: ""),
            Measurement(name: "time a yield, kernel code included", value: execution.nanoseconds / yields, unit: "ns"),
            Measurement(name: "arena used", value: Double(pair.base.arena.used) / 1024, unit: "KiB"),
            Measurement(name: "complete schedules", value: 1e9 / whole.nanoseconds, unit: "/s"),
            Measurement(name: "complete pairs", value: pairs, unit: "/s"),
            Measurement(name: "pairs to the reference", value: pairs / reference.value, unit: ""),
            Measurement(name: "share of the reset", value: resetting.nanoseconds / whole.nanoseconds, unit: ""),
            Measurement(
                name: "share of the execution",
                value: (execution.nanoseconds - resetting.nanoseconds) / whole.nanoseconds, unit: ""),
            Measurement(
                name: "share of the drain at the end",
                value: (settling.nanoseconds - execution.nanoseconds) / whole.nanoseconds, unit: ""),
            Measurement(
                name: "share of the invariants",
                value: (checking.nanoseconds - settling.nanoseconds) / whole.nanoseconds, unit: ""),
            Measurement(
                name: "share of the outcome's hashes",
                value: (whole.nanoseconds - checking.nanoseconds) / whole.nanoseconds, unit: ""),
        ]
    }

    private struct Phase {
        /// Of one run.
        var nanoseconds: Double
        var yields: Double
        var runs: Double
    }

    /// Times `body` under all schedules of all traces, on one side.
    private func phase(_ body: (Machine) -> Void) -> Phase {
        var time = Duration.zero
        var yields = 0
        let machine = pair.base
        for (number, trace) in traces.enumerated() {
            _ = pair.load(trace)
            let start = clock.now
            for schedule in 0..<Benchmark.schedules {
                ScheduleSeed(seed: 1, trace: number, schedule: schedule).strategy().install()
                body(machine)
                yields += Int(kernel.steps)
            }
            time += clock.now - start
        }
        let runs = Double(traces.count * Benchmark.schedules)
        return Phase(nanoseconds: seconds(time) * 1e9 / runs, yields: Double(yields), runs: runs)
    }

    private func pairsPerSecond() -> Double {
        var time = Duration.zero
        for (number, trace) in traces.enumerated() {
            _ = pair.load(trace)
            let start = clock.now
            for schedule in 0..<Benchmark.schedules {
                let strategy = ScheduleSeed(seed: 1, trace: number, schedule: schedule).strategy()
                strategy.install()
                let first = pair.base.run()
                if pair.patched.run().essence != first.essence { continue }
            }
            time += clock.now - start
        }
        return Double(traces.count * Benchmark.schedules) / seconds(time)
    }

    /// Operations a second where nobody is preempted.
    private func sequentialOperations() -> Double {
        var time = Duration.zero
        var operations = 0
        for trace in traces {
            _ = pair.load(trace)
            let start = clock.now
            for _ in 0..<Benchmark.schedules {
                Strategy.random(seed: 1, switchChance: 0).install()
                _ = pair.base.run()
                for number in 0..<Int(kernel.nr_tasks) { operations += Int(kernel.task(number).op) }
            }
            time += clock.now - start
        }
        return Double(operations) / seconds(time)
    }

    private static func bareExecutions() -> Double {
        guard let bare = BareFibers() else { return .nan }
        let count = 200_000
        let duration = ContinuousClock().measure { for _ in 0..<count { bare.execute() } }
        return Double(count) / seconds(duration)
    }
}

func seconds(_ duration: Duration) -> Double {
    Double(duration.components.seconds) + Double(duration.components.attoseconds) * 1e-18
}
