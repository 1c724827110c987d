// SPDX-License-Identifier: GPL-2.0-only
// Guesses at what was meant by a name that nothing has.

/// The name among `candidates` that `name` is most likely a misspelling of.
public func closest(to name: String, in candidates: [String]) -> String? {
    let best = candidates.map { (distance(Array(name.utf8), Array($0.utf8)), $0) }.min { $0.0 < $1.0 }
    guard let best, best.0 <= max(2, name.utf8.count / 4) else { return nil }
    return best.1
}

/// How many letters must be added, dropped or changed (Levenshtein).
private func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
    var row = Array(0...b.count)
    for (i, letter) in a.enumerated() {
        var diagonal = row[0]
        row[0] = i + 1
        for (j, other) in b.enumerated() {
            let above = row[j + 1]
            row[j + 1] = letter == other ? diagonal : min(diagonal, above, row[j]) + 1
            diagonal = above
        }
    }
    return row[b.count]
}
