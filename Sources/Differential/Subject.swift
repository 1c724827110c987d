// SPDX-License-Identifier: GPL-2.0-only
// What a difference is about: by it, two differences are told to be one.

/// The level of a difference, which side has it, and what differs.
struct Subject: Equatable {
    var level: String
    var direction: Finding.Direction
    /// Names of invariants, of attempts' endings, or of fields.
    var names: [String]
    /// Whether claims cover it.  The same fields may differ on purpose in one place and by mistake in another.
    var isClaimed = false
    /// Whether nobody can go on: a verdict of its own.
    var isDeadlock = false

    var key: String {
        let kind = (isClaimed ? ["as claimed"] : []) + (isDeadlock ? ["and a deadlock"] : [])
        return ([level, direction.rawValue] + names + kind).joined(separator: " ")
    }

    /// Levels of findings that come of outcomes, the gravest first.
    static let levels = ["invariants", "attempts", "abi", "state"]

    /// 0 for what is gravest.
    var rank: Int { Subject.levels.firstIndex(of: level) ?? Subject.levels.count }

    /// Whether `other` is this difference, or less of it: a smaller trace has fewer fields to differ in.
    func includes(_ other: Subject) -> Bool {
        level == other.level && direction == other.direction && isClaimed == other.isClaimed
            && isDeadlock == other.isDeadlock && !other.names.isEmpty && Set(other.names).isSubset(of: names)
    }
}
