// SPDX-License-Identifier: GPL-2.0-only
// A text, line by line and word by word.  Works on bytes: an input may be anything.

/// A cursor in a text.  It never goes back, so reading takes time in proportion to the text.
struct Scanner {
    let file: String
    private let bytes: [UInt8]
    private(set) var line = 0
    private(set) var isAtEndOfFile = false
    private var lineStart = 0
    private var lineEnd = 0
    private var nextLineStart = 0
    private var at = 0

    init(_ bytes: [UInt8], file: String) {
        self.bytes = bytes
        self.file = file
    }

    /// Goes to the start of the next line; behind the last one, stands there and returns false.
    mutating func nextLine() -> Bool {
        guard nextLineStart < bytes.count else {
            if !isAtEndOfFile { line += 1 }
            isAtEndOfFile = true
            (lineStart, lineEnd, at) = (bytes.count, bytes.count, bytes.count)
            return false
        }
        line += 1
        lineStart = nextLineStart
        at = lineStart
        lineEnd = bytes[lineStart...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count
        nextLineStart = lineEnd + 1
        if lineEnd > lineStart && bytes[lineEnd - 1] == UInt8(ascii: "\r") { lineEnd -= 1 }
        return true
    }

    /// Where the cursor stands in the whole text.
    var position: Int { at }
    var followsDigit: Bool { at > lineStart && isDigit(bytes[at - 1]) }
    /// From 1, in bytes.
    var column: Int { at - lineStart + 1 }
    var lineLength: Int { lineEnd - lineStart }
    var isAtEndOfLine: Bool { at >= lineEnd }
    var next: UInt8? { at < lineEnd ? bytes[at] : nil }
    /// What is left of the line.
    var rest: ArraySlice<UInt8> { bytes[at..<lineEnd] }

    mutating func advance() {
        at += 1
    }

    mutating func skipBlanks() {
        while let byte = next, isBlank(byte) { at += 1 }
    }

    mutating func skipRest() {
        at = lineEnd
    }

    /// Skips `text` if it comes next.
    mutating func accept(_ text: StaticString) -> Bool {
        let count = text.utf8CodeUnitCount
        guard at + count <= lineEnd else { return false }
        for i in 0..<count where bytes[at + i] != text.utf8Start[i] { return false }
        at += count
        return true
    }

    /// Whether the word `text` comes next, alone.
    func isAt(word text: String) -> Bool {
        var ahead = self
        return ahead.word() == text && ahead.next.map { isBlank($0) || $0 == UInt8(ascii: "#") } ?? true
    }

    /// The bytes from here on that satisfy the condition.
    mutating func take(while isPart: (UInt8) -> Bool) -> ArraySlice<UInt8> {
        let start = at
        while let byte = next, isPart(byte) { at += 1 }
        return bytes[start..<at]
    }

    /// Letters, digits and underscores.
    mutating func word() -> String {
        text(take(while: isWordByte))
    }

    /// What comes next, to be shown: a word, or the one byte that starts something else.
    func found() -> String {
        var ahead = self
        let sign = ahead.accept("-") ? 1 : 0
        let word = ahead.take(while: { isWordByte($0) || $0 == UInt8(ascii: ".") })
        if !word.isEmpty { return quoted(bytes[word.startIndex - sign..<word.endIndex]) }
        return next.map { quoted([$0]) } ?? (isAtEndOfFile ? "end of file" : "end of line")
    }

    /// The result of reading a number.
    enum Number: Equatable {
        case none
        case tooLarge
        case value(UInt)
    }

    /// An unsigned number of 64 bits, decimal or with `0x`.  Stays where it is if there is none.
    mutating func number() -> Number {
        var ahead = self
        let digits = ahead.take(while: isWordByte)
        let hexadecimal = digits.starts(with: [UInt8(ascii: "0"), UInt8(ascii: "x")])
        let radix: UInt = hexadecimal ? 16 : 10
        let significant = hexadecimal ? digits.dropFirst(2) : digits
        guard !significant.isEmpty else { return .none }
        var value: UInt = 0
        var overflows = false
        for digit in significant {
            guard let digitValue = hexadecimalDigit(digit), digitValue < radix else { return .none }
            let (product, overflow) = value.multipliedReportingOverflow(by: radix)
            let (sum, carry) = product.addingReportingOverflow(digitValue)
            value = sum
            overflows = overflows || overflow || carry
        }
        if overflows { return .tooLarge }
        self = ahead
        return .value(value)
    }

    /// The error at a column of this line.
    func error(_ problem: String, expected: String, column: Int? = nil) -> TraceError {
        TraceError(file: file, line: max(line, 1), column: column ?? self.column, problem: problem, expected: expected)
    }
}

func isWordByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
        true
    default: false
    }
}

func isBlank(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t")
}

func isDigit(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
}

func hexadecimalDigit(_ byte: UInt8) -> UInt? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt(byte - UInt8(ascii: "0"))
    case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt(byte - UInt8(ascii: "a") + 10)
    case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt(byte - UInt8(ascii: "A") + 10)
    default: nil
    }
}

func text(_ bytes: ArraySlice<UInt8>) -> String {
    String(decoding: bytes, as: UTF8.self)
}
