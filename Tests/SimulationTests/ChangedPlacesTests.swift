// SPDX-License-Identifier: GPL-2.0-only
import CKernel
import Testing

@testable import Simulation

extension SimulationTests {
    /// What is passed in changed functions is counted, and preempted at.
    @Suite struct ChangedPlacesTests {
        private func branch(_ side: Int, _ from: String?, _ to: String) -> Int {
            let numbers = [from, to].map { name -> Int in
                guard let name else { return 0 }
                let place = (0..<Int(scheduler.covered().pointee.nr_places)).first {
                    yieldPointName(Int(coverage_place(scheduler.covered(), $0).pointee)) == name
                }
                return place.map { $0 + 1 } ?? Int(MAX_CHANGED_PLACES)
            }
            return Int(coverage_branch(scheduler.covered(), side, numbers[0], numbers[1]).pointee)
        }

        @Test func branchesAreCountedOnEachSide() {
            defer { markChangedFunctions([]) }
            TinyMachine.boot(caller, caller)
            markChangedFunctions(["changed", "helper", "never"])
            countCoverage(ofSide: 0)
            _ = TinyMachine.run(.random(seed: 1, switchChance: 0.5))
            #expect(kernel.reached == 0b011)
            countEntries()
            for _ in 0..<2 {
                countCoverage(ofSide: 1)
                _ = TinyMachine.run(.random(seed: 1, switchChance: 0.5))
                countEntries()
            }
            countCoverage(ofSide: nil)
            _ = TinyMachine.run(.roundRobin)

            // Both tasks go through; what a helper passes in between is the helper's.
            #expect(branch(0, nil, "changed:begin") == 2)
            #expect(branch(0, "changed:begin", "changed:loop") == 2)
            #expect(branch(0, "changed:loop", "changed:loop") == 4)
            #expect(branch(0, nil, "changed:loop") == 0)
            #expect(branch(0, nil, "helper:field") == 2)
            #expect(branch(0, "helper:field", "helper:field") == 4)
            #expect(branch(1, "changed:loop", "changed:loop") == 8)
            for function in 0..<3 {
                #expect(coverage_entered(scheduler.covered(), 0, function).pointee == [1, 1, 0][function])
                #expect(coverage_entered(scheduler.covered(), 1, function).pointee == [2, 2, 0][function])
            }
        }

        @Test func anotherPairStartsFromNothing() {
            defer { markChangedFunctions([]) }
            TinyMachine.boot(caller)
            markChangedFunctions(["changed"])
            countCoverage(ofSide: 0)
            _ = TinyMachine.run(.roundRobin)
            countEntries()
            markChangedFunctions(["helper"])
            #expect(branch(0, nil, "helper:field") == 0)
            #expect(coverage_entered(scheduler.covered(), 0, 0).pointee == 0)
            _ = TinyMachine.run(.roundRobin)
            #expect(kernel.reached == 1)
        }

        /// Preemptions are where a patch is, or near it, and nowhere else.
        @Test func focusedSchedulesPreemptThere() {
            defer { markChangedFunctions([]) }
            TinyMachine.boot(caller, caller, caller)
            scheduler.recording = 1
            defer { scheduler.recording = 0 }
            markChangedFunctions(["changed"])
            #expect(places(nearChance: 0.3) == ["changed:begin", "changed:loop"])
            markPlacesNear(labels: ["field"], places: ["caller:after"])
            #expect(places(nearChance: 0) == ["changed:begin", "changed:loop"])
            #expect(
                places(nearChance: 0.3) == [
                    "caller:after", "changed:begin", "changed:loop", "helper:field", "other:field",
                ])
        }

        /// Where tasks are preempted, over many seeds.
        private func places(nearChance: Double) -> [String] {
            var names: Set<String> = []
            for seed in 0..<300 as Range<UInt64> {
                _ = TinyMachine.run(.focused(seed: mix(seed), changeChance: 0.3, nearChance: nearChance))
                for number in 0..<Int(scheduler.nr_decisions) {
                    let decision = scheduler.decision(number).pointee
                    if decision.forced == 0 && decision.task != decision.next {
                        names.insert(yieldPointName(Int(decision.yield_point)))
                    }
                }
            }
            return names.sorted()
        }
    }
}

private let caller: TinyMachine.Program = {
    yield_point("before", "caller")
    yield_point("begin", "changed")
    for _ in 0..<3 {
        yield_point("loop", "changed")
        yield_point("field", "helper")
    }
    yield_point("after", "caller")
    yield_point("field", "other")
    yield_point("end", "caller")
}
