// SPDX-License-Identifier: GPL-2.0-only
// The set-up and the programs of the tasks.

import KernelModel

extension Parser {
    mutating func setup() throws(TraceError) -> Setup {
        guard scanner.isAt(word: "setup") else { return Setup() }
        _ = scanner.word()
        var setup = Setup(remarks: try endItem())
        while isAtStep {
            guard setup.steps.count < MachineShape.maximalOps else {
                throw tooMany("steps in the set-up", MachineShape.maximalOps)
            }
            let result = try resultName()
            let performer = try performer(inSetup: true)
            setup.steps.append(SetupStep(performer, try step(result, performer, inSetup: true)))
        }
        return setup
    }

    mutating func programs() throws(TraceError) -> [Program] {
        var programs: [Program] = []
        let setupResults = results
        while scanner.isAt(word: "task") {
            guard programs.count < MachineShape.maximalTasks else { throw tooMany("tasks", MachineShape.maximalTasks) }
            programs.append(try program(programs.count))
            results = setupResults
        }
        guard !programs.isEmpty else { throw unexpected("'task'") }
        return programs
    }

    private mutating func program(_ number: Int) throws(TraceError) -> Program {
        _ = scanner.word()
        try name("t", number)
        let performer = try performer(inSetup: false)
        try require("cpu=")
        let cpu = try self.number("cpu", in: 0..<machine.cpus)
        var program = Program(remarks: try endItem(), performer, cpu: cpu)
        while isAtStep {
            guard program.steps.count < MachineShape.maximalOps else {
                throw tooMany("steps of t\(number)", MachineShape.maximalOps)
            }
            let result = try resultName()
            program.steps.append(try step(result, performer, inSetup: false))
        }
        return program
    }

    private var isAtStep: Bool {
        !scanner.isAtEndOfFile && !scanner.isAt(word: "task") && !scanner.isAt(word: "schedule")
    }

    func tooMany(_ things: String, _ most: Int) -> TraceError {
        scanner.error("too many \(things)", expected: "\(most) at most")
    }
}

// MARK: - Who

extension Parser {
    /// A name that must be the next of its kind: `t0`, `t1`, ...
    mutating func name(_ prefix: String, _ number: Int) throws(TraceError) {
        scanner.skipBlanks()
        guard scanner.isAt(word: "\(prefix)\(number)") else {
            throw unexpected("'\(prefix)\(number)', since names count from 0")
        }
        _ = scanner.word()
    }

    private mutating func performer(inSetup: Bool) throws(TraceError) -> Performer {
        scanner.skipBlanks()
        for (word, performer) in [("kernel", Performer.kernel), ("device", .device)] where scanner.isAt(word: word) {
            _ = scanner.word()
            return performer
        }
        let process = try process("a process such as 'p0', 'kernel' or 'device'", inSetup: inSetup)
        return .process(process)
    }

    /// `pN`, where process N exists or may come to exist.
    mutating func process(_ expected: String, inSetup: Bool) throws(TraceError) -> Int {
        let use = try processName(expected)
        if inSetup && !forked[use.process] { throw notForked(use) }
        if !inSetup { usedProcesses.append(use) }
        return use.process
    }

    private mutating func processName(_ expected: String) throws(TraceError) -> Use {
        let column = scanner.column
        guard let number = index("p") else { throw unexpected(expected) }
        guard number < MachineShape.maximalProcesses else {
            throw scanner.error(
                "process p\(number)", expected: "p0 to p\(MachineShape.maximalProcesses - 1)", column: column)
        }
        return Use(process: number, line: scanner.line, column: column)
    }

    /// The process that a fork creates.
    mutating func newProcess() throws(TraceError) -> Int {
        let use = try processName("a process such as 'p1'")
        guard !forked[use.process] else {
            throw scanner.error(
                "process p\(use.process) exists already",
                expected: forked.firstIndex(of: false).map { "a new one, such as p\($0)" } ?? "no further process",
                column: use.column)
        }
        forked[use.process] = true
        return use.process
    }

    func checkUsedProcesses() throws(TraceError) {
        for use in usedProcesses where !forked[use.process] { throw notForked(use) }
    }

    private func notForked(_ use: Use) -> TraceError {
        TraceError(
            file: scanner.file, line: use.line, column: use.column,
            problem: "process p\(use.process) does not exist",
            expected: listed(existingProcesses.map { "p\($0)" }) + ", or a fork(p\(use.process)) before")
    }

    var existingProcesses: [Int] { forked.indices.filter { forked[$0] } }

    /// A letter, or a word, and a number: `r12`.  Stays where it is if there is none; numbers beyond all limits are cut.
    mutating func index(_ letter: String) -> Int? {
        var ahead = scanner
        let word = ahead.word()
        let digits = word.dropFirst(letter.count)
        guard word.hasPrefix(letter), !digits.isEmpty, digits.utf8.allSatisfy(isDigit) else { return nil }
        scanner = ahead
        return Int(digits.prefix(9))
    }
}

