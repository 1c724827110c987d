// SPDX-License-Identifier: GPL-2.0-only
import Foundation
import Testing

/// The executable from outside: what it prints, and its exit status.
@Suite struct CommandLineTests {
    @Test(arguments: [["--help"], ["run", "--help"], ["help", "explore"], []])
    func helpIsNoError(_ arguments: [String]) throws {
        let end = try mmdiff(arguments)
        #expect(end.status == 0)
        #expect(end.output.contains("USAGE: mmdiff"))
        #expect(end.errors == "")
    }

    @Test(arguments: [["frob"], ["run", "--bogus"], ["explore"], ["list", "nonsense"], ["worker"]])
    func badUsageIsStatus2(_ arguments: [String]) throws {
        let end = try mmdiff(arguments)
        #expect(end.status == 2)
        #expect(end.output == "")
        #expect(end.errors != "")
    }

    @Test func unknownNamesAreBadInputInOneLine() throws {
        let end = try mmdiff("run", "no-such-family")
        #expect(end.status == 2)
        #expect(end.errors.hasPrefix("mmdiff: no family no-such-family"))
        #expect(end.errors.split(separator: "\n").count == 1)
    }

    @Test func listNamesEverything() throws {
        let listing = try #require(try mmdiff("list", "--json").json() as? [String: Any])
        #expect((listing["eras"] as? [String])?.contains("v5.13") == true)
        for part in ["families", "ops", "invariants"] { #expect(listing[part] is [Any]) }
        let text = try mmdiff("list", "eras").output
        #expect(text == "eras\n  v5.13\n  v5.18-rc1\n  v6.5\n")
    }

    @Test func doctorFindsACompilerAndStartsAWorker() throws {
        let end = try mmdiff("doctor", "--json")
        #expect(end.status == 0)
        let findings = try #require(try end.json() as? [[String: Any]])
        for name in ["C compiler", "workers"] {
            #expect(findings.contains { $0["name"] as? String == name && $0["works"] as? Bool == true })
        }
    }

    @Test func doctorTellsOfAMissingCompiler() throws {
        let end = try mmdiff("doctor", environment: ["CC": "/no/such/compiler"])
        #expect(end.status == 0)
        #expect(end.output.contains("missing  C compiler"))
    }
}
