// SPDX-License-Identifier: GPL-2.0-only
// An execution that shows a difference, and how another one is judged to show it, too: a quick judgement, by a few
// hundred schedules of the other side.  It can take for a difference what is none, so it steers the cutting down and
// dismisses candidates, and never makes a verdict.

import CKernel
import KernelModel
import Simulation
import Traces

/// One side's execution of a trace with an outcome that the other side does not seem to have.
struct Witness {
    var side: Side
    var trace: Trace
    var compiled: CompiledTrace
    var schedule: Schedule
    var essence: Outcome.Essence
    var subject: Subject
    var likeness: Likeness

    /// The trace with the schedule.
    var scheduled: Trace {
        var trace = trace
        trace.schedule = schedule
        return trace
    }

    /// Whether another execution shows the same: of those of a kind, only one that ends alike has the same verdict, and
    /// only one that waits for the same locks, or fewer of them, says the same.
    func isLike(_ other: Outcome.Essence) -> Bool {
        wants(other) && other.end == essence.end && other.deadlock & ~essence.deadlock == 0
    }

    /// Whether an outcome of its trace is the one that it has.
    func wants(_ other: Outcome.Essence) -> Bool {
        likeness.isByKind ? likeness.interests(other) : other == essence
    }
}

/// How many schedules a quick judgement takes.
struct QuickJudgement {
    /// Random schedules of the other side.
    var sampled = 200
    /// Random schedules of the side itself, where the schedule at hand does not show the difference any more.
    var resampled = 24
}

extension PairOfMachines {
    /// A candidate of the loaded trace as a witness; nil if it does not show what it is a candidate for.
    func witness(_ candidate: Candidate, _ trace: Trace, _ compiled: CompiledTrace) -> Witness? {
        witness(candidate, trace, compiled, Picture(self, candidate.seed))
    }

    /// The same, under a schedule of its own.
    func witness(
        _ candidate: Candidate, _ trace: Trace, _ compiled: CompiledTrace, _ schedule: Schedule
    ) -> Witness? {
        witness(candidate, trace, compiled, Picture(self, schedule))
    }

    private func witness(
        _ candidate: Candidate, _ trace: Trace, _ compiled: CompiledTrace, _ picture: Picture
    ) -> Witness? {
        executions += 2
        guard picture.essence(candidate.side) == candidate.essence,
            let likeness = Likeness(candidate, other: picture.essence(candidate.side.other))
        else { return nil }
        let subject = picture.subject(candidate.side, likeness)
        guard !subject.names.isEmpty else { return nil }
        return Witness(
            side: candidate.side, trace: trace, compiled: compiled, schedule: picture[candidate.side].schedule,
            essence: candidate.essence, subject: subject, likeness: likeness)
    }

    /// Runs a schedule on one side of the loaded trace.
    ///
    /// - Returns: its outcome, and the schedule with all that it left open.
    func execute(_ schedule: Schedule, on side: Side) -> (essence: Outcome.Essence, schedule: Schedule) {
        CompiledSchedule(schedule).install()
        return recorded(side)
    }

    /// Runs one side under the installed strategy and keeps the decisions.
    func recorded(_ side: Side) -> (essence: Outcome.Essence, schedule: Schedule) {
        scheduler.recording = 1
        defer { scheduler.recording = 0 }
        executions += 1
        let essence = self[side].run().essence
        return (essence, recordedSchedule())
    }

    /// Runs one side under the installed strategy.
    func essence(_ side: Side) -> Outcome.Essence {
        executions += 1
        return self[side].run().essence
    }

    /// Looks for the difference on another trace: by the schedule that comes with it, else by a few random ones.
    ///
    /// - Parameters:
    ///   - known: what the difference is on the trace that this one was made from.
    ///   - strictly: whether all of it must stay.
    func witness(
        _ trace: Trace, like known: Witness, strictly: Bool, _ judgement: QuickJudgement, _ seed: ScheduleSeed
    ) -> Witness? {
        guard let compiled = try? CompiledTrace(trace, vocabulary(of: trace)), load(compiled) else { return nil }
        let first = execute(trace.schedule ?? Schedule(), on: known.side)
        if let found = judge(first, trace, compiled, known, strictly, judgement, seed) { return found }
        for number in 0..<judgement.resampled where !isOutOfTime {
            strategy(number, seed).install()
            let run = recorded(known.side)
            if let found = judge(run, trace, compiled, known, strictly, judgement, seed) { return found }
        }
        return nil
    }

    private func judge(
        _ run: (essence: Outcome.Essence, schedule: Schedule), _ trace: Trace, _ compiled: CompiledTrace,
        _ known: Witness, _ strictly: Bool, _ judgement: QuickJudgement, _ seed: ScheduleSeed
    ) -> Witness? {
        let byKind = known.likeness.isByKind
        guard !byKind || known.isLike(run.essence) else { return nil }
        CompiledSchedule(run.schedule).install()
        let other = essence(known.side.other)
        var found = known
        (found.trace, found.compiled) = (trace, compiled)
        (found.essence, found.schedule) = (run.essence, run.schedule)
        if found.wants(other) { return nil }
        if !byKind {
            let picture = Picture(self, run.schedule)
            executions += 2
            found.subject = picture.subject(found.side, found.likeness)
            guard strictly ? found.subject == known.subject : known.subject.includes(found.subject) else { return nil }
        }
        found.trace.schedule = nil
        return reaches(known.side.other, near: run.schedule, judgement.sampled, seed, found.wants) ? nil : found
    }

