// SPDX-License-Identifier: GPL-2.0-only
import CKernel
import Testing

@testable import Simulation

extension SimulationTests {
    /// A search must run every schedule once: counts are held against a formula, or against a count that
    /// shares no code with it.
    @Suite struct DepthFirstSearchTests {
        @Test func schedulesOfIndependentTasksAreAMultinomial() {
            // Each task takes two steps: up to its yield point, and from there to its end.
            let program: TinyMachine.Program = { yield_point("here") }
            for (tasks, expected) in [(1, 1), (2, 6), (3, 90), (4, 2520)] {
                TinyMachine.boot(Array(repeating: program, count: tasks))
                let result = TinyMachine.search()
                #expect(result.schedules == expected)
                #expect(result.complete && result.unbounded)
            }
        }

        @Test func taskStepsCount() {
            let program: TinyMachine.Program = {
                yield_point("first")
                yield_point("second")
            }
            TinyMachine.boot(program, program)
            #expect(TinyMachine.search().schedules == 20)
        }

        @Test func updatesAreLostExactlyWhereTheyInterleave() {
            TinyMachine.boot(increment, increment)
            var outcomes: [Int: Int] = [:]
            let result = TinyMachine.search { end in
                #expect(end == RUN_COMPLETE)
                outcomes[TinyMachine.word(1).pointee, default: 0] += 1
            }
            #expect(outcomes == [1: 4, 2: 2])
            #expect(result.schedules == 6)
        }

        @Test func noUpdateIsLostUnderALock() {
            TinyMachine.boot(incrementLocked, incrementLocked, incrementLocked)
            let result = TinyMachine.search { end in
                #expect(end == RUN_COMPLETE && kernel.violations == 0)
                #expect(TinyMachine.word(1).pointee == 3)
            }
            #expect(result.complete)
        }

        @Test(arguments: [[0, 1], [0, 0], [0, 1, 2], [0, 0, 1], [0, 0, 0], [0, 1, 2, 3]])
        func schedulesOfALockAreThoseCounted(_ cpus: [Int]) {
            TinyMachine.boot(Array(repeating: lockAndUnlock, count: cpus.count), cpus: cpus)
            var model = LockModel(cpus)
            #expect(TinyMachine.search().schedules == model.schedules())
        }

        @Test func eachScheduleHasDecisionsOfItsOwn() {
            TinyMachine.boot(incrementLocked, incrementLocked, incrementLocked, cpus: [0, 1, 0])
            var seen: Set<String> = []
            let result = TinyMachine.search { _ in seen.insert(decisions()) }
            #expect(seen.count == result.schedules)
        }

        @Test func boundZeroOrdersTasks() {
            TinyMachine.boot(increment, increment, increment)
            let result = TinyMachine.search(preemptionBound: 0) { _ in #expect(TinyMachine.word(1).pointee == 3) }
            #expect(result.schedules == 6)
            #expect(result.complete && !result.unbounded)
        }

        @Test func boundsNest() {
            TinyMachine.boot(threeSteps, threeSteps, incrementLocked)
            var smaller: Set<String> = []
            var everything: Set<String> = []
            #expect(TinyMachine.search { _ in everything.insert(decisions()) }.unbounded)
            for bound in 0..<20 {
                var schedules: Set<String> = []
                let result = TinyMachine.search(preemptionBound: bound) { _ in
                    schedules.insert(decisions())
                    #expect(preemptions() <= bound)
                }
                #expect(result.schedules == schedules.count)
                #expect(smaller.isSubset(of: schedules))
                #expect(result.unbounded == (schedules == everything))
                if result.unbounded { return }
                #expect(smaller.count < schedules.count)
                smaller = schedules
            }
            Issue.record("no bound was enough")
        }

        @Test func aSearchEndsAtItsLimit() {
            TinyMachine.boot(increment, increment)
            let result = TinyMachine.search(schedules: 5)
            #expect(result.schedules == 5 && !result.complete && !result.unbounded)
            #expect(TinyMachine.search(schedules: 6).complete)
        }

        @Test func aVisitorEndsASearch() {
            TinyMachine.boot(increment, increment)
            let result = DepthFirstSearch(TinyMachine.arena).run(schedules: 100) { _ in false }
            #expect(result.schedules == 1 && !result.complete)
        }
    }
}

// MARK: - Programs

/// Reads, lets others run, writes.
let increment: TinyMachine.Program = {
    let value = TinyMachine.word(1).pointee
    yield_point("word")
    TinyMachine.word(1).pointee = value + 1
}

let incrementLocked: TinyMachine.Program = {
    spin_lock(TinyMachine.lock(0))
    let value = TinyMachine.word(1).pointee
    yield_point("word")
    TinyMachine.word(1).pointee = value + 1
    spin_unlock(TinyMachine.lock(0))
}

private let lockAndUnlock: TinyMachine.Program = {
    spin_lock(TinyMachine.lock(0))
    spin_unlock(TinyMachine.lock(0))
}

private let threeSteps: TinyMachine.Program = {
    yield_point("first")
    yield_point("second")
}

// MARK: - Decisions

/// The schedule that has just run, by its decisions.
func decisions() -> String {
    (0..<Int(scheduler.nr_decisions)).map {
        let decision = scheduler.decision($0).pointee
        let place = "\(yieldPointName(Int(decision.yield_point)))#\(decision.occurrence)"
        return "\(decision.task)>\(decision.next)@\(place)" + (decision.forced != 0 ? " waits" : "")
    }.joined(separator: " ")
}

private func preemptions() -> Int {
    (0..<Int(scheduler.nr_decisions)).count {
        let decision = scheduler.decision($0).pointee
        return decision.forced == 0 && decision.task != decision.next
    }
}

/// One spinlock, taken and released once by each task, counted by hand.
private struct LockModel {
    enum Place { case start, atLock, waiting, holding, done }

    private let cpus: [Int]
    private var places: [Place]

    init(_ cpus: [Int]) {
        self.cpus = cpus
        places = cpus.map { _ in .start }
    }

    /// How many ways there are from here to the end.
    mutating func schedules() -> Int {
        let holder = places.firstIndex(of: .holding)
        var count = 0
        var ended = true
        for task in places.indices where places[task] != .done {
            // Whoever holds the lock keeps the others of its CPU from running.
            if let holder, holder != task, cpus[holder] == cpus[task] || places[task] == .waiting { continue }
            ended = false
            let before = places[task]
            switch before {
            case .start: places[task] = .atLock
            case .atLock: places[task] = holder == nil ? .holding : .waiting
            case .waiting: places[task] = .holding
            case .holding, .done: places[task] = .done
            }
            count += schedules()
            places[task] = before
        }
        return ended ? 1 : count
    }
}
