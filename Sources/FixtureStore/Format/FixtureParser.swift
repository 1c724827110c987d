// SPDX-License-Identifier: GPL-2.0-only
// From text to a fixture.  Strict: the first thing that is wrong ends it with one line that says where.

import Differential
import Traces

public enum FixtureLimits {
    /// A trace of the largest size, and as much again for what is expected.
    public static let bytes = 2 * TraceLimits.bytes
    /// The results of a task with the most steps.
    public static let lineBytes = 2048
    /// More than any family has variants.
    public static let outcomes = 64
    /// Lines of one outcome: a state has some hundred.
    public static let facts = 4096
    /// Upstream references of one fixture.
    public static let references = 64
}

extension Fixture {
    /// Parses a fixture.
    ///
    /// - Parameter file: the input's name, for errors.
    public init(parsing bytes: [UInt8], file: String, eras: [Vocabulary] = Vocabulary.all) throws(TraceError) {
        var parser = FixtureParser(bytes, file: file)
        self = try parser.fixture(eras)
    }

    static func head(of bytes: [UInt8], file: String) throws(TraceError) -> StoredFixture.Head {
        // What follows is not looked at.
        var parser = FixtureParser(bytes, file: file, mostLines: 8)
        let head = try parser.head()
        return StoredFixture.Head(shows: head.shows, pair: "\(head.base)..\(head.patched)", verdict: head.verdict)
    }

    /// Whether an input says that it is a fixture, and not a trace.
    public static func isFixture(_ bytes: [UInt8]) -> Bool {
        bytes.starts(with: fixtureHeader.utf8.dropLast())
    }
}

/// One method a part of a fixture.  Works on bytes: a collection may hold ten thousand fixtures of hundreds of lines.
struct FixtureParser {
    let bytes: [UInt8]
    private let file: String
    /// Where each line begins and ends, without its end of line.
    private(set) var lines: [Range<Int>] = []
    var current = 0

    init(_ bytes: [UInt8], file: String, mostLines: Int = .max) {
        self.bytes = bytes
        self.file = file
        var start = 0
        while start < bytes.count && bytes.count <= FixtureLimits.bytes && lines.count < mostLines {
            let end = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count
            lines.append(start..<(end > start && bytes[end - 1] == UInt8(ascii: "\r") ? end - 1 : end))
            start = end + 1
        }
    }

    mutating func fixture(_ eras: [Vocabulary]) throws(TraceError) -> Fixture {
        let head = try head()
        let scheduledOn = try plainName("schedule-of")
        let (provenance, file) = try provenance([head.base, head.patched])
        let trace = try trace(eras)
        var outcomes: [ExpectedOutcome] = []
        while try nextIsOutcome() {
            guard outcomes.count < FixtureLimits.outcomes else {
                throw error("too many outcomes", "\(FixtureLimits.outcomes) at most")
            }
            outcomes.append(try outcome(known: outcomes.flatMap(\.variants), tasks: trace.tasks.map(\.steps.count)))
        }
        let variants = outcomes.flatMap(\.variants)
        for variant in [head.base, head.patched, scheduledOn] where !variants.contains(variant) {
            throw error("no outcome of \(variant)", "'outcome \(variant)'")
        }
        return Fixture(
            shows: head.shows, family: head.family, base: head.base, patched: head.patched, file: file,
            verdict: head.verdict, scheduledOn: scheduledOn, provenance: provenance, trace: trace, outcomes: outcomes)
    }

    // MARK: The head

    mutating func head() throws(TraceError) -> Head {
        guard bytes.count <= FixtureLimits.bytes else {
            throw error("the input has \(bytes.count) bytes", "\(FixtureLimits.bytes) at most")
        }
        guard try line().isText(fixtureHeader) else { throw error("no fixture", "'\(fixtureHeader)'") }
        current += 1
        let (shows, family) = (try value("shows"), try plainName("family"))
        let (base, patched) = try pair()
        return Head(shows: shows, family: family, base: base, patched: patched, verdict: try verdict())
    }

    struct Head {
        var shows, family, base, patched: String
        var verdict: Verdict
    }

    private mutating func pair() throws(TraceError) -> (String, String) {
        let text = try value("pair")
        let sides = text.split(separator: "..", omittingEmptySubsequences: false).map(String.init)
        guard sides.count == 2, sides.allSatisfy(FixtureName.isPlain) else {
            throw error("the pair \(shown(text))", "BASE..PATCHED, two names of variants", line: current - 1, 6)
        }
        return (sides[0], sides[1])
    }

    private mutating func verdict() throws(TraceError) -> Verdict {
        let text = try value("verdict")
        guard let verdict = Verdict(rawValue: text) else {
            let known = Verdict.allCases.map(\.rawValue).joined(separator: ", ")
            throw error("the verdict \(shown(text))", "one of \(known)", line: current - 1, 9)
        }
        return verdict
    }

