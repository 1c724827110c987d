// SPDX-License-Identifier: GPL-2.0-only
// Mutated traces and logs, for as many seconds as MMDIFF_FUZZ_SECONDS says, from MMDIFF_FUZZ_SEED on: nothing
// crashes or hangs, errors have their form, and what is read is printed and read again as it was.

import Foundation
import KernelModel
import Simulation
import Testing

@testable import Traces

@Suite struct FuzzTests {
    @Test func mutatedInputs() throws {
        let environment = ProcessInfo.processInfo.environment
        let seconds = environment["MMDIFF_FUZZ_SECONDS"].flatMap(Double.init) ?? 2
        var seed = environment["MMDIFF_FUZZ_SEED"].flatMap(UInt64.init) ?? 1
        let first = seed
        var fuzzer = try Fuzzer()
        let clock = ContinuousClock()
        let start = clock.now
        while clock.now - start < .seconds(seconds) {
            // A crash leaves the seed that it came with on the terminal's last line.
            if (seed - first) % 5000 == 4999 { FileHandle.standardError.write(Data("fuzz: seed \(seed)\n".utf8)) }
            let before = clock.now
            fuzzer.step(seed)
            #expect(clock.now - before < .seconds(5), "seed \(seed) takes too long")
            seed += 1
        }
        print(
            "fuzz: \(seed - first) inputs, \(fuzzer.accepted) of them accepted, \(fuzzer.refused) refused with "
                + "\(fuzzer.messages.count) different messages")
    }
}

private struct Fuzzer {
    var accepted = 0
    var refused = 0
    var messages: Set<String> = []
    private let traces: [[UInt8]]
    private let logs: [[UInt8]]
    private let generator = Generator(vocabulary)
    /// With what came last.
    private let model = Vocabulary(Era.v6_5)

    init() throws {
        traces = [Array(example.utf8)] + (try brokenInputs("traces.txt").map { Array($0.text.utf8) })
        let real = try input("Inputs/memlockd.strace")
        let others = try ["redis", "zgc", "qemu"].flatMap { name -> [[UInt8]] in
            let log = try input("Inputs/\(name).strace")
            let lines = log.split(separator: UInt8(ascii: "\n"))
            // A part of each third.
            return [lines.prefix(40), lines.dropFirst(lines.count / 2).prefix(40), lines.suffix(40)].map {
                Array($0.joined(separator: [UInt8(ascii: "\n")]))
            }
        }
        let calls = StraceCallTests.calls.map(\.0) + StraceCallTests.dropped.map(\.0)
        logs =
            [Array(real.prefix(4000)), Array(real.suffix(3000))] + others + StraceTests.forms.map { Array($0.utf8) }
            + calls.map { Array("1 brk(0x7000000) = 0x7000000\n1 \($0)\n".utf8) }
            + (try brokenInputs("strace.txt").map { Array($0.text.utf8) })
    }

    mutating func step(_ seed: UInt64) {
        var random = Random(seed: seed)
        if random.oneIn(3) {
            let log = mutate(random.pick(logs), with: random.pick(logs), &random)
            do {
                let era = random.oneIn(2) ? vocabulary : model
                let first = random.oneIn(2) ? 1 : 1 + random.below(20)
                check(try StraceImport(log, file: "x", vocabulary: era, lines: first...Int.max).trace, era, seed)
            } catch {
                refuse(error, log)
            }
        } else {
            let base = random.oneIn(2) ? Array(generator.trace(seed: seed).description.utf8) : random.pick(traces)
            let text = mutate(base, with: random.pick(traces), &random)
            do {
                let trace = try Trace(parsing: text, file: "x", eras: eras)
                check(trace, trace.era == vocabulary.era ? vocabulary : oldVocabulary, seed)
            } catch {
                refuse(error, text)
            }
        }
    }

