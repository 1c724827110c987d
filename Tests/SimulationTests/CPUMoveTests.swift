// SPDX-License-Identifier: GPL-2.0-only
import CKernel
import Testing

@testable import Simulation

extension SimulationTests {
    /// Tasks that go on on another CPU: where they may, and only there.
    @Suite struct CPUMoveTests {
        private func expectReplay(_ written: Int) {
            let recorded = (0..<Int(scheduler.nr_decisions)).map { scheduler.decision($0).pointee }
            for (index, decision) in recorded.enumerated() { scheduler.replayed(index).pointee = decision }
            scheduler.nr_replay = UInt32(recorded.count)
            #expect(TinyMachine.run(.replay) == RUN_COMPLETE)
            #expect(diary == written)
        }

        @Test func aSearchTriesEachCPU() {
            TinyMachine.boot(whereAmI)
            var diaries: [Int] = []
            #expect(TinyMachine.search { _ in diaries.append(diary) }.unbounded)
            let digits = 1...Int(NR_CPUS)
            #expect(diaries.sorted() == digits.flatMap { first in digits.map { first * 10 + $0 } })
        }

        @Test func aMoveCountsAsAPreemption() {
            TinyMachine.boot(whereAmI)
            let others = Int(NR_CPUS) - 1
            for (bound, schedules) in [(0, 1), (1, 1 + 2 * others), (2, (1 + others) * (1 + others))] {
                let result = TinyMachine.search(preemptionBound: bound)
                #expect(result.schedules == schedules && result.complete)
            }
        }

        @Test func nobodyMovesWithPreemptionOff() {
            for program in [underALock, withInterruptsOff] {
                TinyMachine.boot(program)
                let result = TinyMachine.search { _ in #expect(diary == 1) }
                #expect(result.schedules == 1)
                for seed in 0..<50 as Range<UInt64> {
                    _ = TinyMachine.run(.random(seed: seed, switchChance: 0.5))
                    #expect(diary == 1)
                }
            }
        }

        @Test func whoMovesWaitsForTheCPU() {
            TinyMachine.boot(whereAmI, keepsTheCPU, cpus: [0, 1])
            let result = TinyMachine.search(schedules: 20_000) { end in
                #expect(end == RUN_COMPLETE)
                // Who holds CPU 1 notes 8 and 9, and nothing of CPU 1 lies between them.
                #expect(!"\(diary)".contains("82"))
            }
            #expect(result.complete)
        }

        @Test func seedsMoveATaskAndNoChanceMovesNone() {
            TinyMachine.boot(whereAmI)
            let diaries = (0..<100 as Range<UInt64>).map { seed in
                _ = TinyMachine.run(.random(seed: seed, switchChance: 0.1))
                return diary
            }
            #expect(Set(diaries).count > 3 && diaries.count { $0 == 11 } > 30)
            for strategy in [Strategy.random(seed: 1, switchChance: 0), .roundRobin] {
                _ = TinyMachine.run(strategy)
                #expect(diary == 11)
            }
        }

        @Test func movesCanBeReplayed() {
            TinyMachine.boot(whereAmI, keepsTheCPU, cpus: [0, 1])
            scheduler.recording = 1
            defer { scheduler.recording = 0 }
            for seed in 0..<50 as Range<UInt64> {
                for strategy in [Strategy.random(seed: seed, switchChance: 0.4), .pct(seed: seed, depth: 3, steps: 5)] {
                    _ = TinyMachine.run(strategy)
                    expectReplay(diary)
                }
            }
            var recorded = 0
            _ = TinyMachine.search(schedules: 300) { _ in
                recorded += (0..<Int(scheduler.nr_decisions)).count { scheduler.decision($0).pointee.cpu != 0 }
            }
            #expect(recorded > 0)
        }
    }
}

/// Writes down on which CPU it runs, twice.
private let whereAmI: TinyMachine.Program = {
    may_change_cpu()
    note(smp_processor_id() + 1)
    may_change_cpu()
    note(smp_processor_id() + 1)
}

private let keepsTheCPU: TinyMachine.Program = {
    preempt_disable()
    note(8)
    yield_point("alone here")
    note(9)
    preempt_enable()
}

private let underALock: TinyMachine.Program = {
    spin_lock(TinyMachine.lock(0))
    may_change_cpu()
    note(smp_processor_id() + 1)
    spin_unlock(TinyMachine.lock(0))
}

private let withInterruptsOff: TinyMachine.Program = {
    local_irq_disable()
    may_change_cpu()
    note(smp_processor_id() + 1)
    local_irq_enable()
}
