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

    /// The generator is part of what a seed means: a change to it changes what old reports name.
    @Test func aGeneratedTrace() {
        #expect(
            generator.trace(seed: 9).description == """
                mmdiff trace 1
                era v5.13
                machine cpus=2 nodes=2 pages=32 ptes=8 pmds=4 swap=8 pagevec=15 movable=0
                file f0 shmem pages=8
                setup
                  p0 mmap(0x10000, 0x3000, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_FIXED, f0, 0)
                  p0 fork(p1)
                  p0 fork(p2)
                  p0 read(0x10000)
                  p2 munlock(0x12000, 0x1000)
                  p2 write(0x10000)
                task t0 p0 cpu=1
                  move_pages(p2, 0x12000, 0x1000, 1)
                task t1 kernel cpu=1
                  compact(-2)

                """)
    }

    /// Most addresses point to something that is mapped there and then, and some do not.
    @Test func addressesMostlyHit() throws {
        var hits = 0
        var misses = 0
        for seed: UInt64 in 0..<1000 {
            let trace = generator.trace(seed: seed)
            let mapped = trace.setup.steps.map(\.step).filter { $0.operation.name == "mmap" }
            for step in trace.tasks.flatMap(\.steps)
            where ["mlock", "munlock", "madvise"].contains(step.operation.name) {
                let address = step.arguments[0]
                let isMapped = mapped.contains { map in
                    guard case .value(let length) = map.arguments[1] else { return false }
                    switch (address, map.arguments[0], map.result) {
                    case (.value(let address), .value(let start), nil):
                        return (start..<start + length).contains(address)
                    case (.result(let name, let offset), _, let result?):
                        return name == result && (0..<length).contains(offset)
                    default: return false
                    }
                }
                if isMapped { hits += 1 } else { misses += 1 }
            }
        }
        #expect(hits > 6 * misses)
        #expect(misses > 20)
    }

    /// The table that users have, too: each of its operations comes up, and all arguments are in their domains.
    @Test(arguments: Vocabulary.all) func theModelsOperations(_ era: Vocabulary) throws {
        let generator = Generator(era)
        var drawn: Set<String> = []
        for seed: UInt64 in 0..<2000 {
            let trace = generator.trace(seed: seed)
            #expect(try Trace(parsing: trace.description, file: "generated", eras: Vocabulary.all) == trace)
            drawn.formUnion(trace.tasks.flatMap(\.steps).map(\.operation.name))
            drawn.formUnion(trace.setup.steps.map(\.step.operation.name))
        }
        #expect(era.operations.filter { $0.weight > 0 && !drawn.contains($0.name) }.map(\.name) == [])
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
