// SPDX-License-Identifier: GPL-2.0-only
// A schedule in words: where tasks are stopped, what the others do meanwhile, and that they go on.

import Simulation
import Traces

/// `t1 is stopped in page_mlock_one after accessing vm_flags, before taking the page table lock`, `t0 runs to the end
/// of exit`, `t1 goes on`.
struct Story {
    private(set) var clauses: [String] = []

    private let trace: Trace
    private let places: [PassedPlace]
    /// Tasks that have run.
    private var begun: Set<Int> = []
    /// What the running task has done since it was its turn.
    private var deeds: [String] = []
    private var running: Int

    /// - Parameters:
    ///   - schedule: that of a run, with all decisions.
    ///   - places: the yield points that the run passed.
    ///   - end: how it ended, if not as it should.
    init(_ trace: Trace, _ schedule: Schedule, _ places: [PassedPlace], end: String?) {
        self.trace = trace
        self.places = places
        running = schedule.start ?? 0
        for decision in schedule.decisions { tell(decision) }
        let nothingYet = deeds.isEmpty && !begun.contains(running)
        deeds.append(end.map { "\(nothingYet ? "runs" : "goes on") until the run ends: \($0)" } ?? last)
        closeTurn()
    }

    /// What the last task does when nobody stops it any more.
    private var last: String {
        begun.contains(running) || !deeds.isEmpty ? "goes on" : "runs to the end of \(lastOperation(running))"
    }

    private mutating func tell(_ decision: Decision) {
        if decision.task != running {
            // Where a task went on by itself: another one had ended, or waited.
            closeTurn()
            running = decision.task
        }
        deeds.append(deed(decision))
        guard decision.next != decision.task else { return }
        closeTurn()
        running = decision.next
    }

    /// What the running task did in its turn becomes a clause.
    private mutating func closeTurn() {
        let isNew = begun.insert(running).inserted
        var words = deeds
        if !isNew && words.first?.hasPrefix("goes on") != true { words.insert("goes on", at: 0) }
        if words.isEmpty { words = ["begins"] }
        clauses.append("t\(running) " + words.joined(separator: " and "))
        deeds = []
    }

    // MARK: What a decision means

    private func deed(_ decision: Decision) -> String {
        if decision.function == "task" { return "runs to the end of \(lastOperation(decision.task))" }
        if let cpu = decision.cpu { return "moves to CPU \(cpu) \(place(of: decision))" }
        guard decision.forced else { return "is stopped \(place(of: decision))" }
        let awaited = passed(decision)?.place.awaited ?? decision.label
        return "runs until it waits for \(awaited) in \(decision.function)"
    }

    private func lastOperation(_ task: Int) -> String {
        guard let last = trace.tasks[task].steps.last else { return "its program" }
        return last.operation.name
    }

    /// `in page_mlock_one after accessing vm_flags, before taking the page table lock`.
    private func place(of decision: Decision) -> String {
        guard let (place, passed) = passed(decision) else { return "in \(decision.function)" }
        // A move has no deed of its own: what comes next is on the new CPU.
        let next = decision.cpu == nil ? "before \(place.deed)" : ""
        guard let last = passed.last else {
            let operation = trace.tasks[place.task].steps[place.op].operation.name
            return words("in \(place.function)" + (operation == place.function ? "" : " of \(operation)"), next)
        }
        let elsewhere = last.function == place.function ? "" : " in \(last.function)"
        var words = words("in \(place.function) after \(last.deed)\(elsewhere),", next)
        if words.hasSuffix(",") { words.removeLast() }
        // Helpers say little: how far has what the patch changes come?
        if !place.isChanged, !last.isChanged, let changed = passed.last(where: \.isChanged) {
            words += ", past \(changed.label) in \(changed.function)"
        }
        return words
    }

    private func words(_ first: String, _ second: String) -> String {
        second.isEmpty ? first : first + " " + second
    }

    /// Where a decision was taken, and the places that its task had passed before in the same step.
    private func passed(_ decision: Decision) -> (place: PassedPlace, before: ArraySlice<PassedPlace>)? {
        let own = places.filter { $0.task == decision.task && $0.op == decision.op }
        guard
            let number = own.firstIndex(where: {
                $0.function == decision.function && $0.label == decision.label && $0.occurrence == decision.occurrence
            })
        else { return nil }
        return (own[number], own[..<number])
    }
}
