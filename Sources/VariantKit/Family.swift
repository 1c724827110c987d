// SPDX-License-Identifier: GPL-2.0-only
// What a patch brings to mmdiff: its variants, which of them to compare, and what may differ on purpose.

/// The variants of one patch: before, as posted, as merged, as later fixed.
public struct Family: Sendable {
    /// How it is called on the command line: `munlock-split`.
    public var name: String
    /// What the patch does, in a line.
    public var title: String
    /// In the order of history.
    public var variants: [Variant]
    /// What `mmdiff run` compares.
    public var pairs: [Pair]
    /// How often the generator draws an operation here, where that differs from the operation's own weight.
    public var weights: [String: Int]
    /// Whether schedules preempt in changed functions above all: for a patch whose windows are narrow.
    public var focused: Bool

    public init(
        name: String, title: String, variants: [Variant], pairs: [Pair], weights: [String: Int] = [:],
        focused: Bool = false
    ) {
        self.name = name
        self.title = title
        self.variants = variants
        self.pairs = pairs
        self.weights = weights
        self.focused = focused
    }

    public func variant(_ name: String) -> Variant? {
        variants.first { $0.name == name }
    }

    /// What may differ on purpose between two of its variants.
    public func claims(base: String, patched: String) -> [Claim] {
        pairs.first { $0.base == base && $0.patched == patched }?.claims ?? []
    }
}

/// Two variants of a family to compare, by name.
public struct Pair: Sendable {
    public var base: String
    public var patched: String
    public var claims: [Claim]

    public init(_ base: String, _ patched: String, claims: [Claim] = []) {
        self.base = base
        self.patched = patched
        self.claims = claims
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

/// One thing that a patch changes on purpose.  A difference that a claim covers is expected; a claim that
/// covers more than one field would hide real defects, so there is no way to say that.
public struct Claim: Codable, Equatable, Sendable {
    public enum Direction: String, Codable, Sendable {
        /// Possible, or more, only after the patch.
        case new
        /// Possible, or more, only before it.
        case lost
        case either
    }

    public var level: Level
    /// The field of an outcome or the event that it is about: `mmu_notifier_range_start`.
    public var subject: String
    public var direction: Direction
    /// For a result: the only values that it is about.
    public var values: Values?
    /// What the patch's author says.
    public var sentence: String

    public struct Values: Codable, Equatable, Sendable {
        public var before: Int
        public var after: Int
    }

    public init(_ level: Level, _ subject: String, _ direction: Direction, _ sentence: String) {
        self.level = level
        self.subject = subject
        self.direction = direction
        self.sentence = sentence
    }

    /// The result of an operation, where it was `before` and is `after`.
    public init(result operation: String, _ before: Int, becomes after: Int, _ sentence: String) {
        self.init(.abi, "results." + operation, .either, sentence)
        values = Values(before: before, after: after)
    }
}
