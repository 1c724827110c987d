// SPDX-License-Identifier: GPL-2.0-only
// Input files, read and checked before anything runs.

import Foundation
import Traces

/// The bytes of an input file.
func readInput(_ path: String) throws -> [UInt8] {
    do {
        return [UInt8](try Data(contentsOf: URL(filePath: path)))
    } catch {
        throw InputError("cannot read \(path)")
    }
}

/// A file with a trace that can run: what it says, and as it is written there.
func readTrace(_ path: String) throws -> (trace: Trace, text: String) {
    let bytes = try readInput(path)
    return (
        try Trace(parsing: bytes, file: path, eras: Vocabulary.all), String(decoding: bytes, as: UTF8.self)
    )
}
