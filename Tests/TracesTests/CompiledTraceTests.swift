// SPDX-License-Identifier: GPL-2.0-only
// The form in which traces run, and schedules as the engine knows them.

import CKernel
import KernelModel
import Simulation
import Testing

@testable import Traces

@Suite struct CompiledTraceTests {
    @Test func programsAreFlat() throws {
        let compiled = try CompiledTrace(parse(example), vocabulary)
        #expect(compiled.tasks.map(\.process) == [0, 1, nil, nil])
        #expect(compiled.tasks.map(\.cpu) == [0, 1, 1, 0])
        #expect(compiled.programs.map(\.nr_ops) == [3, 4, 2, 1])
        #expect(compiled.setup.pointee.nr_ops == 5)
        let names = (0..<5).map { compiled.operationName(compiled.setup.pointee.ops[$0]) }
        #expect(names == ["mmap", "write", "fork", "kswapd", "mmap"])
        #expect(compiled.setup.pointee.ops[3].process == UInt8(NO_PROCESS))
        #expect(compiled.programs[3].ops[0].process == UInt8(NO_PROCESS))
    }

    /// Arguments are added to the results they refer to, the program's own or the set-up's.
    @Test func resultsAreResolved() throws {
        let compiled = try CompiledTrace(
            parse(
                """
                mmdiff trace 1
                era v5.13
                setup
                  p0 read(0x1000)
                  r5 = p0 mmap(0, 0x1000, 0, 0, -, 0)
                  p0 write(r5+0x10)
                task t0 p0 cpu=0
                  r9 = mmap(0x5000, 0x1000, 0, 0, -, 7)
                  mremap(r5-0x1000, 0x1000, 0x2000, MREMAP_FIXED, r9+0x3000)
                """), vocabulary)
        let setupResults: [Int] = [1, 0x20000]
        let ownResults: [Int] = [0x70000]
        func arguments(_ op: compiled_op) -> [Int] {
            var values = Array(repeating: -1, count: Int(MAX_ARGUMENTS))
            withUnsafePointer(to: op) { resolve_arguments($0, ownResults, setupResults, &values) }
            return values
        }
        #expect(arguments(compiled.programs[0].ops[1]) == [0x1f000, 0x1000, 0x2000, 2, 0x73000, -1])
        #expect(arguments(compiled.programs[0].ops[0]) == [0x5000, 0x1000, 0, 0, noFile, 7])
        // In the set-up the own results are the set-up's.
        var values = Array(repeating: -1, count: Int(MAX_ARGUMENTS))
        resolve_arguments(compiled.setup.pointee.ops + 2, setupResults, setupResults, &values)
        #expect(values[0] == 0x20010)
    }

    @Test func aMissingResultIsAFault() throws {
        var trace = try parse(example)
        trace.setup.steps.remove(at: 0)
        #expect(throws: CompiledTrace.Fault.self) { try CompiledTrace(trace, vocabulary) }
        #expect(throws: CompiledTrace.Fault.self) { try CompiledTrace(parse(example), oldVocabulary) }
        trace = try parse(example)
        trace.tasks[0].steps[0].arguments.removeLast()
        #expect(throws: CompiledTrace.Fault.self) { try CompiledTrace(trace, vocabulary) }
    }

    /// A trace that was cut down, not parsed, may name what its machine no longer has.
    @Test func whatTheMachineHasNotIsAFault() throws {
        var trace = Trace(era: vocabulary.era, machine: MachineShape(), setup: Setup(steps: []), tasks: [])
        trace.tasks = [Program(.kernel, cpu: 0)]
        trace.tasks[0].steps = [Step(try #require(vocabulary["kswapd"]), [.value(1)])]
        #expect(throws: CompiledTrace.Fault.self) { try CompiledTrace(trace, vocabulary) }
        trace.machine.nodes = 2
        #expect(throws: Never.self) { try CompiledTrace(trace, vocabulary) }
    }

    @Test func generatedTracesCompile() throws {
        let generator = Generator(vocabulary)
        for seed: UInt64 in 0..<500 {
            let trace = generator.trace(seed: seed)
            let compiled = try CompiledTrace(trace, vocabulary)
            #expect(compiled.programs.map { Int($0.nr_ops) } == trace.tasks.map(\.steps.count))
        }
    }

    /// What is installed and what is recorded are the same list, so one can be read back as the other.
    @Test func schedulesAreReadBack() throws {
        // Other tests have filled the table of names up to what files may take.
        scheduler.nr_yield_points = 0
        for slot in 0..<UInt(YIELD_POINT_CACHE) { scheduler.cached(slot).pointee = yield_point_cache() }
        let schedule = try #require(try parse(example).schedule)
        CompiledSchedule(schedule).install()
        #expect(scheduler.nr_replay == 4)
        #expect(scheduler.replayed(0).pointee.task == 1 && scheduler.replayed(0).pointee.next == 1)
        scheduler.nr_decisions = 3
        scheduler.decision(0).update(from: scheduler.replayed(1), count: 3)
        let again = Schedule(recordedFrom: 1)
        #expect(again.decisions.map(\.description) == schedule.decisions.map(\.description))
        #expect(again.start == 1)
    }

    /// Names from files must not take the room of the model's.
    @Test func aScheduleOfUnknownPlacesDoesNoHarm() {
        let decisions = (0..<3000).map {
            Decision(task: 0, op: 0, function: "f\($0)", label: "l", occurrence: 1, forced: false, next: 1)
        }
        CompiledSchedule(Schedule(decisions: decisions)).install()
        #expect(scheduler.nr_yield_points < UInt32(MAX_YIELD_POINTS))
        #expect(scheduler.nr_replay < 3000)
        scheduler.nr_yield_points = 0
        scheduler.nr_replay = 0
    }
}
