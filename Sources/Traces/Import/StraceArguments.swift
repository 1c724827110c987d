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
        try number(call.arguments[index], meaning)
    }

    private func number(_ argument: ArraySlice<UInt8>, _ meaning: String) throws(TraceError) -> UInt {
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
        try flags(call.arguments[index], names)
    }

    mutating func flags(_ argument: ArraySlice<UInt8>, _ names: [NamedValue]) throws(TraceError) -> Int {
        var flags = 0
        for part in argument.split(separator: UInt8(ascii: "|"), omittingEmptySubsequences: false) {
            let word = String(decoding: part, as: UTF8.self)
            if let value = names.first(where: { $0.name == word })?.value {
                flags |= value
            } else if word != "0" {
                guard let first = part.first, isWordByte(first) else {
                    throw log.error(
                        call, at: argument, "found \(quoted(part)) for flags",
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
        var rest = argument.dropFirst(digits.count)
        let deleted = Array("(deleted)".utf8)
        if rest.count > deleted.count && rest.suffix(deleted.count).elementsEqual(deleted) {
            rest = rest.dropLast(deleted.count)
        }
        guard let number = Int(String(decoding: digits, as: UTF8.self)),
            rest.isEmpty || rest.first == UInt8(ascii: "<") && rest.last == UInt8(ascii: ">")
        else {
            throw log.error(
                call, at: argument, "found \(quoted(argument)) for a file descriptor", expected: "a number or '-1'")
        }
        return (number, rest.isEmpty ? nil : String(decoding: rest.dropFirst().dropLast(), as: UTF8.self))
    }

    // MARK: - Structs and lists

    /// Whether an argument is shown as what it points to; strace shows the address of what it does not know.
    func isDecoded(_ index: Int) -> Bool {
        [UInt8(ascii: "{"), UInt8(ascii: "[")].contains(call.arguments[index].first)
    }

    /// What stands behind `name=` in a struct; with several of that name, the first.
    func field(_ index: Int, _ name: String) throws(TraceError) -> ArraySlice<UInt8> {
        guard let value = fields(index, name).first else {
            throw log.error(call, at: call.arguments[index], "no '\(name)' in \(call.name)", expected: "'\(name)='")
        }
        return value
    }

    func number(_ index: Int, field name: String) throws(TraceError) -> UInt {
        try number(try field(index, name), "'\(name)'")
    }

    mutating func flags(_ index: Int, field name: String, _ names: [NamedValue]) throws(TraceError) -> Int {
        try flags(try field(index, name), names)
    }

    /// The numbers of all fields of a name: of each of some structs.
    func numbers(_ index: Int, fields name: String) throws(TraceError) -> [UInt] {
        var numbers: [UInt] = []
        for value in fields(index, name) { numbers.append(try number(value, "'\(name)'")) }
        return numbers
    }

    /// `[0x1000, 0x2000, ...]`: the last dots stand for what strace did not show.
    func numbers(_ index: Int, _ meaning: String) throws(TraceError) -> [UInt] {
        var numbers: [UInt] = []
        let isSeparator = { (byte: UInt8) in byte == UInt8(ascii: ",") || byte == UInt8(ascii: " ") }
        for item in call.arguments[index].dropFirst().dropLast().split(whereSeparator: isSeparator)
        where !item.elementsEqual("...".utf8) {
            numbers.append(try number(item, meaning))
        }
        return numbers
    }

    private func fields(_ index: Int, _ name: String) -> [ArraySlice<UInt8>] {
        let wanted = Array(name.utf8)
        return call.arguments[index].split(whereSeparator: { ",{}[] ".utf8.contains($0) }).compactMap { part in
            guard let equals = part.firstIndex(of: UInt8(ascii: "=")), part[..<equals].elementsEqual(wanted) else {
                return nil
            }
            return part[(equals + 1)...]
        }
    }
}
