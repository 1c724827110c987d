// SPDX-License-Identifier: GPL-2.0-only
// Broken inputs: each gives exactly one line that says where and what, and nothing else happens.

import Foundation
import KernelModel
import Testing
import Traces

/// Inputs of a file in Broken/, each behind a line `%% <the error's line, column and text>`.
func brokenInputs(_ name: String) throws -> [(expected: String, text: String)] {
    let file = String(decoding: try input("Broken/\(name)"), as: UTF8.self)
    return file.components(separatedBy: "%%").dropFirst().map { part in
        let lineEnd = part.firstIndex(of: "\n")!
        return (part[..<lineEnd].trimmingCharacters(in: .whitespaces), String(part[part.index(after: lineEnd)...]))
    }
}

/// The error must be one line, in the agreed form, and point into the input or just behind it.
func checkForm(_ error: TraceError, of bytes: [UInt8]) {
    let text = error.description
    #expect(text.utf8.allSatisfy { (0x20..<0x7f).contains($0) }, "\(text)")
    #expect(text.hasPrefix("\(error.file):\(error.line):\(error.column): error: "))
    #expect(text.contains("; expected "))
    #expect(text.utf8.count < 400)
    let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    #expect((1...lines.count + 1).contains(error.line), "\(text)")
    let length = error.line <= lines.count ? lines[error.line - 1].count : 0
    #expect((1...length + 1).contains(error.column), "\(text)")
}

func errorOfTrace(_ bytes: [UInt8]) -> TraceError? {
    do {
        _ = try Trace(parsing: bytes, file: "x", eras: eras)
        return nil
    } catch {
        return error
    }
}

func errorOfLog(_ bytes: [UInt8]) -> TraceError? {
    do {
        // With all calls that can be imported.
        _ = try StraceImport(bytes, file: "x", vocabulary: Vocabulary(Era.v6_5))
        return nil
    } catch {
        return error
    }
}

@Suite struct BrokenTests {
    @Test func tracesByHand() throws {
        try check("traces.txt", atLeast: 200, errorOfTrace)
    }

    @Test func logsByHand() throws {
        try check("strace.txt", atLeast: 100, errorOfLog)
    }

    private func check(_ name: String, atLeast count: Int, _ error: ([UInt8]) -> TraceError?) throws {
        let inputs = try brokenInputs(name)
        #expect(inputs.count >= count)
        var rewritten = ""
        for (expected, text) in inputs {
            let bytes = Array(text.utf8)
            let found = error(bytes)
            let said = found.map { String($0.description.dropFirst("x:".count)) } ?? "no error"
            #expect(found != nil, "\(text)")
            #expect(said == expected)
            if let found { checkForm(found, of: bytes) }
            rewritten += "%% \(said)\n\(text)"
        }
        // To take what is said now for what is expected, after reading it.
        if let folder = ProcessInfo.processInfo.environment["MMDIFF_RECORD"] {
            try Data(rewritten.utf8).write(to: URL(filePath: folder).appending(path: name))
        }
    }

    @Test func binaryInput() throws {
        let head = Array("mmdiff trace 1\nera v5.13\n".utf8)
        let inputs: [[UInt8]] = [
            [0], [0xff, 0xfe], Array(repeating: 0, count: 5000), Array(0...255), [0xef, 0xbb, 0xbf] + head,
            head + [0xc3], head + Array("task t0 p0 cpu=0 # \u{202e}\n".utf8), head + Array("# \u{7}\n".utf8),
            head + [UInt8(ascii: "#"), 0xed, 0xa0, 0x80], head + Array("task t0 p0 cpu=0\n  ml\u{f6}ck(0, 0)\n".utf8),
            head + Array("task t0 p0 cpu=0\n  mlock(0, 0)\u{0}\n".utf8), Array("mmdiff trace 1\r\r\nera".utf8),
        ]
        for bytes in inputs {
            let error = try #require(errorOfTrace(bytes))
            checkForm(error, of: bytes)
            checkForm(try #require(errorOfLog(bytes)), of: bytes)
        }
    }

    @Test func hugeInput() throws {
        let trace = Array(repeating: UInt8(ascii: "#"), count: TraceLimits.bytes + 1)
        #expect(
            errorOfTrace(trace)?.description == "x:1:1: error: the input has 1048577 bytes; expected 1048576 at most")
        let log = Array(repeating: UInt8(ascii: "\n"), count: 16 << 20 + 1)
        #expect(errorOfLog(log)?.description.hasPrefix("x:1:1: error: the log has") ?? false)
    }

    /// Every cut, every line left out, doubled or swapped, every number made huge, every byte replaced: either it
    /// is a trace still, or there is one error.
    @Test func tracesByRule() throws {
        let broken = mutilations(of: example, every: 3).filter { bytes in
            guard let error = errorOfTrace(bytes) else { return false }
            checkForm(error, of: bytes)
            return true
        }
        #expect(broken.count > 1000)
    }

    @Test func logsByRule() throws {
        let log = String(decoding: try input("Inputs/memlockd.strace").prefix(2000), as: UTF8.self)
        let broken = mutilations(of: log, every: 29).filter { bytes in
            guard let error = errorOfLog(bytes) else { return false }
            checkForm(error, of: bytes)
            return true
        }
        #expect(broken.count > 300)
    }

    private func mutilations(of text: String, every step: Int) -> [[UInt8]] {
        let bytes = Array(text.utf8)
        let places = Array(stride(from: 0, to: bytes.count, by: step))
        var results = places.map { Array(bytes[..<$0]) }
        for index in places {
            for replacement in [0, 0x0a, 0x20, 0x28, 0x39, 0x7a, 0xff] as [UInt8] where replacement != bytes[index] {
                var copy = bytes
                copy[index] = replacement
                results.append(copy)
            }
        }
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        for index in lines.indices {
            results.append(Array(joined(lines[..<index] + lines[(index + 1)...])))
            results.append(Array(joined(lines[...index] + lines[index...])))
            var swapped = lines
            swapped.swapAt(index, (index + 1) % lines.count)
            results.append(Array(joined(swapped[...])))
        }
        for match in text.matches(of: /[0-9]+/) {
            for number in ["99999999999999999999", "0xffffffffffffffffff", "-1", ""] {
                results.append(Array(text.replacingCharacters(in: match.range, with: number).utf8))
            }
        }
        return results
    }

    private func joined(_ lines: ArraySlice<Substring>) -> String.UTF8View {
        lines.joined(separator: "\n").utf8
    }
}
