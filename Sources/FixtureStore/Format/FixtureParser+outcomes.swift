// SPDX-License-Identifier: GPL-2.0-only
// The outcomes of a fixture: most of its lines.

import Differential
import Traces

extension FixtureParser {
    /// Skips empty lines.
    mutating func nextIsOutcome() throws(TraceError) -> Bool {
        while current < lines.count, lines[current].isEmpty { current += 1 }
        guard current < lines.count else { return false }
        guard startsOutcome(lines[current]) else { throw error("found \(shown(try line()))", "'outcome ...'") }
        return true
    }

    mutating func outcome(known: [String], tasks: [Int]) throws(TraceError) -> ExpectedOutcome {
        let variants = try value("outcome").split(separator: " ").map(String.init)
        for (number, variant) in variants.enumerated() {
            guard FixtureName.isPlain(variant), !known.contains(variant), !variants[..<number].contains(variant) else {
                throw error("the variant \(shown(variant))", "a variant's name, each once", line: current - 1, 9)
            }
        }
        var outcome = ObservedOutcome(end: try fact("end"), results: [], state: nil)
        let first = current
        while let fact = try nextFact() {
            guard current - first < FixtureLimits.facts else {
                throw error("too many lines", "\(FixtureLimits.facts) at most")
            }
            try add(fact, to: &outcome)
            current += 1
        }
        guard outcome.results.count == tasks.count else {
            throw error("results of \(outcome.results.count) tasks", "'  results tN' for each of \(tasks.count) tasks")
        }
        return ExpectedOutcome(variants: variants, outcome: outcome)
    }

    private func nextFact() throws(TraceError) -> Bytes? {
        guard current < lines.count, bytes[lines[current]].begins("  ") else { return nil }
        return try line().dropFirst(2)
    }

    private mutating func fact(_ key: String) throws(TraceError) -> String {
        guard let value = try nextFact()?.rest(behind: key), case let text = String(decoding: value, as: UTF8.self),
            FixtureName.isPlain(text)
        else { throw error("the end of the file or another line", "'  \(key) ...'") }
        current += 1
        return text
    }

    private func add(_ fact: Bytes, to outcome: inout ObservedOutcome) throws(TraceError) {
        let key = fact.prefix { $0 != blank }
        let value = fact[key.endIndex...].dropFirst()
        guard !value.isEmpty else { throw error("found \(shown(fact))", expectedFacts, 3) }
        // The most frequent one first.
        if key.isText("differs") {
            guard let line = ObservedOutcome.Line(value) else {
                throw error("found \(shown(value))", "'NAME: VALUE'", 11)
            }
            outcome.lines.append(line)
        } else if key.isText("breaks") {
            outcome.broken.append(String(decoding: value, as: UTF8.self))
        } else if key.isText("attempt") {
            outcome.attempts.append(String(decoding: value, as: UTF8.self))
        } else if key.isText("results") {
            outcome.results.append(try results(value, task: outcome.results.count))
        } else if key.isText("state") {
            outcome.state = String(decoding: value, as: UTF8.self)
        } else {
            throw error("found \(shown(key))", expectedFacts, 3)
        }
    }

    private var expectedFacts: String { "'breaks', 'attempt', 'results', 'state' or 'differs', and what" }

    private func results(_ text: Bytes, task: Int) throws(TraceError) -> [Int] {
        let words = text.split(separator: blank, omittingEmptySubsequences: false)
        guard words[0].isText("t\(task)") else { throw error("found \(shown(words[0]))", "'t\(task)'", 11) }
        var values: [Int] = []
        for word in words.dropFirst() {
            guard let value = Int(String(decoding: word, as: UTF8.self)) else {
                throw error("found \(shown(word))", "a number", 11)
            }
            values.append(value)
        }
        return values
    }
}

/// Bytes of a line.
typealias Bytes = ArraySlice<UInt8>

let blank = UInt8(ascii: " ")

extension Bytes {
    func isText(_ text: String) -> Bool { elementsEqual(text.utf8) }

    func begins(_ text: String) -> Bool { starts(with: text.utf8) }

    /// What stands behind `key` and a blank; nil if the line begins with something else.
    func rest(behind key: String) -> Bytes? {
        guard begins(key), case let rest = dropFirst(key.utf8.count), rest.first == blank else { return nil }
        return rest.dropFirst()
    }
}
