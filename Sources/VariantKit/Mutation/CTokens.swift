// SPDX-License-Identifier: GPL-2.0-only
// A C file as a list of tokens, without comments and preprocessor lines: enough of the language to change a function
// by rule.  Whether what comes out is C is the compiler's to say.

/// One token and where it stands in the text.
struct CToken: Equatable {
    var text: String
    /// Offsets of bytes.
    var range: Range<Int>

    var isName: Bool { text.first!.isLetter || text.first! == "_" }
    /// A constant of a header, a flag mostly.
    var isConstant: Bool { isName && text.count > 1 && text.allSatisfy { $0.isUppercase || $0.isNumber || $0 == "_" } }
}

extension CToken {
    /// The tokens of a file.
    static func all(in bytes: [UInt8]) -> [CToken] {
        var tokens: [CToken] = []
        var position = 0
        while position < bytes.count {
            let start = position
            let rest = bytes[position...]
            if rest.starts(with: "/*".utf8) {
                position = end(of: "*/", in: bytes, from: position + 2)
                continue
            }
            if rest.starts(with: "//".utf8) || bytes[position] == UInt8(ascii: "#") {
                position = end(of: "\n", in: bytes, from: position)
                continue
            }
            position = endOfToken(bytes, position)
            if !isSpace(bytes[start]) {
                tokens.append(
                    CToken(text: String(decoding: bytes[start..<position], as: UTF8.self), range: start..<position))
            }
        }
        return tokens
    }

    private static func endOfToken(_ bytes: [UInt8], _ start: Int) -> Int {
        var position = start + 1
        if isWord(bytes[start]) {
            while position < bytes.count && isWord(bytes[position]) { position += 1 }
        } else if bytes[start] == UInt8(ascii: "\"") || bytes[start] == UInt8(ascii: "'") {
            while position < bytes.count && bytes[position] != bytes[start] {
                position += bytes[position] == UInt8(ascii: "\\") ? 2 : 1
            }
            position += 1
        } else if let operation = operations.first(where: { bytes[start...].starts(with: $0.utf8) }) {
            position = start + operation.utf8.count
        }
        return min(position, bytes.count)
    }

    /// Of more than one character, the longer ones first.
    private static let operations = [
        "<<=", ">>=", "...", "->", "++", "--", "<<", ">>", "<=", ">=", "==", "!=", "&&", "||", "+=", "-=", "*=", "/=",
        "%=", "&=", "|=", "^=",
    ]

    private static func end(of mark: String, in bytes: [UInt8], from start: Int) -> Int {
        var position = start
        while position < bytes.count && !bytes[position...].starts(with: mark.utf8) { position += 1 }
        return min(position + mark.utf8.count, bytes.count)
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 32 || (9...13).contains(byte) }

    private static func isWord(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: "_") || (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
    }
}
