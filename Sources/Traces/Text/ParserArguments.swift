// SPDX-License-Identifier: GPL-2.0-only
// The arguments of a step, each by its domain.

import KernelModel

extension Parser {
    mutating func argument(_ parameter: Parameter, inSetup: Bool) throws(TraceError) -> Argument {
        let domain = parameter.domain
        let start = scanner
        let value: Int?
        switch domain {
        case .address: return try address(parameter)
        case .file: value = scanner.accept("-") ? noFile : index("f")
        case .process: return .value(try process(domain.expectation(scope), inSetup: inSetup))
        case .flags(let names): value = try flags(names)
        case .choice(let names): value = try namedValue(names)
        case .number: value = try number(signed: true)
        case .length, .pageOffset, .node, .cpu: value = try number(signed: false)
        }
        guard let value, domain.contains(value, scope) else {
            throw start.error(
                "found \(start.found()) for '\(parameter.name)'", expected: domain.expectation(scope))
        }
        return .value(value)
    }

    var scope: ArgumentScope {
        ArgumentScope(
            files: machine.files.count, nodes: machine.nodes, cpus: machine.cpus, processes: existingProcesses)
    }

    /// A number, or a result with or without an offset.
    private mutating func address(_ parameter: Parameter) throws(TraceError) -> Argument {
        let start = scanner
        if let value = try number(signed: false) { return .value(value) }
        guard let result = index("r") else {
            throw scanner.error(
                "found \(scanner.found()) for '\(parameter.name)'", expected: parameter.domain.expectation(scope))
        }
        guard result < results.count, results[result] else {
            let known = results.indices.filter { results[$0] }
            throw start.error(
                "no step before names its result r\(result)",
                expected: known.isEmpty ? "an address such as 0x10000" : listed(known.map { "r\($0)" }))
        }
        scanner.skipBlanks()
        let negative = scanner.accept("-")
        guard negative || scanner.accept("+") else { return .result(result, offset: 0) }
        scanner.skipBlanks()
        guard let offset = try number(signed: false) else { throw unexpected("an offset in bytes such as 0x1000") }
        return .result(result, offset: negative ? 0 &- offset : offset)
    }

    /// A number of 64 bits; nil, and nothing read, if there is none.
    private mutating func number(signed: Bool) throws(TraceError) -> Int? {
        let start = scanner
        let negative = signed && scanner.accept("-")
        switch scanner.number() {
        case .none:
            scanner = start
            return nil
        case .value(let value) where !negative || value <= Int.min.magnitude:
            return negative ? 0 &- Int(bitPattern: value) : Int(bitPattern: value)
        case .value, .tooLarge:
            throw start.error("the number \(start.found()) is too large", expected: "64 bits at most")
        }
    }

    /// One name, or the number of one.
    private mutating func namedValue(_ names: [NamedValue]) throws(TraceError) -> Int? {
        if let number = try number(signed: true) { return number }
        let word = scanner.word()
        return names.first { $0.name == word }?.value
    }

    /// Names and numbers with `|` between them.
    private mutating func flags(_ names: [NamedValue]) throws(TraceError) -> Int? {
        var flags = 0
        repeat {
            scanner.skipBlanks()
            let start = scanner
            guard let value = try namedValue(names) else {
                throw start.error("unknown flag \(start.found())", expected: Domain.flags(names).expectation(scope))
            }
            flags |= value
            scanner.skipBlanks()
        } while scanner.accept("|")
        return flags
    }
}
