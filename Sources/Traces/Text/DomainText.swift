// SPDX-License-Identifier: GPL-2.0-only
// How an argument is written, by its domain.

import KernelModel

extension Domain {
    /// The text of an argument of this domain.
    func text(of argument: Argument) -> String {
        switch argument {
        case .value(let value): text(of: value)
        case .result(let number, offset: 0): "r\(number)"
        case .result(let number, let offset):
            "r\(number)\(offset < 0 ? "-" : "+")\(hexadecimal(offset.magnitude))"
        }
    }

    private func text(of value: Int) -> String {
        switch self {
        case .address, .length: hexadecimal(UInt(bitPattern: value))
        case .file: value == noFile ? "-" : "f\(value)"
        case .process: "p\(value)"
        case .flags(let names): text(of: value, flags: names)
        case .choice(let names): names.first { $0.value == value }?.name ?? "\(value)"
        case .pageOffset, .node, .cpu, .number: "\(value)"
        }
    }

    private func text(of value: Int, flags: [NamedValue]) -> String {
        guard value != 0 else { return flags.first { $0.value == 0 }?.name ?? "0" }
        var rest = value
        var words: [String] = []
        for flag in flags where flag.value != 0 && rest & flag.value == flag.value {
            words.append(flag.name)
            rest &= ~flag.value
        }
        if rest != 0 { words.append(hexadecimal(UInt(bitPattern: rest))) }
        return words.joined(separator: "|")
    }

    /// What may stand here, in words.
    func expectation(_ scope: ArgumentScope) -> String {
        switch self {
        case .address: "an address such as 0x10000 or r0+0x1000"
        case .length: "a length in bytes such as 0x2000"
        case .file(let optional):
            scope.files == 0
                ? (optional ? "'-', since the machine has no file" : "a file, but the machine has none")
                : (optional ? "'-' or " : "") + listed((0..<scope.files).map { "f\($0)" })
        case .pageOffset: "an offset in pages from 0 to \(TraceLimits.pageOffset.upperBound)"
        case .flags(let names): "any of " + listed(names.map(\.name), "and") + ", joined by '|', or 0"
        case .choice(let names): listed(names.map(\.name))
        case .process: listed(scope.processes.map { "p\($0)" })
        case .node: "a node from 0 to \(scope.nodes - 1)"
        case .cpu: "a CPU from 0 to \(scope.cpus - 1)"
        case .number(let range): "a number from \(range.lowerBound) to \(range.upperBound)"
        }
    }

    /// Whether a written number is one of the domain's values.
    func contains(_ value: Int, _ scope: ArgumentScope) -> Bool {
        switch self {
        case .address, .length: true
        case .file(let optional): value == noFile ? optional : (0..<scope.files).contains(value)
        case .pageOffset: TraceLimits.pageOffset.contains(value)
        case .flags(let names): value & ~names.reduce(0, { $0 | $1.value }) == 0
        case .choice(let names): names.contains { $0.value == value }
        case .process: scope.processes.contains(value)
        case .node: (0..<scope.nodes).contains(value)
        case .cpu: (0..<scope.cpus).contains(value)
        case .number(let range): range.contains(value)
        }
    }
}

/// What the arguments of a step can name.
struct ArgumentScope {
    var files: Int
    var nodes: Int
    var cpus: Int
    /// In rising order.
    var processes: [Int]
}

func hexadecimal(_ value: UInt) -> String {
    value == 0 ? "0" : "0x" + String(value, radix: 16)
}
