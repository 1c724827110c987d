// SPDX-License-Identifier: GPL-2.0-only
// Names from content: the same for the same finding, whoever has it, and never a way out of the folder.

import Differential
import Foundation
import Testing
import Traces

@testable import FixtureStore

@Suite struct NameTests {
    @Test func digestsAreThoseOfOtherPrograms() {
        // FIPS 180-4's examples, and a length at each border of a block.
        #expect(sha256("".utf8) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        #expect(sha256("abc".utf8) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        let million = String(repeating: "a", count: 1_000_000)
        #expect(sha256(million.utf8) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
        let fiftySix = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"
        #expect(sha256(fiftySix.utf8) == "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1")
    }

    @Test func whatIsSaidIsNoPartOfTheName() throws {
        let fixture = try parsed(example)
        var other = fixture
        other.shows = "Something else."
        other.provenance = Provenance(version: "9", sources: "ffff")
        other.trace.remarks = Remarks(above: ["another remark"])
        other.trace.tasks[0].steps[0].remarks = Remarks()
        other.trace.schedule?.decisions[0].remarks = Remarks()
        #expect(other.name == fixture.name)
        other.outcomes[1].outcome.broken = ["nr-mlock"]
        #expect(other.digest == fixture.digest && other.name != fixture.name)
    }

    @Test func whatItIsIsItsName() throws {
        let fixture = try parsed(example)
        for change in [
            ("family", "family mlock-drain"), ("  t1 op 0", "  t1 op 0 page_mlock_one:vm_flags #2 -> t0"),
            ("  read", "  write(r0)"), ("pair", "pair try_to_munlock..page_mlock.merged"),
        ] {
            #expect(try parsed(example(change.0, becomes: change.1)).digest != fixture.digest, "\(change)")
        }
    }

    @Test func theGravestDifferenceGivesTheName() throws {
        var fixture = try parsed(example)
        #expect(fixture.name.slug == "held-at-return-nr-mlock")
        fixture.outcomes[1].outcome.broken = []
        #expect(fixture.name.slug == "migrate-eagain")
        fixture.outcomes[1].outcome.attempts = []
        #expect(fixture.name.slug == "result-of-mlock")
        fixture.outcomes[1].outcome.results = [[0], [0, 65537]]
        fixture.outcomes[1].outcome.lines = [ObservedOutcome.Line(path: "page 0 / flags", value: "PG_lru|PG_mlocked")]
        #expect(fixture.name.slug == "page-flags-pg-mlocked")
        fixture.outcomes[1].outcome.lines = [ObservedOutcome.Line(path: "p1 / nr_ptes", value: "1")]
        fixture.outcomes[0].outcome.lines = []
        #expect(fixture.name.slug == "process-nr-ptes")
        fixture.outcomes[1].outcome.end = "deadlock"
        #expect(fixture.name.slug == "deadlock")
    }

    @Test(arguments: [
        "munlock-split/held-at-return-0123456789ab", "a/b-0123456789ab.trace",
    ])
    func namesAreRead(_ text: String) {
        #expect(FixtureName(text) != nil)
    }

    @Test(arguments: [
        "a/b", "a/b-0123456789a", "a/b-0123456789AB", "../b-0123456789ab", "a/../b-0123456789ab", "/b-0123456789ab",
        "a/.b-0123456789ab", "-a/b-0123456789ab", "a/b\n-0123456789ab", "a/b-0123456789ab/c", "a b/c-0123456789ab",
        "a/-0123456789ab", "é/b-0123456789ab",
    ])
    func otherNamesAreNot(_ text: String) {
        #expect(FixtureName(text) == nil)
    }

