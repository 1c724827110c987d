// SPDX-License-Identifier: GPL-2.0-only
// What subcommands print: text for people, JSON with --json.

import ArgumentParser
import Foundation

struct OutputOptions: ParsableArguments {
    @Flag(help: "Print JSON.")
    var json = false

    /// Prints `value` as JSON, or else `text`.
    func print(_ value: some Encodable, text: () -> String) throws {
        Swift.print(json ? try jsonText(value) : text())
    }
}

/// The same for the same value, always.
func jsonText(_ value: some Encodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(value), as: UTF8.self)
}

/// Rows of cells, each column as wide as its widest cell.
func table(_ rows: [[String]], indent: Int = 0) -> String {
    let columns = rows.map(\.count).max() ?? 0
    let widths = (0..<columns).map { column in rows.map { column < $0.count ? $0[column].count : 0 }.max()! }
    return rows.map { row in
        let cells = row.enumerated().map { column, cell in
            column == row.count - 1 ? cell : cell.padding(toLength: widths[column], withPad: " ", startingAt: 0)
        }
        return String(repeating: " ", count: indent) + cells.joined(separator: "  ")
    }.joined(separator: "\n")
}
