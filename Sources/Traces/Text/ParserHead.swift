// SPDX-License-Identifier: GPL-2.0-only
// The head of a trace: language, era, machine, files.

import KernelModel

extension Parser {
    mutating func header() throws(TraceError) -> Remarks {
        let expected = "'mmdiff trace \(languageVersion)'"
        try nextItem()
        for word in ["mmdiff", "trace"] {
            guard scanner.isAt(word: word) else { throw unexpected(expected) }
            _ = scanner.word()
            scanner.skipBlanks()
        }
        let column = scanner.column
        guard case .value(let version) = scanner.number() else { throw unexpected(expected) }
        guard version == languageVersion else {
            throw scanner.error(
                "version \(version) of the language", expected: "version \(languageVersion)", column: column)
        }
        return try endItem()
    }

    mutating func eraLine() throws(TraceError) -> [String] {
        guard scanner.isAt(word: "era") else { throw unexpected("'era'") }
        _ = scanner.word()
        scanner.skipBlanks()
        let column = scanner.column
        let found = scanner.found()
        let name = text(scanner.take(while: { !isBlank($0) && $0 != UInt8(ascii: "#") }))
        guard let number = eraNames.firstIndex(of: name) else {
            throw scanner.error(
                name.isEmpty ? "found \(found)" : "unknown era \(quoted(name))", expected: listed(eraNames),
                column: column)
        }
        vocabulary = eras[number]
        return try endItem().lines
    }

    mutating func machineLine() throws(TraceError) -> [String] {
        guard scanner.isAt(word: "machine") else { return [] }
        _ = scanner.word()
        scanner.skipBlanks()
        var seen: [String] = []
        while scanner.next.map(isWordByte) ?? false {
            let column = scanner.column
            let name = scanner.word()
            let key = MachineKey(rawValue: name)
            guard key != nil || name == movableNodeKey else {
                throw scanner.error(
                    "unknown size \(quoted(name))",
                    expected: listed(MachineKey.allCases.map(\.rawValue) + [movableNodeKey]), column: column)
            }
            guard !seen.contains(name) else {
                throw scanner.error("'\(name)' for the second time", expected: "each size once", column: column)
            }
            seen.append(name)
            try require("=")
            if let key {
                machine[keyPath: key.field] = try number(name, in: key.allowed)
            } else {
                machine.movableNode = try number(name, in: Array(0..<MachineShape.nodeRange.upperBound))
            }
            scanner.skipBlanks()
        }
        if machine.movableNode != nil && machine.nodes == 1 {
            throw unexpected("'nodes=2', so that one node has memory for the kernel itself")
        }
        return try endItem("a size such as 'cpus=2', or the end of the line").lines
    }

    mutating func files() throws(TraceError) -> [String] {
        var remarks: [String] = []
        while scanner.isAt(word: "file") {
            let count = machine.files.count
            guard count < MachineShape.maximalFiles else { throw tooMany("files", MachineShape.maximalFiles) }
            _ = scanner.word()
            try name("f", count)
            scanner.skipBlanks()
            let kinds = MachineShape.File.Kind.allCases
            guard let kind = kinds.first(where: { scanner.isAt(word: $0.rawValue) }) else {
                throw unexpected(listed(kinds.map(\.rawValue)))
            }
            _ = scanner.word()
            try require("pages=")
            let size = try number("pages", in: MachineShape.fileSizeRange)
            scanner.skipBlanks()
            let onAdvice = scanner.accept("huge=advise")
            let huge = onAdvice || scanner.isAt(word: "huge")
            if huge && !onAdvice { _ = scanner.word() }
            machine.files.append(MachineShape.File(kind: kind, size: size, huge: huge, onAdvice: onAdvice))
            let expected = huge ? "the end of the line" : "'huge', 'huge=advise' or the end of the line"
            remarks += try endItem(expected).lines
        }
        return remarks
    }

    /// A number out of a few.
    mutating func number(_ name: String, in allowed: some BidirectionalCollection<Int>) throws(TraceError) -> Int {
        var ahead = scanner
        guard case .value(let value) = ahead.number(), let number = allowed.first(where: { UInt($0) == value }) else {
            let isRange = allowed.count > 2
            let choice = isRange ? "\(allowed.first!) to \(allowed.last!)" : listed(allowed.map(String.init))
            throw unexpected("\(choice) for '\(name)'")
        }
        scanner = ahead
        return number
    }
}

extension Remarks {
    /// Those of an item that keeps none of its own.
    var lines: [String] { above + (beside.map { [$0] } ?? []) }
}
