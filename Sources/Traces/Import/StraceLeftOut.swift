// SPDX-License-Identifier: GPL-2.0-only
// What an import leaves out: counted, by the reason.

/// Calls that became no step.
struct StraceLeftOut {
    enum Reason: CaseIterable {
        case noCounterpart
        case failed
        case unreturned
        case unmappedFile
        case device
        case notDecoded
        case elsewhere

        var text: String {
            switch self {
            case .noCounterpart: "since nothing here stands for it"
            case .failed: "since it failed"
            case .unreturned: "since the log has no result of it"
            case .unmappedFile: "since the file is not mapped"
            case .device: "since it maps a device"
            case .notDecoded: "since strace did not show its arguments"
            case .elsewhere: "since it is about another process's memory"
            }
        }
    }

    /// By reason.
    private var tallies = Reason.allCases.map { _ in Tally() }

    mutating func add(_ what: String, _ reason: Reason) {
        tallies[Reason.allCases.firstIndex(of: reason)!].add(what)
    }

    /// `since nothing here stands for it: 12 wait4 and 3 getpid`
    var sentences: [String] {
        zip(Reason.allCases, tallies).filter { !$1.isEmpty }.map { "\($0.text): \($1.text)" }
    }

    /// Why a call that did not succeed cannot become a step.
    static func reason(_ call: StraceLog.Call) -> Reason? {
        switch call.result {
        case .value: nil
        case .error: .failed
        // exit_group() does not return.
        case .unknown: ["exit", "exit_group"].contains(call.name) ? nil : .unreturned
        }
    }
}

/// How often each of some names came up.
struct Tally {
    private var counts: [(name: String, count: Int)] = []
    private var places: [String: Int] = [:]

    mutating func add(_ name: String) {
        if let place = places[name] {
            counts[place].count += 1
        } else {
            places[name] = counts.count
            counts.append((name, 1))
        }
    }

    /// The most frequent first; `12 wait4, 3 getpid`.
    var text: String {
        let sorted = counts.enumerated().sorted { ($1.element.count, $0.offset) < ($0.element.count, $1.offset) }
        return listed(sorted.map { "\($0.element.count) \($0.element.name)" }, "and")
    }
    var isEmpty: Bool { counts.isEmpty }
    var names: [String] { counts.map(\.name) }
}
