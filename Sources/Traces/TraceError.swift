// SPDX-License-Identifier: GPL-2.0-only
// What is wrong with an input, and where: always one line.

/// `file:line:column: error: what was wrong; what was expected`.
public struct TraceError: Error, Equatable, Sendable, CustomStringConvertible {
    public let file: String
    /// From 1; columns count bytes.
    public let line: Int
    public let column: Int
    public let problem: String
    public let expected: String

    public init(file: String, line: Int, column: Int, problem: String, expected: String) {
        self.file = file
        self.line = line
        self.column = column
        self.problem = problem
        self.expected = expected
    }

    /// With what makes it one.
    func adding(_ circumstance: String) -> TraceError {
        TraceError(
            file: file, line: line, column: column, problem: "\(problem), \(circumstance)", expected: expected)
    }

    public var description: String {
        "\(inOneLine(file)):\(line):\(column): error: \(problem); expected \(expected)"
    }
}

/// Input as it may be shown: short, printable, in one line, and in quotes.
func quoted<Bytes: Collection<UInt8>>(_ bytes: Bytes) -> String {
    let longest = 40
    var text = "'"
    for byte in bytes.prefix(longest) {
        text += escaped(byte)
    }
    return text + (bytes.count > longest ? "...'" : "'")
}

func quoted(_ text: String) -> String {
    quoted(Array(text.utf8))
}

private func escaped(_ byte: UInt8) -> String {
    if (0x20..<0x7f).contains(byte) { return String(UnicodeScalar(byte)) }
    let digits = String(byte, radix: 16)
    return "\\x" + (digits.count == 1 ? "0" : "") + digits
}

/// A file's name may have anything in it.
private func inOneLine(_ name: String) -> String {
    String(String.UnicodeScalarView(name.unicodeScalars.map { $0.properties.isControl ? "?" : $0 }))
}

extension Unicode.Scalar.Properties {
    /// Would break a line or drive a terminal.
    var isControl: Bool {
        switch generalCategory {
        case .control, .lineSeparator, .paragraphSeparator, .format: true
        default: false
        }
    }
}

/// `a, b or c`, cut where it gets long.
func listed(_ choices: [String], _ last: String = "or") -> String {
    let most = 8
    if choices.count > most { return choices.prefix(most).joined(separator: ", ") + ", ..." }
    guard choices.count > 1 else { return choices.first ?? "nothing" }
    return choices.dropLast().joined(separator: ", ") + " \(last) " + choices[choices.count - 1]
}
