// SPDX-License-Identifier: GPL-2.0-only
// Input files, read and checked before anything runs.

import FixtureStore
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

/// A file with a trace that can run, or a fixture with one: what it says, and as it is written there.
///
/// - Parameter era: the one that it is to run in; its own if none is given.
func readTrace(_ path: String, in era: String? = nil) throws -> (trace: Trace, text: String) {
    var bytes = try readInput(path)
    if Fixture.isFixture(bytes) { bytes = Array(try Fixture(parsing: bytes, file: path).trace.description.utf8) }
    return (try trace(bytes, file: path, in: era), String(decoding: bytes, as: UTF8.self))
}

/// A trace in the words of an era; what that era lacks is an error.
func trace<Bytes: Sequence<UInt8>>(_ bytes: Bytes, file: String = "the trace", in era: String?) throws -> Trace {
    try Trace(
        parsing: Array(bytes), file: file, eras: Vocabulary.all, as: Vocabulary.all.first { $0.era == era })
}
