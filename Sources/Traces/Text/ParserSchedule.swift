// SPDX-License-Identifier: GPL-2.0-only
// The schedule: who runs when.

extension Parser {
    mutating func schedule(_ tasks: [Program]) throws(TraceError) -> Schedule? {
        guard scanner.isAt(word: "schedule") else { return nil }
        _ = scanner.word()
        var schedule = Schedule(remarks: try endItem())
        if scanner.isAt(word: "start") {
            _ = scanner.word()
            schedule.start = try task(tasks)
            schedule.startRemarks = try endItem()
        }
        while !scanner.isAtEndOfFile {
            guard schedule.decisions.count < TraceLimits.decisions else {
                throw tooMany("decisions", TraceLimits.decisions)
            }
            schedule.decisions.append(try decision(tasks))
        }
        return schedule
    }

    private mutating func decision(_ tasks: [Program]) throws(TraceError) -> Decision {
        let task = try task(tasks)
        try require("op")
        scanner.skipBlanks()
        let steps = tasks[task].steps.count
        let op = try number("op", in: 0...steps)
        let (function, label) = try place()
        let occurrence = try number("#", in: TraceLimits.occurrences)
        scanner.skipBlanks()
        let forced = scanner.accept("=>")
        guard forced || scanner.accept("->") else { throw unexpected("'->', or '=>' if the task could not go on") }
        scanner.skipBlanks()
        if !forced, let cpu = try cpu() {
            return Decision(
                remarks: try endItem(), task: task, op: op, function: function, label: label, occurrence: occurrence,
                forced: false, next: task, cpu: cpu)
        }
        let column = scanner.column
        let next = try self.task(tasks)
        guard next != task else {
            throw scanner.error("t\(task) is left for itself", expected: "another task", column: column)
        }
        return Decision(
            remarks: try endItem(), task: task, op: op, function: function, label: label, occurrence: occurrence,
            forced: forced, next: next)
    }

    /// `cpu1`, if that is what comes next.
    private mutating func cpu() throws(TraceError) -> Int? {
        let column = scanner.column
        guard let number = index("cpu") else { return nil }
        guard number < machine.cpus else {
            throw scanner.error(
                "there is no CPU \(number)", expected: listed((0..<machine.cpus).map { "cpu\($0)" }), column: column)
        }
        return number
    }

    private mutating func task(_ tasks: [Program]) throws(TraceError) -> Int {
        scanner.skipBlanks()
        let column = scanner.column
        let expected = listed(tasks.indices.map { "t\($0)" })
        guard let number = index("t") else { throw unexpected(expected) }
        guard number < tasks.count else {
            throw scanner.error("there is no task t\(number)", expected: expected, column: column)
        }
        return number
    }

    /// `function:label #`.  A label is the text of an access, so it may have blanks in it.
    private mutating func place() throws(TraceError) -> (function: String, label: String) {
        let expected = "a yield point such as 'page_mlock_one:vm_flags'"
        scanner.skipBlanks()
        let column = scanner.column
        let found = scanner.found()
        let function = scanner.take(while: isWordByte)
        guard !function.isEmpty, function.count <= TraceLimits.nameBytes, scanner.accept(":") else {
            throw scanner.error("found \(found)", expected: expected, column: column)
        }
        var label = scanner.take(while: { $0 != UInt8(ascii: "#") })
        while let last = label.last, isBlank(last) { label.removeLast() }
        guard let first = label.first, !isBlank(first), label.count <= TraceLimits.nameBytes,
            label.allSatisfy({ (0x20..<0x7f).contains($0) })
        else {
            throw scanner.error("the label \(quoted(label))", expected: expected, column: column)
        }
        try require("#", "'#' and which occurrence it is, counted from 1")
        return (text(function), text(label))
    }
}