// MARK: - Steps

extension Parser {
    /// `rN =`, if it stands there.
    private mutating func resultName() throws(TraceError) -> Int? {
        scanner.skipBlanks()
        var ahead = self
        guard let number = ahead.index("r") else { return nil }
        let column = scanner.column
        ahead.scanner.skipBlanks()
        guard ahead.scanner.accept("=") else { return nil }
        guard number < TraceLimits.results else {
            throw scanner.error("result r\(number)", expected: "r0 to r\(TraceLimits.results - 1)", column: column)
        }
        guard !results[number] else {
            throw scanner.error("r\(number) names a result already", expected: "a new name", column: column)
        }
        self = ahead
        scanner.skipBlanks()
        return number
    }

    private mutating func step(
        _ result: Int?, _ performer: Performer, inSetup: Bool
    ) throws(TraceError) -> Step {
        scanner.skipBlanks()
        let operation = try operation(performer)
        try require("(")
        let arguments = try arguments(of: operation, inSetup: inSetup)
        let remarks = try endItem()
        if let result { results[result] = true }
        return Step(remarks: remarks, result: result, operation, arguments)
    }

    private mutating func operation(_ performer: Performer) throws(TraceError) -> Operation {
        let start = scanner
        let column = start.column
        let name = scanner.word()
        guard let operation = vocabulary[name] else {
            if ["mmdiff", "era", "machine", "file", "setup"].contains(name) {
                throw scanner.error(
                    "'\(name)' comes too late", expected: "a step, 'task' or 'schedule'", column: column)
            }
            let isName = name.utf8.first.map { !isDigit($0) } ?? false
            let problem = isName ? "unknown operation \(quoted(name))" : "found \(start.found())"
            throw scanner.error(problem, expected: vocabulary.expectation(insteadOf: name), column: column)
        }
        guard operation.actor == performer.actor else {
            throw scanner.error(
                "\(name) by \(performer.actor.words)", expected: "\(operation.actor.words) to do it", column: column)
        }
        return operation
    }

    private mutating func arguments(of operation: Operation, inSetup: Bool) throws(TraceError) -> [Argument] {
        var arguments: [Argument] = []
        for (number, parameter) in operation.parameters.enumerated() {
            if number > 0 {
                scanner.skipBlanks()
                guard scanner.accept(",") else { throw unexpected("',' and \(missing(operation, from: number))") }
            }
            scanner.skipBlanks()
            if scanner.next == UInt8(ascii: ")") { throw unexpected(missing(operation, from: number)) }
            if operation.createdProcess == number {
                arguments.append(.value(try newProcess()))
            } else {
                arguments.append(try argument(parameter, inSetup: inSetup))
            }
        }
        try require(")", "')', since \(operation.name) has \(counted(operation.parameters.count, "argument"))")
        return arguments
    }

    private func missing(_ operation: Operation, from number: Int) -> String {
        let names = operation.parameters[number...].map { "'\($0.name)'" }
        return "the \(names.count == 1 ? "argument" : "arguments") \(listed(names, "and")) of \(operation.name)"
    }
}

func counted(_ number: Int, _ thing: String) -> String {
    switch number {
    case 0: "no \(thing)s"
    case 1: "1 \(thing)"
    default: "\(number) \(thing)s"
    }
}

extension Actor {
    var words: String {
        switch self {
        case .process: "a process"
        case .kernel: "the kernel"
        case .device: "a device"
        }
    }
}

extension Vocabulary {
    /// What could have been meant by an unknown name.
    func expectation(insteadOf name: String) -> String {
        let distances = operations.map { editDistance($0.name, name) }
        if let least = distances.min(), least <= 2, let number = distances.firstIndex(of: least) {
            return "an operation of \(era), perhaps '\(operations[number].name)'"
        }
        return "an operation of \(era): \(listed(operations.map(\.name)))"
    }
}

/// How many letters must be put in, left out or replaced to get from one name to the other.
private func editDistance(_ first: String, _ second: String) -> Int {
    let (a, b) = (Array(first.utf8.prefix(TraceLimits.nameBytes)), Array(second.utf8.prefix(TraceLimits.nameBytes)))
    var row = Array(0...b.count)
    for (i, letter) in a.enumerated() {
        var diagonal = row[0]
        row[0] = i + 1
        for (j, other) in b.enumerated() {
            let replaced = diagonal + (letter == other ? 0 : 1)
            diagonal = row[j + 1]
            row[j + 1] = min(replaced, row[j] + 1, diagonal + 1)
        }
    }
    return row[b.count]
}
