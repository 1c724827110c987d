// SPDX-License-Identifier: GPL-2.0-only
import Foundation
import Testing

/// Known differences, and entries that are so no more.
@Suite struct FixtureAllowlistTests {
    @Test func whatIsKnownIsNoFailureForItsTime() throws {
        let folder = try FixtureFolder()
        try folder.makeStore("store")
        let name = try folder.record("store")
        let file = "store/Fixtures/\(name).trace"
        try folder.write(file, try folder.read(file).replacing("breaks held-at-return", with: "breaks refcount"))
        let list = "mmdiff allowlist 1\n\nallow \(name)\n  why   It is so.\n  since 2026-01-01\n  until 2026-12-31\n"
        try folder.write("store/Fixtures/allowlist", list)

        let known = try folder.fixture("store", "verify", "--today", "2026-06-01")
        #expect(known.status == 0 && known.errors == "", "\(known.errors)")
        #expect(known.output == "known    \(name)\n         known since 2026-01-01: It is so.\n1 fixture, 1 known\n")
        #expect(
            try folder.fixture("store", "verify", "--ktap", "--today", "2026-06-01").output.contains(
                "  ok 1 \(name) # SKIP known\n"))

        let late = try folder.fixture("store", "verify", "--today", "2027-01-01")
        #expect(late.status == 1)
        #expect(late.errors == "mmdiff: stale: allowlist:3: \(name): counts only until 2026-12-31\n")
    }

    @Test func entriesThatNothingIsLeftOfAreStale() throws {
        let folder = try FixtureFolder()
        try folder.makeStore("store")
        let name = try folder.record("store")
        try folder.write(
            "store/Fixtures/allowlist",
            "mmdiff allowlist 1\nallow \(name)\n  why x\n  since 2026-01-01\nallow a/b-0123456789ab\n  why y\n  since 2026-01-01\n"
        )
        let end = try folder.fixture("store", "verify")
        #expect(end.status == 0)
        #expect(
            end.errors == """
                mmdiff: stale: allowlist:2: \(name): deviates no more
                mmdiff: stale: allowlist:5: a/b-0123456789ab: there is no such fixture

                """)
    }

    @Test func whatARunFindsCanBeKnown() throws {
        let folder = try FixtureFolder()
        let run = ["run", "--pair", heldPair, "--traces", "1200", "--seed", "1", "--output", folder.path + "/found"]
        let report = try #require(try mmdiff(run + ["--json"]).json() as? [String: Any])
        let pair = try #require((report["pairs"] as? [[String: Any]])?.first)
        let findings = (pair["findings"] as? [[String: Any]] ?? []).compactMap { $0["finding"] as? [String: Any] }
        let keys = findings.compactMap { finding -> String? in
            guard let level = finding["level"] as? String, let direction = finding["direction"] as? String,
                let subject = finding["subject"] as? [String]
            else { return nil }
            return ([level, direction] + subject).joined(separator: " ")
        }
        try #require(!keys.isEmpty)
        var list = "mmdiff allowlist 1\n"
        for key in keys + ["state new no.such"] {
            list += "allow munlock-split \(heldPair) \(key)\n  why x\n  since 2026-01-01\n"
        }
        let file = try folder.write("allowlist", list)
        let end = try mmdiff(run + ["--allow", file])
        #expect(end.status == 0, "\(end.output)")
        let lines = end.errors.split(separator: "\n").map(String.init)
        #expect(lines.count == keys.count + 1)
        #expect(lines.contains("mmdiff: known since 2026-01-01: munlock-split \(heldPair) \(keys[0]): x"))
        #expect(lines.last?.hasSuffix("munlock-split \(heldPair) state new no.such: this run has not found it") == true)
        #expect(try mmdiff(run + ["--allow", file, "--today", "2025-12-31"]).status == 1)
    }

    @Test func aListThatCannotBeReadIsBadInput() throws {
        let folder = try FixtureFolder()
        try folder.makeStore("store")
        try folder.record("store")
        try folder.write("store/Fixtures/allowlist", "mmdiff allowlist 1\nallow x\n  whi y\n")
        let end = try folder.fixture("store", "verify")
        #expect(end.status == 2)
        #expect(
            end.errors
                == "mmdiff: Fixtures/allowlist:3:1: error: found 'whi'; expected 'allow', 'why', 'since' or 'until', each once\n"
        )
    }
}
