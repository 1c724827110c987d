// SPDX-License-Identifier: GPL-2.0-only
// One line of a log of strace: who, when, and a call, a part of a call, a signal or an end.

/// What a line says.
struct StraceLine {
    /// From 1.
    var number: Int
    /// Where it starts in the log; columns are counted from there.
    var start: Int
    /// nil where strace writes none: it traces one process only.
    var pid: Int?
    var content: Content

    enum Content {
        case call(Call, StraceResult)
        case unfinished(Call)
        /// `vfork(strace: Process 12 attached`: the call goes on in the next line.
        case interrupted(Call)
        case resumed(Call, StraceResult)
        /// `+++ exited with 0 +++`
        case ended
        /// Signals, and what strace says of itself.
        case remark
    }

    /// A call or, if it was interrupted, a part of one.
    struct Call {
        var name: String
        /// Slices of the log.
        var arguments: [ArraySlice<UInt8>]
        /// Where its name stands in the log.
        var place: Int
    }
}

/// What a call returned.
enum StraceResult: Equatable {
    case value(Int)
    /// The error's name: `ENOMEM`.
    case error(String)
    /// `?`: it did not return, or was started again.
    case unknown

    var succeeded: Bool {
        if case .value = self { true } else { false }
    }
}

extension Scanner {
    /// Reads the line that the cursor stands at the start of.
    mutating func straceLine() throws(TraceError) -> StraceLine {
        let start = position
        try checkPrintable()
        let pid = try processPrefix()
        skipTimes()
        return StraceLine(number: line, start: start, pid: pid, content: try content())
    }

    /// strace escapes whatever is not printable ASCII.
    private func checkPrintable() throws(TraceError) {
        guard let at = rest.firstIndex(where: { !(0x20..<0x7f).contains($0) && $0 != UInt8(ascii: "\t") }) else {
            return
        }
        throw error(
            "the byte \(quoted(rest[at...at]))", expected: "printable ASCII, as strace writes it",
            column: column + at - position)
    }

    /// `[pid 12] ` or `12 `.
    private mutating func processPrefix() throws(TraceError) -> Int? {
        if accept("[pid") {
            skipBlanks()
            guard case .value(let pid) = number(), let pid = Int(exactly: pid), accept("]") else {
                throw error("found \(found())", expected: "a process's number and ']'")
            }
            skipBlanks()
            return pid
        }
        var ahead = self
        ahead.skipBlanks()
        let digits = ahead.take(while: isDigit)
        guard !digits.isEmpty, let next = ahead.next, isBlank(next) else { return nil }
        guard let pid = Int(text(digits)) else {
            throw error("the number \(quoted(digits)) is too large", expected: "a process's number")
        }
        self = ahead
        skipBlanks()
        return pid
    }