    // MARK: The other side

    /// Whether a side has an outcome under schedules like this one, or under some random ones.
    func reaches(
        _ side: Side, near schedule: Schedule, _ count: Int, _ seed: ScheduleSeed,
        _ isWanted: (Outcome.Essence) -> Bool
    ) -> Bool {
        samples(side, 0..<count / 4, seed, isWanted) || reaches(side, near: schedule, isWanted)
            || samples(side, count / 4..<count, seed, isWanted)
    }

    /// Whether a side has a certain outcome under some of these random schedules of the loaded trace.
    func samples(
        _ side: Side, _ range: Range<Int>, _ seed: ScheduleSeed, _ isWanted: (Outcome.Essence) -> Bool
    ) -> Bool {
        for number in range {
            strategy(number, seed).install()
            if isWanted(essence(side)) { return true }
            if isOutOfTime { return false }
        }
        return false
    }

    /// Other schedules than those of the comparison; the first is the one without preemption.
    private func strategy(_ number: Int, _ seed: ScheduleSeed) -> Strategy {
        var place = seed
        (place.seed, place.schedule) = (~seed.seed, number)
        return place.strategy()
    }

    /// The yield points that one side passes under a schedule.
    func places(_ schedule: Schedule, on side: Side) -> [PassedPlace] {
        let log = StepLog()
        CompiledSchedule(schedule).install()
        log.record { _ = essence(side) }
        return log.places()
    }

    /// How many schedules near one are tried at most: two preemptions at each place of a long step.
    private static let nearby = 200

    /// Whether a side has an outcome under the schedule with one preemption at another place of the same step: what a
    /// patch moves mostly happens a little sooner or later.
    private func reaches(
        _ side: Side, near schedule: Schedule, _ isWanted: (Outcome.Essence) -> Bool
    ) -> Bool {
        let (schedule, moved) = aligned(schedule, for: side)
        CompiledSchedule(schedule).install()
        if isWanted(essence(side)) { return true }
        let places = places(schedule, on: side)
        var rest = PairOfMachines.nearby
        let preemptions = schedule.decisions.indices.filter { !schedule.decisions[$0].forced }
        // What has another name on this side is the likeliest to stand elsewhere.
        for number in moved + preemptions.filter({ !moved.contains($0) }) {
            let decision = schedule.decisions[number]
            let own = places.filter {
                $0.isOfStep(of: decision) && (decision.cpu == nil || $0.label == decision.label)
            }
            for place in own.prefix(rest) {
                rest -= 1
                CompiledSchedule(schedule.moving(number, to: place)).install()
                if isWanted(essence(side)) { return true }
            }
            if rest == 0 || isOutOfTime { return false }
        }
        return false
    }

    /// The schedule with preemptions inside what the pair changes moved to where this side does the same: a part that
    /// is split out is a function of another name.
    ///
    /// - Returns: beside it, the numbers of the decisions that were moved.
    func aligned(_ schedule: Schedule, for side: Side) -> (Schedule, moved: [Int]) {
        let (own, other) = (places(schedule, on: side), places(schedule, on: side.other))
        let known = Set(own.map(\.function))
        var (aligned, moved) = (schedule, [Int]())
        for (number, decision) in schedule.decisions.enumerated() where !decision.forced {
            let step = other.filter { $0.isOfStep(of: decision) }
            guard let index = step.firstIndex(where: { $0.isPlace(of: decision) }),
                step[index].isChanged || !known.contains(step[index].function)
            else { continue }
            // Up to here, this side has done the same.
            var before = aligned
            before.decisions.removeSubrange(number...)
            let ownStep = places(before, on: side).filter { $0.isOfStep(of: decision) }
            guard let place = counterpart(of: index, of: step, in: ownStep), !place.isPlace(of: decision) else {
                continue
            }
            aligned = aligned.moving(number, to: place)
            moved.append(number)
        }
        return (aligned, moved)
    }

    /// The place of one side's step that is one of the other side's: the one after as many places, if that has the
    /// label, else the one where the label is passed for as many times inside what is changed, or only one side has.
    private func counterpart(of index: Int, of step: [PassedPlace], in own: [PassedPlace]) -> PassedPlace? {
        let label = step[index].label
        if index < own.count, own[index].label == label { return own[index] }
        func inside(_ places: [PassedPlace], besides others: [PassedPlace]) -> [PassedPlace] {
            let known = Set(others.map(\.function))
            return places.filter { $0.label == label && ($0.isChanged || !known.contains($0.function)) }
        }
        let times = inside(Array(step[..<index]), besides: own).count
        return inside(own, besides: step).dropFirst(times).first
    }

    private func vocabulary(of trace: Trace) -> Vocabulary {
        Vocabulary.all.first { $0.era == trace.era }!
    }
}

extension Schedule {
    /// With one decision at another place.
    func moving(_ number: Int, to place: PassedPlace) -> Schedule {
        var moved = self
        moved.decisions[number].function = place.function
        moved.decisions[number].label = place.label
        moved.decisions[number].occurrence = place.occurrence
        return moved
    }
}