    private mutating func check(_ trace: Trace, _ words: Vocabulary, _ seed: UInt64) {
        accepted += 1
        let text = trace.description
        let again = try? Trace(parsing: text, file: "again", eras: words.era == model.era ? [model] : eras)
        #expect(again == trace, "seed \(seed)")
        #expect(again?.description == text, "seed \(seed)")
        #expect((try? CompiledTrace(trace, words)) != nil, "seed \(seed)")
    }

    private mutating func refuse(_ error: TraceError, _ bytes: [UInt8]) {
        refused += 1
        checkForm(error, of: bytes)
        messages.insert(error.problem.filter { !$0.isNumber } + error.expected)
    }

    // MARK: - Mutations

    private func mutate(_ base: [UInt8], with other: [UInt8], _ random: inout Random) -> [UInt8] {
        var bytes = base
        for _ in 0..<random.pick([1, 1, 1, 2, 4]) {
            guard !bytes.isEmpty else { return other }
            let at = random.below(bytes.count)
            let length = min(1 + random.below(random.oneIn(4) ? 80 : 6), bytes.count - at)
            switch random.below(8) {
            case 0: bytes[at] = UInt8(random.below(256))
            case 1: bytes.removeSubrange(at..<at + length)
            case 2: bytes.insert(contentsOf: bytes[at..<at + length], at: random.below(bytes.count))
            case 3: bytes.replaceSubrange(at..<at + length, with: piece(of: other, &random))
            case 4: bytes.insert(contentsOf: random.pick(Fuzzer.words).utf8, at: at)
            case 5: replaceNumber(in: &bytes, from: at, &random)
            case 6: swapLines(in: &bytes, &random)
            default: bytes.removeLast(min(length, bytes.count))
            }
        }
        return bytes
    }

    private func piece(of bytes: [UInt8], _ random: inout Random) -> ArraySlice<UInt8> {
        guard !bytes.isEmpty else { return [] }
        let at = random.below(bytes.count)
        return bytes[at..<min(at + random.below(100), bytes.count)]
    }

    private func replaceNumber(in bytes: inout [UInt8], from start: Int, _ random: inout Random) {
        guard let first = bytes[start...].firstIndex(where: isDigit) else { return }
        let end = bytes[first...].firstIndex { !isWordByte($0) } ?? bytes.count
        bytes.replaceSubrange(first..<end, with: random.pick(Fuzzer.numbers).utf8)
    }

    private func swapLines(in bytes: inout [UInt8], _ random: inout Random) {
        var lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        lines.swapAt(random.below(lines.count), random.below(lines.count))
        bytes = Array(lines.joined(separator: [UInt8(ascii: "\n")]))
    }

    private static let numbers = [
        "0", "1", "2", "7", "8", "64", "255", "256", "4095", "4096", "0x1000", "0x7fffffffffffffff",
        "0x8000000000000000", "0xffffffffffffffff", "0xfffffffffffff000", "18446744073709551616", "-1",
    ]
    private static let words = [
        "setup", "task", "schedule", "start", "era", "file", "machine", "p0", "p1", "r0", "r1", "f0", "t1", "kernel",
        "device", "mlock(", "fork(p1)", "exit()", "#", " # x\n", "\n", "(", ")", ",", "|", "-", "->", "=>", "=", "\"",
        "<unfinished ...>", "<... mlock resumed>", "= -1 ENOMEM (x)", "= ?", "[pid 7] ", "7 ", "+++ exited with 0 +++",
        "clone(flags=CLONE_VM) = 8\n", "8 brk(0x5000000) = 0x5000000\n", "7 execve(\"x\", [], 0) = 0\n",
        "7 mremap(0x7000000, 4096, 81920, 0) = 0x7000000\n", "\u{0}", "\u{e9}", "{", "}", "[", "]", "len=", "start=",
        "7 ioctl(3, UFFDIO_COPY, {dst=0x7000000, src=0x1, len=0x1000, mode=0}) = 0\n", "|MAP_SHARED",
        "<memfd:x>(deleted)",
        "7 madvise(0x7000000, 0x400000, MADV_HUGEPAGE) = 0\n", "7 vfork() = 9\n", "iov_base=0x7000000, iov_len=1",
    ]
}