    /// `10:20:30.123456`, `1700000000.123456`, `0.000123`, `(+     0.000123)`.
    private mutating func skipTimes() {
        for _ in 0..<2 {
            var ahead = self
            let relative = ahead.accept("(+")
            ahead.skipBlanks()
            let time = ahead.take(while: { isDigit($0) || $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: ".") })
            guard isTime(time), !relative || ahead.accept(")"), let next = ahead.next, isBlank(next) else { return }
            ahead.skipBlanks()
            self = ahead
        }
    }

    private func isTime(_ text: ArraySlice<UInt8>) -> Bool {
        guard let first = text.first, let last = text.last, isDigit(first), isDigit(last) else { return false }
        return text.contains(UInt8(ascii: ".")) || text.count { $0 == UInt8(ascii: ":") } == 2
    }

    private mutating func content() throws(TraceError) -> StraceLine.Content {
        if accept("---") { return try closed("---", .remark) }
        if accept("+++") { return try closed("+++", .ended) }
        if accept("strace: ") { return .remark }
        if isAt(word: "Process") { return .remark }
        if accept("<... ") { return try resumed() }
        let place = position
        let name = word()
        guard !name.isEmpty, accept("(") else {
            throw error(
                "found \(found())",
                expected: name.isEmpty ? "a call such as 'mlock(...) = 0'" : "'(' after a call's name"
            )
        }
        return try call(StraceLine.Call(name: name, arguments: [], place: place))
    }

    /// The rest of a call, from its arguments on.
    mutating func call(_ start: StraceLine.Call) throws(TraceError) -> StraceLine.Content {
        var call = start
        let (arguments, end) = try arguments()
        call.arguments += arguments
        switch end {
        case .result: return .call(call, try result())
        case .unfinished: return .unfinished(call)
        case .interrupted: return .interrupted(call)
        }
    }

    private mutating func closed(_ end: String, _ content: StraceLine.Content) throws(TraceError) -> StraceLine.Content
    {
        guard text(rest).hasSuffix(end) else {
            skipRest()
            throw error("found end of line", expected: "'\(end)'")
        }
        return content
    }

    /// `wait4 resumed>..., 0) = 12`
    private mutating func resumed() throws(TraceError) -> StraceLine.Content {
        let place = position
        let name = word()
        guard !name.isEmpty, accept(" resumed>") else {
            throw error("found \(found())", expected: "the name of a call and ' resumed>'")
        }
        let (arguments, end) = try arguments()
        guard end == .result else { throw error("the call is unfinished again", expected: "')' and its result") }
        return .resumed(StraceLine.Call(name: name, arguments: arguments, place: place), try result())
    }

    private enum EndOfArguments {
        case result, unfinished, interrupted
    }

    /// Up to the parenthesis that closes the call, or to where it is cut.
    private mutating func arguments() throws(TraceError) -> (arguments: [ArraySlice<UInt8>], end: EndOfArguments) {
        var arguments: [ArraySlice<UInt8>] = []
        var depth = 0
        skipBlanks()
        var start = self
        func append(upTo end: Scanner) {
            var argument = start.rest.prefix(end.position - start.position)
            while let last = argument.last, isBlank(last) { argument.removeLast() }
            if !argument.isEmpty { arguments.append(argument) }
        }
        while let byte = next {
            let before = self
            advance()
            switch byte {
            case UInt8(ascii: "s") where depth == 0 && accept("trace: Process "):
                append(upTo: before)
                return (arguments, .interrupted)
            case UInt8(ascii: "\""): try skipString(before)
            case UInt8(ascii: "/"): if accept("*") { try skipComment(before) }
            case UInt8(ascii: "<"):
                if accept("unfinished ...>") && isAtEndOfLine {
                    append(upTo: before)
                    return (arguments, .unfinished)
                }
                if before.followsDigit { try skipFileName(before) }
            case UInt8(ascii: "("), UInt8(ascii: "["), UInt8(ascii: "{"): depth += 1
            case UInt8(ascii: ")") where depth == 0:
                append(upTo: before)
                return (arguments, .result)
            case UInt8(ascii: ")"), UInt8(ascii: "]"), UInt8(ascii: "}"):
                guard depth > 0 else { throw before.error("found \(before.found())", expected: "',' or ')'") }
                depth -= 1
            case UInt8(ascii: ",") where depth == 0:
                append(upTo: before)
                skipBlanks()
                start = self
            default: break
            }
        }
        throw error("found end of line", expected: "')' and the call's result, or '<unfinished ...>'")
    }

    private mutating func skipString(_ start: Scanner) throws(TraceError) {
        while let byte = next {
            advance()
            if byte == UInt8(ascii: "\"") { return }
            if byte == UInt8(ascii: "\\") && !isAtEndOfLine { advance() }
        }
        throw start.error("a string without an end", expected: "'\"'")
    }

    private mutating func skipComment(_ start: Scanner) throws(TraceError) {
        while !isAtEndOfLine {
            if accept("*/") { return }
            advance()
        }
        throw start.error("a comment without an end", expected: "'*/'")
    }

    /// The name that `strace -y` adds to a descriptor: `3</etc/passwd>`, `4<TCP:[1.2.3.4:5->6.7.8.9:0]>`.
    private mutating func skipFileName(_ start: Scanner) throws(TraceError) {
        // `1<<12` is a shift.
        if accept("<") { return }
        while !isAtEndOfLine {
            if accept("->") { continue }
            if accept(">") { return }
            advance()
        }
        throw start.error("the name of a file without an end", expected: "'>'")
    }

    /// ` = 0`, ` = -1 ENOMEM (Cannot allocate memory)`, ` = ?`
    private mutating func result() throws(TraceError) -> StraceResult {
        skipBlanks()
        guard accept("=") else { throw error("found \(found())", expected: "'=' and the call's result") }
        skipBlanks()
        if accept("?") || accept("<") { return .unknown }
        let start = self
        let negative = accept("-")
        guard case .value(let magnitude) = number(), magnitude <= UInt(Int.max), next.map(endsNumber) ?? true else {
            throw start.error("found \(start.found())", expected: "a result such as '0', '-1 ENOMEM' or '?'")
        }
        guard negative else { return .value(Int(magnitude)) }
        skipBlanks()
        let place = self
        let name = word()
        guard name.hasPrefix("E") else {
            throw place.error("found \(place.found())", expected: "an error such as 'ENOMEM'")
        }
        return .error(name)
    }

    private func endsNumber(_ byte: UInt8) -> Bool {
        isBlank(byte) || byte == UInt8(ascii: "<")
    }
}
