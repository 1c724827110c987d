// SPDX-License-Identifier: GPL-2.0-only
import Foundation
import Testing

/// The table of what mmdiff finds, and that it is silent where nothing changed.
@Suite struct GroundTruthTests {
    private let folder = ScratchFolder()

    private func table(_ lines: String, _ arguments: String...) throws -> Ended {
        let file = try folder.write("cases.txt", lines)
        return try mmdiff(["ground-truth", file, "--seeds", "1", "--time", "30s"] + arguments)
    }

    @Test func aCaseIsFoundAndTheTableReplaced() throws {
        let document = try folder.write(
            "TABLE.md", "Before.\n<!-- ground truth: begin -->\nold\n<!-- ground truth: end -->\nAfter.\n")
        let end = try table(
            """
            # A comment.
            case G2 munlock-split page_mlock.posted..page_mlock.merged divergent|deadlock new invariants held-at-return
            case no munlock-split page_mlock.posted..page_mlock.merged divergent new invariants swap-map|!held-at-return
            """, "--document", document, "--control-schedules", "0", "--time", "4s")
        #expect(end.status == 0)
        #expect(end.output.contains("| G2 | `page_mlock.posted..page_mlock.merged` | 1 of 1 | "))
        #expect(
            end.output.contains(
                "| no | `page_mlock.posted..page_mlock.merged` | 0 of 1 |  | - | - | - | - | - | - |"))
        let text = try String(contentsOfFile: document, encoding: .utf8)
        #expect(text.hasPrefix("Before.\n<!-- ground truth: begin -->\n\n1 seed, 4 s each, one core."))
        #expect(text.hasSuffix("|\n\n<!-- ground truth: end -->\nAfter.\n") && !text.contains("old"))
    }

    @Test func falseAlarmsAreCounted() throws {
        let end = try table(
            """
            control same munlock-split page_mlock.fixed..page_mlock.fixed
            control other munlock-split page_mlock.fixed..page_mlock.merged
            """, "--control-schedules", "30000", "--control-complete", "0", "--only", "other", "--json")
        let controls = try #require((try end.json() as? [String: Any])?["controls"] as? [[String: Any]])
        #expect(controls.count == 1)
        #expect(try #require(controls[0]["alarms"] as? [String]).contains { $0.contains("held-at-return") })
        #expect(try #require(controls[0]["schedules"] as? Int) >= 30000)
    }

    /// `make test` makes the build that this takes.
    @Test(.enabled(if: ProcessInfo.processInfo.environment["SEARCHCHECK"] != nil, "make test"))
    func smallTracesAreExploredCompletely() throws {
        let broken = try folder.write(
            "broken.c",
            """
            #include <mmdiff.h>

            void __munlock_isolated_page(struct page *page)
            {
                putback_lru_page(page);
            }

            """)
        let end = try table(
            """
            control other munlock-split page_mlock.fixed..\(broken)
            control other munlock-split page_mlock.fixed..page_mlock.fixed
            """, "--control-schedules", "1", "--control-complete", "4000", "--only", "other", "--json")
        let controls = try #require((try end.json() as? [String: Any])?["controls"] as? [[String: Any]])
        let complete = try controls.map { try #require($0["complete"] as? [String: Any]) }
        #expect(complete.count == 2)
        #expect(complete.allSatisfy { $0["traces"] as? Int ?? 0 > 0 && $0["schedules"] as? Int ?? 0 >= 4000 })
        #expect(try #require(complete[0]["different"] as? [String]).first?.hasPrefix("mmdiff trace") == true)
        #expect(complete[1]["different"] as? [String] == [])
    }

    @Test(arguments: [
        ("frob", "cases.txt:1:1: "), ("case G1 munlock-split a..b wrong new state x", "cases.txt:1:28: "),
        ("\ncase G1 munlock-split a..b divergent sideways state x", "cases.txt:2:38: "),
    ])
    func aBadLineIsNamed(_ line: String, _ place: String) throws {
        let end = try table(line)
        #expect(end.status == 2)
        #expect(end.errors.contains(place))
        #expect(end.errors.split(separator: "\n").count == 1)
    }

    /// Its yield points are in a function of another name: schedules must find them there.
    @Test func aPartThatIsSplitOutIsFollowed() throws {
        let helper = project.appending(path: "Variants/RetractPageTables/refactors/helper.c").path
        let end = try table(
            "control refactor retract-page-tables new..\(helper)", "--only", "refactor", "--control-schedules", "60000",
            "--control-complete", "0", "--json")
        let controls = try #require((try end.json() as? [String: Any])?["controls"] as? [[String: Any]])
        #expect(try #require(controls.first)["alarms"] as? [String] == [])
    }

    /// All of them, if not for long: `make refactors` takes the time.
    @Test(arguments: ["refactor", "language"]) func refactorsAreSilent(_ name: String) throws {
        let end = try mmdiff(
            [
                "ground-truth", "Tests/ground-truth.txt", "--only", name, "--control-schedules", "1500",
                "--control-complete", "0", "--control-time", "60s", "--json",
            ], in: project)
        #expect(end.status == 0)
        let table = try #require(try end.json() as? [String: Any])
        let controls = try #require(table["controls"] as? [[String: Any]])
        #expect(controls.count >= (name == "refactor" ? 10 : 5))
        for control in controls {
            #expect(control["alarms"] as? [String] == [], "\(control["pair"] ?? "")")
            #expect(try #require(control["schedules"] as? Int) > 0)
        }
        #expect((table["cases"] as? [Any])?.isEmpty == true)
    }
}
