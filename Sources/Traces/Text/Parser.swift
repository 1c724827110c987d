// SPDX-License-Identifier: GPL-2.0-only
// From text to a trace.  Strict: everything is checked here, names, numbers, and what refers to what, and the
// first thing that is wrong ends it with one line that says where.

import KernelModel

extension Trace {
    /// Parses a trace.
    ///
    /// - Parameters:
    ///   - file: the input's name, for errors.
    ///   - eras: the operations of each era that there is.
    ///   - era: the one that the trace is to run in, if not its own.  What it does means the same there; what
    ///     that era lacks is an error.
    public init(
        parsing bytes: [UInt8], file: String, eras: [Vocabulary], as era: Vocabulary? = nil
    ) throws(TraceError) {
        var parser = Parser(bytes, file: file, eras: eras)
        self = try parser.trace(size: bytes.count)
        guard let era, era.era != self.era else { return }
        let own = self.era
        parser = Parser(bytes, file: file, eras: eras.map { $0.era == own ? era : $0 }, names: eras.map(\.era))
        do {
            self = try parser.trace(size: bytes.count)
        } catch {
            throw error.adding("in a trace of \(own) that is to run in \(era.era)")
        }
    }

    public init(
        parsing text: String, file: String, eras: [Vocabulary], as era: Vocabulary? = nil
    ) throws(TraceError) {
        try self.init(parsing: Array(text.utf8), file: file, eras: eras, as: era)
    }
}

/// One method a rule of the grammar in docs/TRACES.md.
struct Parser {
    var scanner: Scanner
    /// What each era's name, in the same order, stands for.
    let eras: [Vocabulary]
    let eraNames: [String]
    var vocabulary = Vocabulary(era: "", operations: [])
    var machine = MachineShape()
    /// Processes that exist; those that the tasks fork come to it as they are read.
    var forked = [true] + Array(repeating: false, count: MachineShape.maximalProcesses - 1)
    /// Where tasks use processes: a task further down may fork them.
    var usedProcesses: [Use] = []
    /// Results that the current step sees, by their numbers.
    var results = Array(repeating: false, count: TraceLimits.results)
    /// Comments since the last item.
    var comments: [String] = []

    struct Use {
        var process, line, column: Int
    }

    init(_ bytes: [UInt8], file: String, eras: [Vocabulary], names: [String]? = nil) {
        scanner = Scanner(bytes, file: file)
        self.eras = eras
        eraNames = names ?? eras.map(\.era)
    }

    mutating func trace(size: Int) throws(TraceError) -> Trace {
        guard size <= TraceLimits.bytes else {
            throw scanner.error("the input has \(size) bytes", expected: "\(TraceLimits.bytes) at most", column: 1)
        }
        var remarks = try header()
        remarks.above += try eraLine()
        remarks.above += try machineLine()
        remarks.above += try files()
        let setup = try setup()
        let tasks = try programs()
        let schedule = try schedule(tasks)
        guard scanner.isAtEndOfFile else { throw unexpected("'schedule' or the end of the file") }
        try checkUsedProcesses()
        return Trace(
            remarks: remarks, era: vocabulary.era, machine: machine, setup: setup, tasks: tasks, schedule: schedule,
            closingRemarks: comments)
    }
}

// MARK: - Lines

extension Parser {
    /// Goes to the next line with something other than a comment on it; false at the end of the file.
    @discardableResult
    mutating func nextItem() throws(TraceError) -> Bool {
        while scanner.nextLine() {
            guard scanner.lineLength <= TraceLimits.lineBytes else {
                throw scanner.error(
                    "the line has \(scanner.lineLength) bytes", expected: "\(TraceLimits.lineBytes) at most")
            }
            scanner.skipBlanks()
            if scanner.next == UInt8(ascii: "#") {
                comments.append(try comment())
            } else if !scanner.isAtEndOfLine {
                return true
            }
        }
        return false
    }

    /// The rest of the line, which may be a comment, and then the next item.
    mutating func endItem(_ expected: String = "the end of the line") throws(TraceError) -> Remarks {
        let remarks = try remarks(expected)
        try nextItem()
        return remarks
    }

    private mutating func remarks(_ expected: String) throws(TraceError) -> Remarks {
        var remarks = Remarks(above: comments)
        comments = []
        scanner.skipBlanks()
        if scanner.next == UInt8(ascii: "#") { remarks.beside = try comment() }
        guard scanner.isAtEndOfLine else { throw unexpected(expected) }
        return remarks
    }

    private mutating func comment() throws(TraceError) -> String {
        scanner.advance()
        if scanner.next == UInt8(ascii: " ") { scanner.advance() }
        if let fault = faultInComment(scanner.rest) {
            throw scanner.error(fault.problem, expected: "printable UTF-8", column: scanner.column + fault.offset)
        }
        var bytes = scanner.rest
        while let last = bytes.last, isBlank(last) { bytes.removeLast() }
        scanner.skipRest()
        return text(bytes)
    }

    mutating func require(_ text: StaticString, _ expected: @autoclosure () -> String? = nil) throws(TraceError) {
        scanner.skipBlanks()
        guard scanner.accept(text) else { throw unexpected(expected() ?? "'\(text)'") }
    }

    func unexpected(_ expected: String) -> TraceError {
        scanner.error("found \(scanner.found())", expected: expected)
    }
}

/// The first byte of a comment that is no text, or that would not show as such.
private func faultInComment(_ bytes: ArraySlice<UInt8>) -> (offset: Int, problem: String)? {
    var decoder = UTF8()
    var iterator = bytes.makeIterator()
    var offset = 0
    while true {
        switch decoder.decode(&iterator) {
        case .emptyInput: return nil
        case .error: return (offset, "a byte that is not UTF-8")
        case .scalarValue(let scalar):
            if scalar != "\t" && scalar.properties.isControl {
                return (offset, "a control character, U+\(String(scalar.value, radix: 16, uppercase: true))")
            }
            offset += UTF8.width(scalar)
        }
    }
}
