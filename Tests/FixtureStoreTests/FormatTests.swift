// SPDX-License-Identifier: GPL-2.0-only
// The language of fixtures: what is printed is read back as it was, and what is wrong is told with its place.

import Differential
import Foundation
import KernelModel
import Simulation
import Testing
import Traces

@testable import FixtureStore

@Suite struct FormatTests {
    @Test func theExampleIsCanonical() throws {
        let fixture = try parsed(example)
        #expect(fixture.description == example)
        #expect(fixture.shows == "page_mlock.merged leaves the page table lock held.")
        #expect(fixture.provenance.seed == UInt64.max && fixture.provenance.references.count == 2)
        #expect(fixture.variants == ["try_to_munlock", "page_mlock.posted", "page_mlock.merged"])
        #expect(fixture.outcome(of: "page_mlock.posted")?.results == [[0], [0, 65537]])
        #expect(fixture.outcome(of: "page_mlock.merged")?.broken == ["held-at-return", "nr-mlock"])
        #expect(fixture.trace.schedule?.decisions.count == 1)
    }

    /// The example with a C file on one side.
    private let withFile = example.replacing("page_mlock.merged", with: "mine.c")
        .replacing("\nLink: https://lore", with: "\nc-file mine.c 0123456789ab\nLink: https://lore")

    @Test func aCFileIsPartOfWhatItIs() throws {
        let fixture = try parsed(withFile)
        #expect(fixture.description == withFile)
        #expect(fixture.file?.description == "mine.c 0123456789ab" && fixture.standsOn == fixture.base)
        #expect(!fixture.familyVariants.contains("mine.c") && fixture.variants.contains("mine.c"))
        let other = try parsed(withFile.replacing("0123456789ab", with: "0123456789ac"))
        #expect(other.digest != fixture.digest)
    }

    @Test(arguments: ["mine.c", "mine.c 0123456789AB", "mine.c 0123", "other.c 0123456789ab", "../mine.c 0123456789ab"])
    func otherCFilesAreErrors(_ text: String) {
        let error = #expect(throws: TraceError.self) {
            try parsed(withFile.replacing("c-file mine.c 0123456789ab", with: "c-file " + text))
        }
        #expect(error?.description.hasPrefix("x:10:8: error: the C file '") == true, "\(error?.description ?? "none")")
    }

    @Test func windowsLineEndsAreRead() throws {
        #expect(try parsed(example.replacingOccurrences(of: "\n", with: "\r\n")) == parsed(example))
    }

    /// A line of the example, what it becomes, and the beginning of the error.
    @Test(arguments: [
        ("mmdiff fixture", "mmdiff fixture 2", "x:1:1: error: no fixture; expected 'mmdiff fixture 1'"),
        ("shows", "", "x:2:1: error: found ''; expected 'shows ...'"),
        ("shows", "shows ", "x:2:1: error: found 'shows '"),
        ("shows", "shows a\u{1b}[2J", "x:2:1: error: a control character, U+1B"),
        ("family", "family ../../etc", "x:3:8: error: the name '../../etc'"),
        ("family", "family Munlock", "x:3:8: error: the name 'Munlock'"),
        ("pair", "pair a", "x:4:6: error: the pair 'a'; expected BASE..PATCHED"),
        ("pair", "pair other..page_mlock.merged", "x:44:1: error: no outcome of other"),
        ("verdict", "verdict bad", "x:5:9: error: the verdict 'bad'; expected one of equal, expected,"),
        ("seed", "seed -1", "x:7:6: error: the seed '-1'"),
        ("Link", "Lnk: x", "x:10:1: error: found 'Lnk: x'; expected an empty line"),
        ("era", "era v9", "x:15:5: error: "),
        ("  munlock", "  munlok(r0, 0x1000)", "x:22:3: error: unknown operation 'munlok'"),
        ("  start", "  start t7", "x:27:9: error: there is no task t7"),
        ("  results t1 0", "  results t1 x", "x:33:11: error: found 'x'; expected a number"),
        ("  results t0", "  results t2 0", "x:32:11: error: found 't2'; expected 't0'"),
        ("  differs", "  differs page", "x:35:11: error: found 'page'; expected 'NAME: VALUE'"),
        ("  state", "  status 1", "x:34:3: error: found 'status'"),
        ("outcome page", "outcome page_mlock.posted", "x:37:9: error: the variant 'page_mlock.posted'"),
        ("outcome page", "outcome", "x:37:1: error: found 'outcome'; expected 'outcome ...'"),
    ])
    func errorsHaveTheirPlace(_ prefix: String, _ new: String, _ message: String) {
        let error = #expect(throws: TraceError.self) { try parsed(example(prefix, becomes: new)) }
        #expect(error?.description.hasPrefix(message) == true, "\(error?.description ?? "none")")
    }

    @Test func missingPartsAreErrors() {
        for prefix in [
            "mmdiff fixture", "shows", "family", "pair", "verdict", "schedule-of", "version", "sources", "mmdiff trace",
        ] {
            #expect(throws: TraceError.self, "\(prefix)") { try parsed(example(prefix)) }
        }
        #expect(throws: TraceError.self) { try parsed(example.components(separatedBy: "outcome")[0]) }
        #expect(throws: TraceError.self) { try parsed("") }
    }

    @Test func enormousInputsAreRefused() {
        let large = [UInt8](repeating: UInt8(ascii: "a"), count: FixtureLimits.bytes + 1)
        #expect(throws: TraceError.self) { try Fixture(parsing: large, file: "x") }
        #expect(throws: TraceError.self) {
            try parsed(example("shows", becomes: "shows " + String(repeating: "a", count: FixtureLimits.lineBytes)))
        }
    }

    /// Mutated fixtures: none crashes, errors have their form, and what is read is printed and read as it was.
    @Test func mutatedInputs() throws {
        let environment = ProcessInfo.processInfo.environment
        let seconds = environment["MMDIFF_FUZZ_SECONDS"].flatMap(Double.init) ?? 2
        var seed = environment["MMDIFF_FUZZ_SEED"].flatMap(UInt64.init) ?? 1
        var (accepted, refused) = (0, 0)
        let start = ContinuousClock.now
        while ContinuousClock.now - start < .seconds(seconds) {
            let text = mutated(Array(example.utf8), seed)
            do {
                let fixture = try Fixture(parsing: text, file: "x")
                let printed = fixture.description
                #expect(try parsed(printed) == fixture, "seed \(seed)")
                #expect(try parsed(printed).description == printed, "seed \(seed)")
                accepted += 1
            } catch let error as TraceError {
                refused += 1
                let line = error.description
                #expect(line.hasPrefix("x:") && !line.contains("\n"), "seed \(seed): \(line)")
            }
            seed += 1
        }
        #expect(accepted > 0 && refused > 0)
    }

    private func mutated(_ text: [UInt8], _ seed: UInt64) -> [UInt8] {
        var random = Random(seed: seed)
        var text = text
        for _ in 0...random.below(3) {
            let at = random.below(text.count)
            switch random.below(5) {
            case 0: text[at] = UInt8(random.below(256))
            case 1: text.remove(at: at)
            case 2: text.insert(UInt8(random.below(256)), at: at)
            case 3:
                let lines = text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
                let line = lines[random.below(lines.count)]
                text.insert(contentsOf: line + [UInt8(ascii: "\n")], at: line.startIndex)
            default: text.removeSubrange(at..<min(text.count, at + random.below(60)))
            }
            if text.isEmpty { return text }
        }
        return text
    }
}
