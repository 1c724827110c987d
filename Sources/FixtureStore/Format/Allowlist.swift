// SPDX-License-Identifier: GPL-2.0-only
// Known differences: fixtures that deviate and findings of runs that nobody needs to be told of again, for a
// time.  The file Fixtures/allowlist:
//
//     mmdiff allowlist 1
//
//     allow munlock-split/held-at-return-0123456789ab
//       why   Fixed upstream by 023e1a8dd502; the variant stays what was merged.
//       since 2026-11-21
//       until 2027-06-30

import Traces

/// A day of the Gregorian calendar, `2026-11-21`.
public struct Day: Comparable, Sendable, CustomStringConvertible {
    public let description: String

    /// nil if it is no day.
    public init?(_ text: String) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.map(\.utf8.count) == [4, 2, 2],
            text.utf8.allSatisfy({ $0 == UInt8(ascii: "-") || (48..<58).contains($0) }),
            let year = Int(parts[0]), let month = Int(parts[1]), let day = Int(parts[2]), (1...12).contains(month)
        else { return nil }
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        let lengths = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        guard (1...lengths[month - 1]).contains(day) else { return nil }
        description = text
    }

    public static func < (a: Day, b: Day) -> Bool { a.description < b.description }
}

/// What is known, and until when.
public struct Allowlist: Equatable, Sendable {
    public struct Entry: Equatable, Sendable {
        /// A fixture's name, or the words by which a run names a finding: `FAMILY BASE..PATCHED LEVEL ...`.
        public var what: String
        public var why: String
        public var since: Day
        /// The last day on which it counts; nil: for ever.
        public var until: Day?
        /// Where it stands in the file.
        public var line: Int

        public func counts(on day: Day) -> Bool { since <= day && until.map { day <= $0 } ?? true }
    }

    public static let fileName = "allowlist"
    static let header = "mmdiff allowlist 1"
    /// More is no list that anybody reads.
    static let mostBytes = 1 << 20

    public var entries: [Entry] = []

    /// The entry about something that counts on a day.
    public func entry(_ what: String, on day: Day) -> Entry? {
        entries.first { $0.what == what && $0.counts(on: day) }
    }

    public init() {}

    /// Parses the file.
    public init(parsing bytes: [UInt8], file: String) throws(TraceError) {
        func error(_ line: Int, _ column: Int, _ problem: String, _ expected: String) -> TraceError {
            TraceError(file: file, line: line, column: column, problem: problem, expected: expected)
        }
        guard bytes.count <= Allowlist.mostBytes else {
            throw error(1, 1, "the input has \(bytes.count) bytes", "\(Allowlist.mostBytes) at most")
        }
        var open: (what: String, line: Int, values: [String: String])?
        for (number, raw) in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated() {
            let number = number + 1
            guard let text = String(validating: raw, as: UTF8.self), !text.unicodeScalars.contains(where: \.isControl)
            else {
                throw error(number, 1, "a line that is not printable UTF-8", "printable UTF-8")
            }
            if number == 1 {
                guard text == Allowlist.header else { throw error(1, 1, "no allowlist", "'\(Allowlist.header)'") }
                continue
            }
            let words = text.split(separator: " ").map(String.init)
            guard let first = words.first, !first.hasPrefix("#") else { continue }
            let value = words.dropFirst().joined(separator: " ")
            guard !value.isEmpty else { throw error(number, 1, "'\(first)' without anything", "'\(first) ...'") }
            if first == "allow" {
                if let open { try append(open, error) }
                open = (value, number, [:])
            } else {
                guard open != nil, ["why", "since", "until"].contains(first), open!.values[first] == nil else {
                    let expected = open == nil ? "'allow ...'" : "'allow', 'why', 'since' or 'until', each once"
                    throw error(number, 1, "found '\(first)'", expected)
                }
                if first != "why", Day(value) == nil { throw error(number, 1, "'\(value)' is no day", "'YYYY-MM-DD'") }
                open!.values[first] = value
            }
        }
        if bytes.isEmpty { throw error(1, 1, "no allowlist", "'\(Allowlist.header)'") }
        if let open { try append(open, error) }
    }

    private mutating func append(
        _ item: (what: String, line: Int, values: [String: String]),
        _ error: (Int, Int, String, String) -> TraceError
    ) throws(TraceError) {
        guard let why = item.values["why"] else {
            throw error(item.line, 1, "no reason for '\(item.what)'", "a line 'why ...'")
        }
        guard let since = item.values["since"].flatMap(Day.init) else {
            throw error(item.line, 1, "'\(item.what)' since when?", "a line 'since YYYY-MM-DD'")
        }
        guard !entries.contains(where: { $0.what == item.what }) else {
            throw error(item.line, 1, "'\(item.what)' once more", "each once")
        }
        entries.append(
            Entry(
                what: item.what, why: why, since: since, until: item.values["until"].flatMap(Day.init), line: item.line)
        )
    }
}

extension Store {
    /// The allowlist beside the fixtures; empty if there is none.
    ///
    /// - Parameter revision: nil: in the working tree or, where there is none, at HEAD.
    public func allowlist(at revision: String? = nil) throws -> Allowlist {
        let path = "\(prefix)/\(Allowlist.fileName)"
        if revision == nil, let workTree = repository.workTree {
            guard let bytes = try WorkTreeUpdate.content(workTree, path) else { return Allowlist() }
            return try Allowlist(parsing: bytes, file: path)
        }
        if revision == nil, try repository.branch().tip == nil { return Allowlist() }
        guard let id = try blob(Allowlist.fileName, at: repository.commit(revision ?? "HEAD")) else {
            return Allowlist()
        }
        let bytes = try repository.blob(id, limit: Allowlist.mostBytes, name: path)
        return try Allowlist(parsing: bytes, file: path)
    }
}
