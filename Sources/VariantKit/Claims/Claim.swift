// SPDX-License-Identifier: GPL-2.0-only
// What a patch changes on purpose: one field, one event or one result.  A difference that a claim covers is expected.
// A claim that covered more would hide real defects, so there is no way to say that.

/// One thing that a patch changes on purpose.
public struct Claim: Codable, Equatable, Sendable {
    public enum Direction: String, Codable, CaseIterable, Sendable {
        /// Possible, or more, only after the patch.
        case new
        /// Possible, or more, only before it.
        case lost
        case either
    }

    public var level: Level
    /// The field, the event, or the operation whose result it is.
    public var subject: String
    public var direction: Direction
    /// For a result: the only values that it is about.
    public var values: Values?
    /// The claim holds only where the same two executions differ in one of these, too; if empty, everywhere.
    public var conditions: [Condition]
    /// What the patch's author says.
    public var sentence: String

    /// A result that is one thing before the patch and another one after it.
    public struct Values: Codable, Equatable, Sendable {
        public var before: Int
        public var after: Int

        public init(before: Int, after: Int) {
            (self.before, self.after) = (before, after)
        }
    }

    /// Another difference.
    public struct Condition: Codable, Equatable, Sendable {
        public var level: Level
        public var subject: String
        public var direction: Direction

        public init(level: Level, subject: String, direction: Direction) {
            (self.level, self.subject, self.direction) = (level, subject, direction)
        }
    }

    public init(
        _ level: Level, _ subject: String, _ direction: Direction, values: Values? = nil,
        if conditions: [Condition] = [],
        _ sentence: String
    ) {
        self.level = level
        self.subject = subject
        self.direction = direction
        self.values = values
        self.conditions = conditions
        self.sentence = sentence
    }
}

extension Claim: CustomStringConvertible {
    /// As a claims file has it, without the sentence.
    public var description: String {
        let what =
            values.map { "\(resultText($0.before, of: subject)) becomes \(resultText($0.after, of: subject))" }
            ?? direction.rawValue
        let condition = conditions.map { "\($0.level.rawValue) \($0.subject) \($0.direction.rawValue)" }
        return "\(level.rawValue) \(subject) \(what)"
            + (condition.isEmpty ? "" : " if " + condition.joined(separator: " or "))
    }
}

/// What can be told apart in an outcome, from what user space sees to how it was done.
public enum Level: String, Codable, CaseIterable, Comparable, Sendable {
    /// Return values, data read, signals.
    case abi
    /// Flags, LRU lists, counters, references, page tables, swap, secondary MMUs.
    case state
    /// Notifier calls, TLB flushes, drains.
    case events
    /// Locks taken, ptes and vmas visited.
    case cost

    public static func < (a: Level, b: Level) -> Bool {
        allCases.firstIndex(of: a)! < allCases.firstIndex(of: b)!
    }
}
