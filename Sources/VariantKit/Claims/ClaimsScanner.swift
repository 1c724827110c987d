// SPDX-License-Identifier: GPL-2.0-only
// A claims file word by word.  Works on bytes: an input may be anything.

/// The words of one line after the other.
struct ClaimsScanner {
    struct Word: Equatable {
        var text: String
        /// From 1, in bytes.
        var column: Int
        /// It stood in quotes.
        var isSentence = false
    }

    let file: String
    let size: Int
    private(set) var line = 0
    private var lines: [ArraySlice<UInt8>]
    private var words: [Word] = []
    private var end = 1
    /// What cannot be read of the line, and where.
    private var fault: (problem: String, expected: String, column: Int)?

    init(_ bytes: [UInt8], file: String) {
        self.file = file
        size = bytes.count
        lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    }

    /// Goes to the next line; false behind the last one.
    mutating func nextLine() -> Bool {
        guard line < lines.count else { return false }
        line += 1
        words = []
        fault = nil
        split(lines[line - 1])
        return true
    }

    /// The next word of the line.
    var peek: Word? { words.first ?? fault.map { Word(text: "", column: $0.column) } }
    var column: Int { words.first?.column ?? fault?.column ?? end }

    mutating func take() -> Word? {
        words.isEmpty ? nil : words.removeFirst()
    }

    /// Takes a word if it comes next.
    mutating func accept(_ text: String) -> Bool {
        guard let word = words.first, !word.isSentence, word.text == text else { return false }
        words.removeFirst()
        return true
    }

    /// Takes the next word, which must not be a sentence or a comma.
    mutating func require(_ expected: String) throws(ClaimsError) -> Word {
        guard let word = words.first, !word.isSentence, word.text != "," else { throw unexpected(peek, expected) }
        words.removeFirst()
        return word
    }

    func requireEnd(_ expected: String) throws(ClaimsError) {
        if !words.isEmpty || fault != nil { throw unexpected(peek, expected) }
    }

    // MARK: Errors

    func error(_ problem: String, _ expected: String, column: Int? = nil) -> ClaimsError {
        ClaimsError(file: file, line: max(line, 1), column: column ?? self.column, problem: problem, expected: expected)
    }

    func unexpected(_ word: Word?, _ expected: String) -> ClaimsError {
        if words.isEmpty, let fault { return error(fault.problem, fault.expected, column: fault.column) }
        guard let word else { return error("found the end of the line", expected) }
        return error("found \(word.isSentence ? "a sentence" : shown(word))", expected, column: word.column)
    }

    /// Most bytes of a word that an error shows.
    private static let shownBytes = 60

    func shown(_ word: Word) -> String {
        "'" + String(word.text.prefix(ClaimsScanner.shownBytes)) + "'"
    }

    // MARK: Words

    private mutating func split(_ bytes: ArraySlice<UInt8>) {
        var at = bytes.startIndex
        while at < bytes.endIndex {
            let column = at - bytes.startIndex + 1
            switch bytes[at] {
            case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r"):
                at += 1
            case UInt8(ascii: "#"):
                return
            case UInt8(ascii: ","):
                words.append(Word(text: ",", column: column))
                at += 1
            case UInt8(ascii: "\""):
                guard let close = bytes[(at + 1)...].firstIndex(of: UInt8(ascii: "\"")) else {
                    fault = ("a sentence without an end", "'\"'", column)
                    return
                }
                guard let text = sentence(bytes[(at + 1)..<close], column) else { return }
                words.append(Word(text: text, column: column, isSentence: true))
                at = close + 1
            case let byte where isNameByte(byte):
                let stop = bytes[at...].firstIndex { !isNameByte($0) } ?? bytes.endIndex
                words.append(Word(text: String(decoding: bytes[at..<stop], as: UTF8.self), column: column))
                at = stop
            case let byte:
                let shown = (0x20..<0x7f).contains(byte) ? "'\(UnicodeScalar(byte))'" : "byte \(byte)"
                fault = ("found \(shown)", "a word, a sentence in quotes, or '#'", column)
                return
            }
            end = at - bytes.startIndex + 1
        }
    }

    private mutating func sentence(_ bytes: ArraySlice<UInt8>, _ column: Int) -> String? {
        guard let text = String(validating: bytes, as: UTF8.self),
            !text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control })
        else {
            fault = ("a sentence that is no text", "printable UTF-8", column)
            return nil
        }
        return text
    }
}

/// Names of variants and C files, fields, numbers.
private func isNameByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"):
        true
    default: [UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "/")].contains(byte)
    }
}
