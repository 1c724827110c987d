// SPDX-License-Identifier: GPL-2.0-only
import CKernel
import Testing

@testable import Simulation

extension SimulationTests {
    /// Strategies are functions of their seed, and what they decide can be replayed.
    @Suite struct StrategyTests {
        private let strategies: [Strategy] =
            [.roundRobin]
            + (0..<40 as Range<UInt64>).flatMap { seed -> [Strategy] in
                [
                    .random(seed: seed, switchChance: 0.3), .random(seed: seed, switchChance: 0),
                    .random(seed: seed, switchChance: 1), .pct(seed: seed, depth: 2, steps: 10),
                    .pct(seed: seed, depth: 3, steps: 10), .pos(seed: seed),
                    .delay(seed: seed, bound: 2, steps: 10), .delay(seed: seed, bound: 0, steps: 10),
                ]
            }

        private func boot() {
            TinyMachine.boot(diarist, diarist, diarist, diarist, cpus: [0, 1, 0, 2])
        }

        @Test func theSameSeedGivesTheSameSchedule() {
            boot()
            scheduler.recording = 1
            defer { scheduler.recording = 0 }
            for strategy in strategies {
                _ = TinyMachine.run(strategy)
                let (first, written) = (decisions(), diary)
                _ = TinyMachine.run(strategy)
                #expect(decisions() == first && diary == written)
            }
        }

        @Test func seedsGiveManySchedules() {
            boot()
            for chance in [0.1, 0.5] {
                let diaries = (0..<100 as Range<UInt64>).map { seed in
                    _ = TinyMachine.run(.random(seed: seed, switchChance: chance))
                    return diary
                }
                #expect(Set(diaries).count > 30)
            }
            let diaries = (0..<100 as Range<UInt64>).map { seed in
                _ = TinyMachine.run(.pct(seed: seed, depth: 3, steps: 20))
                return diary
            }
            #expect(Set(diaries).count > 20)
        }

        @Test func aChanceOfZeroPreemptsNobody() {
            TinyMachine.boot(increment, increment, increment)
            for seed in 0..<50 as Range<UInt64> {
                _ = TinyMachine.run(.random(seed: seed, switchChance: 0))
                #expect(TinyMachine.word(1).pointee == 3)
            }
        }

        @Test func roundRobinTakesTurns() {
            TinyMachine.boot(takeTurns, takeTurns, takeTurns)
            #expect(TinyMachine.run(.roundRobin) == RUN_COMPLETE)
            #expect(diary == 123_123)
        }

        @Test func recordedDecisionsCanBeReplayed() {
            boot()
            scheduler.recording = 1
            defer { scheduler.recording = 0 }
            for strategy in strategies {
                let end = TinyMachine.run(strategy)
                expectReplay(end)
            }
        }

        @Test func schedulesOfASearchCanBeReplayed() {
            TinyMachine.boot(diarist, diarist, cpus: [0, 1])
            var recorded: [(decisions: [decision], diary: Int)] = []
            _ = TinyMachine.search(schedules: 500) { _ in
                let taken = (0..<Int(scheduler.nr_decisions)).map { scheduler.decision($0).pointee }
                recorded.append((taken, diary))
            }
            #expect(recorded.count > 100)
            for schedule in recorded {
                setReplay(schedule.decisions)
                #expect(TinyMachine.run(.replay) == RUN_COMPLETE)
                #expect(diary == schedule.diary)
            }
        }

        /// The run that has just ended, once more by its decisions.
        private func expectReplay(_ end: run_end) {
            let (taken, written) = (decisions(), diary)
            setReplay((0..<Int(scheduler.nr_decisions)).map { scheduler.decision($0).pointee })
            #expect(TinyMachine.run(.replay) == end)
            #expect(diary == written && decisions() == taken)
        }

        private func setReplay(_ decisions: [decision]) {
            for (index, decision) in decisions.enumerated() { scheduler.replayed(index).pointee = decision }
            scheduler.nr_replay = UInt32(decisions.count)
        }
    }
}

/// Writes down when it runs, in and out of a lock; the digits of a diary fit a word.
private let diarist: TinyMachine.Program = {
    let number = Int(kernel.current.number) + 1
    yield_point("begin")
    note(number)
    spin_lock(TinyMachine.lock(0))
    yield_point("inside")
    note(number)
    spin_unlock(TinyMachine.lock(0))
    yield_point("end")
    note(number)
}

private let takeTurns: TinyMachine.Program = {
    note(Int(kernel.current.number) + 1)
    yield_point("turn")
    note(Int(kernel.current.number) + 1)
}
