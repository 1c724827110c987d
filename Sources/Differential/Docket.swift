// SPDX-License-Identifier: GPL-2.0-only
// Candidates that wait to be settled.  Settling costs a thousand times what finding a candidate costs, and most
// candidates are one difference in many dresses, so what is gravest goes first, and what is least grave gets a share of
// the work only.  Work is counted in executions, not in seconds: the same seed settles the same candidates.

/// What is to be settled, and what settling has cost.
struct Docket {
    /// A candidate that waits.
    struct Entry {
        var witness: Witness
        var seed: ScheduleSeed
        /// Whether a first look did not dismiss it; else nobody has looked yet.
        var isScreened: Bool
        var key: String { witness.subject.key }
    }

    /// For each level of `Subject.levels`, the most executions that settling may take for each that comparing takes;
    /// nil for all that it needs.
    private static let shares: [Double?] = [nil, nil, 1, 1]
    /// What one of them takes, mostly: where it would be more than the share, the first seconds go to what is grave.
    private static let costs = [0, 0, 20_000, 40_000]
    /// For each level, after how many executions without a result a subject is given up.
    private static let patience = [4_000_000, 2_000_000, 600_000, 200_000]
    /// How many candidates with one subject wait: the next ones are hardly any different.
    private static let mostWaitingAlike = 2
    /// How many candidates of a level wait: there are always more.
    private static let mostWaiting = 64

    private var waiting: [[Entry]] = Array(repeating: [], count: Subject.levels.count)
    private var spent = Array(repeating: 0, count: Subject.levels.count)
    /// What settling a subject has cost in vain.  For look-ups only: the order of a dictionary differs from run to run.
    private var costs: [String: Int] = [:]

    var isEmpty: Bool { waiting.allSatisfy(\.isEmpty) }

    /// All that wait, the gravest first.
    var entries: [Entry] { waiting.flatMap { $0 } }

    /// Whether a candidate of this subject is worth a look.
    func admits(_ subject: Subject) -> Bool {
        costs[subject.key, default: 0] < Docket.patience[subject.rank]
            && waiting[subject.rank].count < Docket.mostWaiting
            && waiting[subject.rank].count { $0.key == subject.key } < Docket.mostWaitingAlike
    }

    /// Whether settling may go on with a level now.
    ///
    /// - Parameter compared: executions that comparing has taken so far; nil if all that wait are to be settled.
    func allows(_ rank: Int, _ compared: Int?) -> Bool {
        guard let compared, let share = Docket.shares[rank] else { return true }
        return Double(spent[rank] + Docket.costs[rank]) <= share * Double(compared)
    }

    mutating func add(_ entry: Entry) {
        waiting[entry.witness.subject.rank].append(entry)
    }

    /// Notes what a candidate of a subject has cost, and whether it led to nothing.
    mutating func note(_ subject: Subject, cost: Int, inVain: Bool) {
        spent[subject.rank] += cost
        if inVain { costs[subject.key, default: 0] += cost }
    }

    /// Takes out the next to be settled; nil if there is none, or none that may be now.
    ///
    /// - Parameter isKnown: whether a subject looks like one that is settled already; such come last.
    mutating func next(compared: Int?, _ isKnown: (Subject) -> Bool) -> Entry? {
        for rank in waiting.indices where !waiting[rank].isEmpty {
            guard allows(rank, compared) else { continue }
            let number = waiting[rank].firstIndex { !isKnown($0.witness.subject) } ?? 0
            return waiting[rank].remove(at: number)
        }
        return nil
    }
}