    @Test func equalOutcomesStandTogether() throws {
        let line = { ObservedOutcome.Line(path: $0, value: $1) }
        let outcome = { (lines: [ObservedOutcome.Line]) in
            ObservedOutcome(end: "complete", results: [[0]], state: "1", lines: lines)
        }
        let groups = ExpectedOutcome.grouped([
            ("a", outcome([line("x", "1"), line("y", "2")])), ("b", outcome([line("x", "1"), line("y", "3")])),
            ("c", outcome([line("x", "1"), line("y", "2")])), ("d", outcome([line("x", "1")])),
        ])
        #expect(groups.map(\.variants) == [["a", "c"], ["b"], ["d"]])
        // What is the same everywhere is left out; what one has not, too.
        #expect(groups.map { $0.outcome.lines.map(\.value) } == [["2"], ["3"], []])
    }

    @Test func mergedProvenanceIsTheSameOnBothSides() throws {
        let fixture = try parsed(example)
        var (a, b) = (fixture, fixture)
        a.shows = "B."
        b.shows = "A."
        a.provenance.references.append(Provenance.Reference(.link, "https://a"))
        b.provenance.references.remove(at: 0)
        b.provenance.seed = 7
        b.trace.remarks.above = ["better said"]
        let merged = try #require(Fixture.merged(fixture, a, b))
        #expect(merged == Fixture.merged(fixture, b, a))
        #expect(merged.shows == "A." && merged.provenance.seed == 7)
        #expect(merged.trace.remarks.above == ["better said"])
        #expect(merged.provenance.references.map(\.text).contains("https://a"))
        #expect(!merged.provenance.references.map(\.text).contains("https://lore.kernel.org/all/example"))
        b.outcomes[1].outcome.broken = []
        #expect(Fixture.merged(fixture, a, b)?.outcomes == b.outcomes)
        a.outcomes[1].outcome.broken = ["nr-mlock"]
        #expect(Fixture.merged(fixture, a, b) == nil)
    }
}

@Suite struct AllowlistTests {
    private let text = """
        mmdiff allowlist 1
        # What we know.
        allow munlock-split/held-0123456789ab
          why   It is so.
          since 2026-11-21
          until 2027-02-28

        allow munlock-split a..b invariants new held-at-return
          why   The other one.
          since 2026-01-01
        """

    @Test func entriesCountForTheirTime() throws {
        let list = try Allowlist(parsing: Array(text.utf8), file: "x")
        #expect(list.entries.map(\.line) == [3, 8])
        func counts(_ day: String) throws -> Bool {
            list.entry("munlock-split/held-0123456789ab", on: try #require(Day(day))) != nil
        }
        #expect(try counts("2026-11-21") && counts("2027-02-28"))
        #expect(try !counts("2026-11-20") && !counts("2027-03-01"))
        #expect(
            list.entry("munlock-split a..b invariants new held-at-return", on: Day("9999-12-31")!)?.why
                == "The other one.")
    }

    @Test(arguments: [
        ("mmdiff allowlist 1", "", "x:1:1: error: no allowlist"),
        ("  why   It is so.\n", "", "x:3:1: error: no reason for"),
        ("2027-02-28", "2027-02-29", "x:6:1: error: '2027-02-29' is no day"),
        ("allow munlock-split a..b", "alow x", "x:8:1: error: found 'alow'"),
        ("  since 2026-01-01", "", "x:8:1: error: 'munlock-split a..b invariants new held-at-return' since when?"),
    ])
    func errorsHaveTheirPlace(_ old: String, _ new: String, _ message: String) {
        let error = #expect(throws: TraceError.self) {
            try Allowlist(parsing: Array(text.replacing(old, with: new).utf8), file: "x")
        }
        #expect(error?.description.hasPrefix(message) == true, "\(error?.description ?? "none")")
    }

    @Test func daysAreThoseOfTheCalendar() {
        #expect(civilDate(seconds: 0) == "1970-01-01")
        #expect(civilDate(seconds: 951_782_400) == "2000-02-29")
        #expect(civilDate(seconds: 4_107_542_399) == "2100-02-28")
        #expect(civilDate(seconds: -1) == "1969-12-31")
        #expect(Day("2000-02-29") != nil && Day("1900-02-29") == nil && Day("2026-1-01") == nil)
    }
}
