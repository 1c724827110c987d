// SPDX-License-Identifier: GPL-2.0-only
// From text to claims.  Strict: names are checked here as far as they are known, and the first thing that is wrong ends
// it with one line that says where.

import CKernel
import KernelModel

/// One method a rule of the grammar in docs/VARIANTS.md.
struct ClaimsParser {
    private var words: ClaimsScanner
    private let pairs: [String]?
    private var result: [ClaimsFile.Section] = []
    /// Claims that wait for their sentence, and where the first of them stands.
    private var waiting: [Claim] = []
    private var lineOfWaiting = 0
    /// How many of the section's last claims the sentence at hand is for.
    private var spoken = 0

    init(_ bytes: [UInt8], file: String, pairs: [String]?) {
        words = ClaimsScanner(bytes, file: file)
        self.pairs = pairs
    }

    /// Far more than any patch has.
    private static let bytes = 1 << 16

    mutating func sections() throws(ClaimsError) -> [ClaimsFile.Section] {
        guard words.size <= ClaimsParser.bytes else {
            throw words.error("the file has \(words.size) bytes", "\(ClaimsParser.bytes) at most", column: 1)
        }
        while words.nextLine() {
            guard let first = words.peek else { continue }
            if first.text == "pair" {
                try pairLine()
            } else if first.isSentence {
                try sentence()
            } else {
                try claims()
            }
        }
        try requireSentence()
        return result
    }

    private mutating func requireSentence() throws(ClaimsError) {
        guard !waiting.isEmpty else { return }
        throw ClaimsError(
            file: words.file, line: lineOfWaiting, column: 1, problem: "a claim without a sentence",
            expected: "what the author says, in quotes, on the line below")
    }

    /// `pair BASE..PATCHED, ...`
    private mutating func pairLine() throws(ClaimsError) {
        try requireSentence()
        _ = words.take()
        var names: [String] = []
        repeat {
            let word = try words.require("a pair, as BASE..PATCHED")
            guard word.text.contains("..") else { throw words.unexpected(word, "a pair, as BASE..PATCHED") }
            if let pairs, !pairs.contains(word.text) {
                throw words.unknown("pair", word, among: pairs)
            }
            names.append(word.text)
        } while words.accept(",")
        try words.requireEnd("',' or the end of the line")
        result.append(ClaimsFile.Section(pairs: names, claims: []))
        spoken = 0
    }

    /// `"What the author says"`, perhaps on several lines.
    private mutating func sentence() throws(ClaimsError) {
        let word = words.take()!
        try words.requireEnd("the end of the line")
        guard !waiting.isEmpty || spoken > 0 else { throw words.unexpected(word, "a claim before its sentence") }
        guard !word.text.isEmpty else { throw words.error("an empty sentence", "words", column: word.column) }
        if !waiting.isEmpty {
            if result.isEmpty { result.append(ClaimsFile.Section(pairs: [], claims: [])) }
            spoken = waiting.count
            result[result.count - 1].claims += waiting
            waiting = []
        }
        let last = result.count - 1
        for number in result[last].claims.indices.suffix(spoken) {
            let before = result[last].claims[number].sentence
            result[last].claims[number].sentence = before.isEmpty ? word.text : before + " " + word.text
        }
    }

    /// `LEVEL SUBJECT, ... DIRECTION`, or `abi OPERATION VALUE, ... becomes VALUE`, and perhaps a condition.
    private mutating func claims() throws(ClaimsError) {
        let level = try level()
        let subjects = try subjects(level)
        var drafts: [Claim] = []
        if let direction = acceptDirection() {
            guard level != .abi else {
                throw words.error("a result without values", "VALUE becomes VALUE", column: words.column)
            }
            drafts = subjects.map { Claim(level, $0, direction, "") }
        } else {
            guard level == .abi else {
                throw words.unexpected(words.peek, listed(Claim.Direction.allCases.map(\.rawValue)))
            }
            let values = try changes()
            drafts = subjects.flatMap { subject in
                values.map { Claim(.abi, subject, .either, values: $0, "") }
            }
        }
        let conditions = try conditions()
        try words.requireEnd("'if' or the end of the line")
        if waiting.isEmpty { lineOfWaiting = words.line }
        waiting += drafts.map {
            var claim = $0
            claim.conditions = conditions
            return claim
        }
        spoken = 0
    }

