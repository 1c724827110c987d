// SPDX-License-Identifier: GPL-2.0-only
import CKernel
import Foundation
import KernelModel
import Simulation
import Testing
import Traces
import VariantKit

@testable import Differential

extension DifferentialTests {
    /// What is drawn is worth running: each operation of each era comes up, and mostly does something.
    @Suite struct GeneratorSuccessTests {
        private static let traces = 2500

        private func forgetYieldPoints() {
            scheduler.nr_yield_points = 0
            for slot in 0..<UInt(YIELD_POINT_CACHE) { scheduler.cached(slot).pointee = yield_point_cache() }
        }

        struct Count {
            var drawn = 0
            var succeeded = 0
        }

        @Test(arguments: Era.all.map(\.name)) func operationsSucceed(_ name: String) throws {
            // The engine has room for the places of one era, and other tests come before and after.
            forgetYieldPoints()
            defer { forgetYieldPoints() }
            let era = try #require(Era.named(name))
            let vocabulary = Vocabulary(era)
            let variant = Variant(name: name, era: name, summary: "", changedFunctions: [], install: { _ in })
            let machine = Machine(arena: arenas.0, operations: operationsTable(era, variant))
            let source = TraceSource.generator(Generator(vocabulary))
            var counts: [String: Count] = [:]
            func note(_ step: Traces.Step, _ result: Int) {
                counts[step.operation.name, default: Count()].drawn += 1
                if result >= 0 { counts[step.operation.name]!.succeeded += 1 }
            }
            var traces = 0
            for number in 0..<Self.traces {
                let trace = source.trace(1, number)
                guard machine.load(try CompiledTrace(trace, vocabulary)) == RUN_COMPLETE else { continue }
                ScheduleSeed(seed: 1, trace: number, schedule: 0).strategy().install()
                let end = machine.run().end
                guard end == UInt8(RUN_COMPLETE.rawValue) else { continue }
                traces += 1
                for (task, program) in trace.tasks.enumerated() {
                    for (op, step) in program.steps.enumerated() { note(step, kernel.task(task).result(op).pointee) }
                }
                for (op, item) in trace.setup.steps.enumerated() {
                    note(item.step, kernel.task(Int(kernel.nr_tasks)).result(op).pointee)
                }
            }
            var table = "\(name): \(traces) traces, \(scheduler.nr_yield_points) places\n"
            for operation in era.operations where operation.weight > 0 {
                let count = counts[operation.name] ?? Count()
                table += "  \(operation.name) \(count.succeeded) of \(count.drawn)\n"
            }
            if ProcessInfo.processInfo.environment["MMDIFF_SHOW"] != nil { print(table) }
            #expect(traces * 10 > Self.traces * 9)
            for operation in era.operations where operation.weight > 0 {
                let count = counts[operation.name] ?? Count()
                #expect(count.drawn >= 10, "\(operation.name) is drawn \(count.drawn) times")
                #expect(
                    count.succeeded * 5 >= count.drawn,
                    "\(operation.name) succeeds \(count.succeeded) of \(count.drawn)")
            }
        }
    }
}
