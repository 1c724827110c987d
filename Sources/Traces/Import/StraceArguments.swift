// SPDX-License-Identifier: GPL-2.0-only
// The arguments of a call, as strace writes them.

import KernelModel

/// Reads arguments and counts what has no counterpart in the model.
struct StraceArguments {
    let log: StraceLog
    let call: StraceLog.Call
    /// Flags that the model does not have.
    private(set) var unknownFlags: [String] = []

    init(_ log: StraceLog, _ call: StraceLog.Call) {
        self.log = log
        self.call = call
    }

    var count: Int { call.arguments.count }

    func text(_ index: Int) -> String {
        String(decoding: call.arguments[index], as: UTF8.self)
    }

    func require(_ count: Int) throws(TraceError) {
        guard call.arguments.count >= count else {
            throw log.error(
                call, at: nil, "\(call.name) with \(counted(call.arguments.count, "argument"))",
                expected: "\(count) of them")
        }
    }

    /// An address, a length or another number.
    func number(_ index: Int, _ meaning: String) throws(TraceError) -> UInt {
        let argument = call.arguments[index]
        if argument.elementsEqual("NULL".utf8) { return 0 }
        var scanner = Scanner(Array(argument), file: log.file)
        _ = scanner.nextLine()
        switch scanner.number() {
        case .value(let value) where scanner.isAtEndOfLine: return value
        case .tooLarge:
            throw log.error(
                call, at: argument, "the number \(quoted(argument)) is too large", expected: "64 bits at most")
        default:
            throw log.error(call, at: argument, "found \(quoted(argument)) for \(meaning)", expected: "a number")
        }
    }

    /// Names with `|` between them.  Those that the model does not have are left out and remembered.
    mutating func flags(_ index: Int, _ names: [NamedValue]) throws(TraceError) -> Int {
        var flags = 0
        for part in call.arguments[index].split(separator: UInt8(ascii: "|"), omittingEmptySubsequences: false) {
            let word = String(decoding: part, as: UTF8.self)
            if let value = names.first(where: { $0.name == word })?.value {
                flags |= value
            } else if word != "0" {
                guard let first = part.first, isWordByte(first) else {
                    throw log.error(
                        call, at: call.arguments[index], "found \(quoted(part)) for flags",
                        expected: "names, joined by '|'")
                }
                // A call has a few; a line that has thousands is not from strace.
                if unknownFlags.count < 32 && !unknownFlags.contains(word) { unknownFlags.append(word) }
            }
        }
        return flags
    }

    /// A file descriptor, with the file's name if strace was asked for it; nil: none.
    func descriptor(_ index: Int) throws(TraceError) -> (number: Int, name: String?)? {
        let argument = call.arguments[index]
        if argument.elementsEqual("-1".utf8) { return nil }
        let digits = argument.prefix(while: isDigit)
        let rest = argument.dropFirst(digits.count)
        guard let number = Int(String(decoding: digits, as: UTF8.self)),
            rest.isEmpty || rest.first == UInt8(ascii: "<") && rest.last == UInt8(ascii: ">")
        else {
            throw log.error(
                call, at: argument, "found \(quoted(argument)) for a file descriptor", expected: "a number or '-1'")
        }
        return (number, rest.isEmpty ? nil : String(decoding: rest.dropFirst().dropLast(), as: UTF8.self))
    }
}