    private mutating func provenance(_ pair: [String]) throws(TraceError) -> (Provenance, CFile?) {
        var seed: UInt64?
        if try line().begins("seed ") {
            let text = try value("seed")
            seed = UInt64(text)
            if seed == nil { throw error("the seed \(shown(text))", "a number of 64 bits", line: current - 1, 6) }
        }
        let version = try plainName("version")
        let sources = try plainName("sources")
        let file = try line().begins("c-file ") ? try cFile(pair) : nil
        var references: [Provenance.Reference] = []
        while let kind = try reference() {
            guard references.count < FixtureLimits.references else {
                throw error("too many references", "\(FixtureLimits.references) at most")
            }
            references.append(Provenance.Reference(kind, try value("\(kind.rawValue):")))
        }
        return (Provenance(seed: seed, version: version, sources: sources, references: references), file)
    }

    private mutating func cFile(_ pair: [String]) throws(TraceError) -> CFile {
        let text = try value("c-file")
        let words = text.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
        guard words.count == 2, pair.contains(words[0]), let file = CFile(name: words[0], digest: words[1]) else {
            throw error(
                "the C file \(shown(text))", "a side of the pair and \(FixtureName.digestLength) digits",
                line: current - 1, 8)
        }
        return file
    }

    private func reference() throws(TraceError) -> Provenance.Reference.Kind? {
        let text = try line()
        return Provenance.Reference.Kind.allCases.first {
            text.begins($0.rawValue) && text.dropFirst($0.rawValue.utf8.count).begins(": ")
        }
    }

    /// The rest of a line that begins with `key`.
    mutating func value(_ key: String) throws(TraceError) -> String {
        let line = try line()
        guard let value = line.rest(behind: key) else { throw error("found \(shown(line))", "'\(key) ...'") }
        guard let first = value.first, first != blank, value.last != blank else {
            throw error("found \(shown(line))", "one blank and something behind '\(key)'")
        }
        current += 1
        return String(decoding: value, as: UTF8.self)
    }

    private mutating func plainName(_ key: String) throws(TraceError) -> String {
        let text = try value(key)
        guard FixtureName.isPlain(text) else {
            throw error(
                "the name \(shown(text))", "lower-case letters, digits, '-', '_' and '.'", line: current - 1,
                key.count + 2)
        }
        return text
    }

    // MARK: The trace

    /// The lines up to the first outcome.  The trace's parser gets them with an empty line for each line before
    /// them, so that its errors name the lines of this file.
    private mutating func trace(_ eras: [Vocabulary]) throws(TraceError) -> Trace {
        guard try line().isEmpty, current + 1 < lines.count else {
            throw error("found \(shown(try line()))", "an empty line")
        }
        current += 1
        guard try line().begins(traceHeader) else {
            throw error("found \(shown(try line()))", "'\(traceHeader) ...'")
        }
        let first = current
        while current < lines.count, !startsOutcome(lines[current]) { current += 1 }
        guard current < lines.count else { throw error("the end of the file", "'outcome ...'") }
        let text = bytes[lines[first].lowerBound..<lines[current].lowerBound]
        let trace = try Trace(
            parsing: Array(repeating: UInt8(ascii: "\n"), count: first) + text, file: file, eras: eras)
        return trace
    }

    func startsOutcome(_ line: Range<Int>) -> Bool {
        bytes[line].begins("outcome ")
    }

    // MARK: Lines

    /// The current line, which is printable UTF-8.
    func line() throws(TraceError) -> Bytes {
        guard current < lines.count else { throw error("the end of the file", "more") }
        let line = bytes[lines[current]]
        guard line.count <= FixtureLimits.lineBytes else {
            throw error("the line has \(line.count) bytes", "\(FixtureLimits.lineBytes) at most")
        }
        if line.allSatisfy({ (0x20..<0x7f).contains($0) }) { return line }
        guard let text = String(validating: line, as: UTF8.self) else {
            throw error("a line that is not UTF-8", "printable UTF-8")
        }
        if let scalar = text.unicodeScalars.first(where: \.isControl) {
            let code = String(scalar.value, radix: 16, uppercase: true)
            throw error("a control character, U+\(code)", "printable UTF-8")
        }
        return line
    }

    func error(
        _ problem: String, _ expected: String, line: Int? = nil, _ column: Int = 1
    ) -> TraceError {
        TraceError(file: file, line: (line ?? current) + 1, column: column, problem: problem, expected: expected)
    }

    func shown(_ text: Bytes) -> String { shown(String(decoding: text, as: UTF8.self)) }

    func shown(_ text: String) -> String {
        let longest = 40
        return "'\(text.prefix(longest))\(text.count > longest ? "..." : "")'"
    }
}

extension Unicode.Scalar {
    /// Would break a line or drive a terminal.
    var isControl: Bool {
        if value < 0x80 { return value < 0x20 || value == 0x7f }
        return switch properties.generalCategory {
        case .control, .lineSeparator, .paragraphSeparator, .format: true
        default: false
        }
    }
}

/// Text from a repository as it may be shown in a line: nothing in it drives a terminal.
public func inOneLine(_ text: String) -> String {
    String(String.UnicodeScalarView(text.unicodeScalars.map { $0.isControl ? "?" : $0 }))
}
