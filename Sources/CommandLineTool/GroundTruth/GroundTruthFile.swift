// SPDX-License-Identifier: GPL-2.0-only
// What is known of the families' patches, as a file of lines: cases that must be found, and pairs on which nothing
// must be.  Only the table that tells what mmdiff finds reads it; nothing that finds does.

import Differential

/// One line of the file.
///
///     case NAME FAMILY BASE..PATCHED VERDICT DIRECTION LEVEL SUBJECT
///     control NAME FAMILY BASE..PATCHED
///
/// VERDICT and SUBJECT may be several, with `|` between them: any of them will do.  A subject after `!` must not be
/// there.
struct GroundTruthFile {
    struct Case {
        var name: String
        var family: String
        var pair: String
        var pattern: FindingPattern
    }

    struct Control {
        var name: String
        var family: String
        var pair: String
    }

    private(set) var cases: [Case] = []
    private(set) var controls: [Control] = []

    /// - Parameter path: the file's, for errors.
    init(_ text: String, path: String) throws {
        for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let words = line.split(separator: " ").map(String.init)
            switch words.first {
            case nil: continue
            case let word? where word.hasPrefix("#"): continue
            case "case" where words.count >= 8: cases.append(try GroundTruthFile.readCase(words, path, number + 1))
            case "control" where words.count == 4:
                controls.append(Control(name: words[1], family: words[2], pair: words[3]))
            default:
                throw InputError(
                    "\(path):\(number + 1):1: error: expected 'case NAME FAMILY PAIR VERDICT DIRECTION LEVEL SUBJECT'"
                        + " or 'control NAME FAMILY PAIR'")
            }
        }
    }

    private static func readCase(_ words: [String], _ path: String, _ line: Int) throws -> Case {
        func wrong(_ word: Int, _ known: [String]) -> InputError {
            let column = words[..<word].reduce(1) { $0 + $1.count + 1 }
            return InputError(
                "\(path):\(line):\(column): error: found '\(words[word])'; expected one of "
                    + known.joined(separator: ", "))
        }
        let verdicts = words[4].split(separator: "|").map { Verdict(rawValue: String($0)) }
        guard !verdicts.contains(nil) else { throw wrong(4, Verdict.allCases.map(\.rawValue)) }
        guard let direction = Finding.Direction(rawValue: words[5]) else { throw wrong(5, ["new", "lost", "both"]) }
        let subjects = words[7...].joined(separator: " ").split(separator: "|").map(String.init)
        return Case(
            name: words[1], family: words[2], pair: words[3],
            pattern: FindingPattern(
                verdicts: verdicts.compactMap { $0 }, direction: direction, level: words[6],
                subjects: subjects.filter { !$0.hasPrefix("!") },
                others: subjects.filter { $0.hasPrefix("!") }.map { String($0.dropFirst()) }))
    }
}
