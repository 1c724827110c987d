// SPDX-License-Identifier: GPL-2.0-only
// Which claim covers a difference, and whether its condition holds in the executions that show it.

import CKernel
import KernelModel
import VariantKit

extension [Claim] {
    /// The claim about one field, event or count that covers its difference in two executions.
    func covering(_ level: Level, _ subject: String, _ direction: Finding.Direction, in picture: Picture) -> Claim? {
        first { $0.isAbout(level, subject, direction) && $0.holds(in: picture) }
    }

    /// The claim that covers all results that differ, or the last of those that do so together; nil if one is not
    /// covered.
    func coveringResults(of picture: Picture) -> Claim? {
        var last: Claim?
        for change in picture.changes where change.field.hasPrefix(Picture.results) {
            last = first {
                $0.level == .abi && Picture.results + $0.subject == change.field && $0.hasValues(of: change)
                    && $0.holds(in: picture)
            }
            if last == nil { return nil }
        }
        return last
    }

    /// The claim that covers these fields of the state, or the last of those that do so together; nil if one is not
    /// covered.
    func coveringState(_ fields: [String], of picture: Picture) -> Claim? {
        var last: Claim?
        for field in fields {
            // Of a set of flags, each has a name of its own, behind that of the set.
            let name = field.replacing(" ", with: ".")
            let directions = Set(picture.changes.filter { $0.field == field }.map(\.direction))
            last = first { claim in
                claim.level == .state && claim.subject == name && claim.holds(in: picture)
                    && (claim.direction == .either
                        || !directions.isEmpty && directions.allSatisfy { claim.direction.rawValue == $0.rawValue })
            }
            if last == nil { return nil }
        }
        return last
    }
}

extension Claim {
    fileprivate func isAbout(_ level: Level, _ subject: String, _ direction: Finding.Direction) -> Bool {
        self.level == level && self.subject == subject
            && (self.direction == .either || self.direction.rawValue == direction.rawValue)
    }

    fileprivate func hasValues(of change: FieldChange) -> Bool {
        values.map { $0.before == change.before && $0.after == change.after } ?? false
    }

    fileprivate func holds(in picture: Picture) -> Bool {
        conditions.isEmpty || conditions.contains { picture.shows($0) }
    }
}

extension Picture {
    /// What the fields of results are called: the operation's name follows.
    fileprivate static let results = "results."

    /// Whether the two executions differ in what a condition names, or their set-ups did.
    fileprivate func shows(_ condition: Claim.Condition) -> Bool {
        let directions: [Finding.Direction]
        switch condition.level {
        case .events, .cost:
            let event = eventNumbers(condition.level).first { eventName($0) == condition.subject }
            directions = [events, setup].compactMap { tallies in
                guard let event, let tallies else { return nil }
                return EventDifference(event, tallies)?.direction
            }
        case .abi, .state:
            let field = (condition.level == .abi ? Picture.results : "") + condition.subject
            directions = changes.filter { $0.field == field }.map(\.direction)
        }
        return directions.contains { condition.direction == .either || condition.direction.rawValue == $0.rawValue }
    }
}

extension FieldChange {
    /// Which side has more of it, or has it at all.
    var direction: Finding.Direction { isMore ? .new : .lost }
}
