// SPDX-License-Identifier: GPL-2.0-only
// What the generator makes: valid, the same each time, and mostly aimed at something.

import KernelModel
import Testing
import Traces

@Suite struct GeneratorTests {
    let generator = Generator(vocabulary)

    @Test func tracesAreReadBackAsTheyWere() throws {
        for seed in 0..<2000 {
            let trace = generator.trace(seed: UInt64(seed))
            let text = trace.description
            let again = try Trace(parsing: text, file: "generated", eras: eras)
            #expect(again == trace)
            #expect(again.description == text)
        }
    }

    @Test func aSeedAlwaysGivesTheSameTrace() {
        for seed: UInt64 in 0..<100 {
            #expect(generator.trace(seed: seed) == Generator(vocabulary).trace(seed: seed))
        }
        #expect(generator.trace(seed: 1) != generator.trace(seed: 2))
    }

    @Test func sizesAreSmall() {
        for seed: UInt64 in 0..<1000 {
            let trace = generator.trace(seed: seed)
            #expect((2...4).contains(trace.tasks.count))
            #expect((1...11).contains(trace.setup.steps.count))
            for task in trace.tasks { #expect((1...4).contains(task.steps.count)) }
        }
    }

    @Test func weightsAreFactors() {
        let only = Generator(
            vocabulary,
            weights: Dictionary(uniqueKeysWithValues: testOperations.map { ($0.name, $0.name == "munlock" ? 5 : 0) }))
        for seed: UInt64 in 0..<100 {
            for task in only.trace(seed: seed).tasks {
                for step in task.steps { #expect(step.operation.name == "munlock") }
            }
        }
    }
}
