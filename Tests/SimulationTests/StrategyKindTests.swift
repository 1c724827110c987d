// SPDX-License-Identifier: GPL-2.0-only
import CKernel
import Testing

@testable import Simulation

extension SimulationTests {
    /// What each strategy promises.
    @Suite struct StrategyKindTests {
        private func diaries(_ count: UInt64, _ strategy: (UInt64) -> Strategy) -> [Int: Int] {
            var seen: [Int: Int] = [:]
            for seed in 0..<count {
                #expect(TinyMachine.run(strategy(mix(seed))) == RUN_COMPLETE)
                seen[diary, default: 0] += 1
            }
            return seen
        }

        // MARK: PCT

        /// The second task must run between two certain steps of the first: a defect of depth 2.
        @Test func pctMeetsDefectsAsOftenAsItsBoundSays() {
            TinyMachine.boot(fourSteps, oneStep)
            let count = 20_000
            let seen = diaries(UInt64(count)) { .pct(seed: $0, depth: 2, steps: 5) }
            #expect(kernel.steps == 5)
            let bound = detectionBound(
                depth: 2, tasks: 2, steps: 5, moves: 0, chance: Strategy.changeChance(depth: 2, steps: 5))
            #expect(bound > 0.04 && bound < 1.0 / (2 * 5))
            for diary in [12111, 11211, 11121] {
                #expect(Double(seen[diary] ?? 0) / Double(count) >= bound, "\(diary)")
            }
        }

        @Test func theBoundIsThePublishedOneTimesAConstant() {
            for (depth, share) in [(2, 0.368), (3, 0.271), (4, 0.224)] {
                let (tasks, steps) = (3, 2000)
                let published = 1 / (Double(tasks) * power(Double(steps), depth - 1))
                let bound = detectionBound(
                    depth: depth, tasks: tasks, steps: steps, moves: 0,
                    chance: Strategy.changeChance(depth: depth, steps: steps))
                #expect(abs(bound / published - share) < 0.01)
            }
            // A task that moves away spoils it.
            #expect(
                detectionBound(depth: 2, tasks: 2, steps: 9, moves: 1, chance: 0.1) * 1.04
                    < detectionBound(depth: 2, tasks: 2, steps: 9, moves: 0, chance: 0.1))
        }

        @Test func chancesAreExactWhereTheyAreSmall() {
            #expect(chanceOfOne(0.5, 2) == 0.75)
            #expect(abs(chanceOfOne(1e-18, 100) / 1e-16 - 1) < 1e-9)
            #expect(delayedSchedules(steps: 10, bound: 2) == 1 + 10 + 45)
            #expect(delayedSchedules(steps: 1, bound: 3) == 2)
        }

        // MARK: POS

        /// Steps that race are in each order equally often; without new priorities who is last in a race stays last.
        @Test func stepsThatRaceAreDealtAgain() {
            let share = { (program: @escaping TinyMachine.Program) in
                TinyMachine.boot(program, program)
                let seen = diaries(4000) { .pos(seed: $0) }
                return Double(seen[111222, default: 0] + seen[222111, default: 0]) / 4000
            }
            let (racing, apart) = (share(threeRaces), share(threeOfOwn))
            #expect(racing < 0.3, "\(racing)")
            #expect(apart > racing * 1.3, "\(apart) beside \(racing)")
        }

        @Test func partialOrderSamplingMeetsAllOrders() {
            TinyMachine.boot(threeRaces, threeRaces)
            #expect(diaries(4000) { .pos(seed: $0) }.count == 20)
        }

        // MARK: Delays

        @Test func withoutDelaysTasksRunInTurn() {
            TinyMachine.boot(threeRaces, threeRaces, threeRaces)
            #expect(diaries(20) { .delay(seed: $0, bound: 0, steps: 1) } == [111_222_333: 20])
        }

        @Test(arguments: [1, 2, 3]) func noScheduleHasMoreDelaysThanTheBound(_ bound: Int) {
            TinyMachine.boot(threeRaces, threeRaces, threeRaces)
            scheduler.recording = 1
            defer { scheduler.recording = 0 }
            var most = 0
            for seed in 0..<500 as Range<UInt64> {
                _ = TinyMachine.run(.delay(seed: seed, bound: bound, steps: 5))
                let delays = (0..<Int(scheduler.nr_decisions)).count { number in
                    let decision = scheduler.decision(number).pointee
                    return decision.forced == 0 && decision.task != decision.next
                }
                most = max(most, delays)
                #expect(scheduler.nr_delays <= UInt32(bound))
            }
            #expect(most == bound)
        }

        /// One delay somewhere: every schedule of that bound is drawn.
        @Test func allSchedulesOfABoundAreDrawn() {
            TinyMachine.boot(threeRaces, threeRaces)
            #expect(
                Set(diaries(2000) { .delay(seed: $0, bound: 1, steps: 4) }.keys) == [111222, 222111, 122211, 112221])
        }

        /// The first task can be passed over before it has begun.
        @Test func theBeginningCanBeDelayed() {
            TinyMachine.boot(fourSteps, oneStep)
            #expect(
                Set(diaries(2000) { .delay(seed: $0, bound: 1, steps: 4) }.keys)
                    == [11112, 21111, 12111, 11211, 11121])
        }
    }
}

private let fourSteps: TinyMachine.Program = {
    for _ in 0..<4 {
        note(1)
        yield_point("step")
    }
}

private let oneStep: TinyMachine.Program = {
    note(2)
    yield_point("step")
}

private let threeRaces: TinyMachine.Program = {
    for _ in 0..<3 {
        yield_point("shared")
        note(Int(kernel.current.number) + 1)
    }
}

private let threeOfOwn: TinyMachine.Program = {
    for _ in 0..<3 {
        if kernel.current.number == 0 { yield_point("left") } else { yield_point("right") }
        note(Int(kernel.current.number) + 1)
    }
}
