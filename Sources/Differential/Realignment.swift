// SPDX-License-Identifier: GPL-2.0-only
// A schedule names places in the code.  When the code changes, places get other names or are passed more or
// less often; what was meant is then the place near by that leads to the outcome that is remembered.

import Traces
import VariantKit

/// A schedule whose decisions stand at places that exist.
public struct Realignment: Sendable {
    public var trace: Trace
    /// What was moved where.
    public var moved: [(from: Decision, to: Decision)]
}

extension Observer {
    /// A moved decision is tried at so many places of its step.
    private static let mostPlaces = 64
    /// More moved decisions are another schedule.
    private static let mostMoves = 4

    /// Moves decisions that no run takes, one after the other, until `isRight` accepts the outcome.
    ///
    /// - Returns: nil if all decisions are taken, or if no move helps.
    public func realign(
        _ trace: Trace, on variant: Variant, isRight: @escaping (ObservedOutcome) -> Bool
    ) throws -> Realignment? {
        guard let first = try observe(trace, on: variant), let schedule = trace.schedule else { return nil }
        let missing = first.missing(from: schedule).filter { !$0.forced }
        guard !missing.isEmpty, missing.count <= Observer.mostMoves else { return nil }
        var result = Realignment(trace: trace, moved: [])
        var places = passedPlaces(trace.tasks.count)
        for (number, decision) in missing.enumerated() {
            let isLast = number == missing.count - 1
            guard let next = try move(decision, in: result, places, on: variant, isRight: isLast ? isRight : nil) else {
                return nil
            }
            result = next.realignment
            places = next.places
        }
        // What was forced follows from the rest.
        guard let last = try observe(result.trace, on: variant) else { return nil }
        result.trace.schedule = last.schedule.keepingRemarks(of: result.trace.schedule!)
        return result
    }

    /// The decision at the first place where it is taken and, if it is the last one, where the outcome is right.
    private func move(
        _ decision: Decision, in realignment: Realignment, _ places: [Observation.Place], on variant: Variant,
        isRight: ((ObservedOutcome) -> Bool)?
    ) throws -> (realignment: Realignment, places: [Observation.Place])? {
        for place in candidates(decision, places) {
            var moved = decision
            (moved.function, moved.label, moved.occurrence) = (place.function, place.label, place.occurrence)
            var next = realignment
            let number = next.trace.schedule!.decisions.firstIndex(of: decision)!
            next.trace.schedule!.decisions[number] = moved
            next.moved.append((decision, moved))
            guard let observed = try observe(next.trace, on: variant),
                !observed.missing(from: Schedule(decisions: [moved])).contains(moved),
                isRight?(observed.outcome) ?? true
            else { continue }
            return (next, passedPlaces(next.trace.tasks.count))
        }
        return nil
    }

    /// The places of the decision's step: of the same function and label first, then of the function, then all.
    private func candidates(_ decision: Decision, _ places: [Observation.Place]) -> [Observation.Place] {
        let own = places.filter { $0.task == decision.task && $0.op == decision.op }
        func distance(_ place: Observation.Place) -> Int {
            place.function != decision.function ? 2 : place.label != decision.label ? 1 : 0
        }
        let sorted = (0...2).flatMap { rank in own.filter { distance($0) == rank } }
        return Array(sorted.prefix(Observer.mostPlaces))
    }
}
