// SPDX-License-Identifier: GPL-2.0-only
// What fixtures are called.  Names come from content, so that two people who find the same thing give it the
// same name, and collections merge without conflict.

import Differential

/// `munlock-split/held-at-return-0123456789ab`.
public struct FixtureName: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let family: String
    /// What differs, in a few words: for people only.
    public let slug: String
    /// Of what the fixture is: its family, pair and trace.
    public let digest: String

    public static let fileEnding = ".trace"
    /// A folder's or a file's name, with room for the ending of a temporary file within 255 bytes.
    private static let longest = 100
    static let digestLength = 12

    init(family: String, slug: String, digest: String) {
        self.family = family
        self.slug = slug
        self.digest = digest
    }

    /// Reads `family/slug-digest`, with or without the file's ending; nil if it is no such name.
    public init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2 else { return nil }
        self.init(family: String(parts[0]), file: String(parts[1]))
    }

    /// The name of a file in the folder of a family; nil if a fixture's file is not called like that.
    public init?(family: String, file: String) {
        let name = file.hasSuffix(FixtureName.fileEnding) ? file.dropLast(FixtureName.fileEnding.count) : file[...]
        guard FixtureName.isPlain(family), FixtureName.isPlain(String(name)), let dash = name.lastIndex(of: "-")
        else { return nil }
        let digest = name[name.index(after: dash)...]
        guard FixtureName.isDigest(digest) else { return nil }
        self.init(family: family, slug: String(name[..<dash]), digest: String(digest))
    }

    public var description: String { "\(family)/\(slug)-\(digest)" }
    /// Below the folder of all fixtures.
    public var path: String { description + FixtureName.fileEnding }

    public static func < (a: Self, b: Self) -> Bool {
        (a.family, a.slug, a.digest) < (b.family, b.slug, b.digest)
    }

    static func isDigest(_ text: some StringProtocol) -> Bool {
        text.utf8.count == digestLength && text.utf8.allSatisfy(isHexadecimal)
    }

    /// Lower-case letters, digits, `-`, `_` and `.`, not at the beginning: cannot climb out of a folder, cannot be
    /// taken for an option, and is the same file on every system.
    public static func isPlain(_ name: String) -> Bool {
        guard let first = name.utf8.first, name.utf8.count <= longest else { return false }
        return isLetterOrDigit(first) && name.utf8.allSatisfy { isLetterOrDigit($0) || "-_.".utf8.contains($0) }
    }
}

extension Fixture {
    /// Its name.
    public var name: FixtureName { FixtureName(family: family, slug: slug, digest: digest) }

    /// The first digits of SHA-256 of what it is.  Who found it when, what is said of it and what is expected of
    /// it can change, and it is still the same fixture.
    public var digest: String {
        let file = self.file.map { ["c-file \($0)"] } ?? []
        let content =
            [fixtureHeader, "family \(family)", "pair \(pair)"] + file + [trace.withoutRemarks.description]
        return shortDigest(content.joined(separator: "\n").utf8)
    }

    /// What tells the two variants apart, the gravest first.
    private var slug: String {
        guard let before = outcome(of: base), let after = outcome(of: patched), before != after else { return "same" }
        let ends = [before.end, after.end].filter { $0 != "complete" }
        if before.end != after.end, let end = ends.first { return plain(end) }
        let broken = Set(before.broken).symmetricDifference(after.broken).sorted()
        if !broken.isEmpty { return plain(broken.prefix(2).joined(separator: "-")) }
        let attempts = Set(before.attempts).symmetricDifference(after.attempts).sorted()
        if let attempt = attempts.first { return plain(attempt) }
        if let operation = operationWithOtherResult(before, after) { return plain("result of \(operation)") }
        return plain(differingField(before, after) ?? "state")
    }

    private func operationWithOtherResult(_ before: ObservedOutcome, _ after: ObservedOutcome) -> String? {
        for (task, results) in zip(before.results, after.results).enumerated() where results.0 != results.1 {
            let step = zip(results.0, results.1).prefix { $0 == $1 }.count
            if trace.tasks.indices.contains(task), trace.tasks[task].steps.indices.contains(step) {
                return trace.tasks[task].steps[step].operation.name
            }
        }
        return nil
    }

    /// The first field that differs: of a set of flags, the flag.
    private func differingField(_ before: ObservedOutcome, _ after: ObservedOutcome) -> String? {
        let (old, new) = (ValueTable(before.lines), ValueTable(after.lines))
        let lines = before.lines + after.lines
        guard
            let path = (lines.filter { !$0.isEvent } + lines).map(\.path).first(where: { old[$0] != new[$0] })
        else { return nil }
        // `p1` and `page 3` are of one kind each.
        let words = path.split(separator: " / ").map { part in
            let word = part.split(separator: " ").first.map(String.init) ?? ""
            return word.first == "p" && word.count > 1 && word.dropFirst().allSatisfy(\.isNumber) ? "process" : word
        }
        let flags = Set((old[path] ?? "").split(separator: "|"))
            .symmetricDifference((new[path] ?? "").split(separator: "|")).filter { $0.contains("_") }.sorted()
        return (words.suffix(2) + flags.prefix(1).map(String.init)).joined(separator: "-")
    }
}

/// The first digits of SHA-256, in names and wherever people compare.
public func shortDigest(_ bytes: some Sequence<UInt8>) -> String {
    String(sha256(bytes).prefix(FixtureName.digestLength))
}

/// A few words as part of a file's name.
private func plain(_ words: String) -> String {
    let longest = 48
    let text = words.lowercased().utf8.map { isLetterOrDigit($0) ? Character(UnicodeScalar($0)) : "-" }
    let parts = String(text).split(separator: "-").joined(separator: "-").prefix(longest)
    return parts.isEmpty ? "state" : parts.last == "-" ? String(parts.dropLast()) : String(parts)
}

private func isLetterOrDigit(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
}

private func isHexadecimal(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
}
