// SPDX-License-Identifier: GPL-2.0-only
// Small random traces, explored completely on both sides of a pair by reduced search: where their outcome sets are
// equal, no schedule was missed.

import CKernel
import KernelModel
import Simulation
import Traces

/// What comparing the outcome sets of small random traces gave.
public struct CompleteComparison: Codable, Sendable {
    /// How much to compare.
    public struct Plan: Codable, Sendable {
        public var seed: UInt64
        /// Ends when both sides together have run so many schedules.
        public var schedules: Int
        public var seconds: Double

        public init(seed: UInt64, schedules: Int, seconds: Double) {
            (self.seed, self.schedules, self.seconds) = (seed, schedules, seconds)
        }
    }

    /// Traces whose outcome sets were compared.
    public var traces = 0
    /// Schedules of these that were run, of both sides: one of each kind.
    public var schedules = 0
    /// Traces left out since they have too many schedules.
    public var larger = 0
    /// Traces with different outcome sets, in full.
    public var different: [String] = []

    public init() {}

    /// Tasks of a trace, and steps of a task.
    private static let (tasks, steps) = (2, 2)
    /// Schedules of a trace and a side: a few traces with many would take the time of many with few.
    private static let limit = 500
    /// Schedules after which a trace must have entered a changed function.
    private static let probes = 8

    /// Draws traces with `weights` until the plan is carried out.
    ///
    /// - Parameter progress: called at the end of each trace.
    public mutating func run(
        _ pair: PairOfMachines, _ vocabulary: Vocabulary, _ weights: [String: Int], _ plan: Plan,
        progress: () -> Void
    ) throws {
        var generator = Generator(vocabulary, weights: weights)
        (generator.maximalTasks, generator.maximalSteps) = (CompleteComparison.tasks, CompleteComparison.steps)
        let end = ContinuousClock.now + .seconds(plan.seconds)
        var number: UInt64 = 0
        while schedules < plan.schedules && ContinuousClock.now < end {
            let trace = generator.trace(seed: mix(plan.seed ^ mix(number)))
            number += 1
            if trace.tasks.count > 1 { compare(pair, trace, try CompiledTrace(trace, vocabulary)) }
            progress()
        }
    }

    private mutating func compare(_ pair: PairOfMachines, _ trace: Trace, _ compiled: CompiledTrace) {
        guard pair.load(compiled) else { return }
        let base = Outcomes(of: pair.base)
        guard base.entered else { return }
        guard base.complete, case let patched = Outcomes(of: pair.patched), patched.complete else {
            larger += 1
            return
        }
        traces += 1
        schedules += base.schedules + patched.schedules
        if base.essences != patched.essences || base.attempts != patched.attempts { different.append("\(trace)") }
    }

    /// All outcomes of the loaded trace on one side.
    private struct Outcomes {
        var essences: Set<Outcome.Essence> = []
        /// The endings of attempts, over all schedules.
        var attempts: UInt64 = 0
        var schedules = 0
        var complete = false
        /// Whether some schedule entered a changed function.
        var entered = false

        init(of machine: Machine) {
            machine.useTrace()
            let plan = SearchPlan(.reduced, limit: CompleteComparison.limit)
            let result = search(machine.arena, plan) { end in
                if kernel.reached != 0 { entered = true }
                schedules += 1
                let outcome = Outcome(end, machine)
                machine.useTrace()
                essences.insert(outcome.essence)
                attempts |= outcome.attempts
                return entered || schedules < CompleteComparison.probes
            }
            complete = result.complete
        }
    }
}