    // MARK: Words

    private mutating func level() throws(ClaimsError) -> Level {
        let names = Level.allCases.map(\.rawValue)
        let word = try words.require("'pair' or a level: \(listed(names))")
        guard let level = Level(rawValue: word.text) else {
            throw words.unknown("level", word, among: names)
        }
        return level
    }

    private mutating func subjects(_ level: Level) throws(ClaimsError) -> [String] {
        var subjects: [String] = []
        repeat {
            let word = try words.require("what it is about")
            try check(word, level)
            subjects.append(word.text)
        } while words.accept(",")
        return subjects
    }

    /// Events, costs and operations are known by name; of fields only how they are written.
    private func check(_ word: ClaimsScanner.Word, _ level: Level) throws(ClaimsError) {
        let first = EVENT_lock.rawValue
        let names: [String]
        switch level {
        case .abi: names = Era.all.flatMap { $0.operations.map(\.name) }
        case .events: names = (0..<first).map { String(cString: event_kind_name($0)!) } + vmEventNames
        case .cost: names = (first..<UInt32(NR_EVENT_KINDS.rawValue)).map { String(cString: event_kind_name($0)!) }
        case .state:
            guard word.text.contains(".") else { throw words.unexpected(word, "a field such as process.nr_ptes") }
            return
        }
        guard names.contains(word.text) else {
            throw words.unknown(level == .abi ? "operation" : level == .cost ? "cost" : "event", word, among: names)
        }
    }

    private mutating func acceptDirection() -> Claim.Direction? {
        guard let word = words.peek, !word.isSentence, let direction = Claim.Direction(rawValue: word.text) else {
            return nil
        }
        _ = words.take()
        return direction
    }

    /// `VALUE, ... becomes VALUE`
    private mutating func changes() throws(ClaimsError) -> [Claim.Values] {
        var before: [Int] = []
        repeat { before.append(try value()) } while words.accept(",")
        let word = try words.require("'becomes'")
        guard word.text == "becomes" else { throw words.unexpected(word, "',' or 'becomes'") }
        let after = try value()
        return before.map { Claim.Values(before: $0, after: after) }
    }

    private mutating func value() throws(ClaimsError) -> Int {
        let expected = "a result such as 0, -EINVAL or SCAN_FAIL"
        let word = try words.require(expected)
        guard !word.isSentence, let value = resultValue(word.text) else { throw words.unexpected(word, expected) }
        return value
    }

    /// `if LEVEL SUBJECT DIRECTION or ...`
    private mutating func conditions() throws(ClaimsError) -> [Claim.Condition] {
        guard words.accept("if") else { return [] }
        var conditions: [Claim.Condition] = []
        repeat {
            let level = try level()
            let subject = try words.require("what it is about")
            try check(subject, level)
            guard let direction = acceptDirection() else {
                throw words.unexpected(words.peek, listed(Claim.Direction.allCases.map(\.rawValue)))
            }
            conditions.append(Claim.Condition(level: level, subject: subject.text, direction: direction))
        } while words.accept("or")
        return conditions
    }
}

private func listed(_ names: [String]) -> String {
    guard let last = names.last, names.count > 1 else { return names.first ?? "nothing" }
    return names.dropLast().joined(separator: ", ") + " or " + last
}

extension ClaimsScanner {
    fileprivate func unknown(_ kind: String, _ word: Word, among names: [String]) -> ClaimsError {
        let guess =
            closest(to: word.text, in: names).map { "perhaps \($0)" } ?? "one of \(names.joined(separator: ", "))"
        return error("no \(kind) \(shown(word))", guess, column: word.column)
    }
}
