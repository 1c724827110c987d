// SPDX-License-Identifier: GPL-2.0-only
import Foundation
import Testing

/// Mutants are run, and what becomes of them is counted.
@Suite struct MutateTests {
    private let folder = ScratchFolder()

    private static let files = [
        "Variants/MunlockSplit/refactors/page_mlock_fixed.c", "Variants/MlockDrain/refactors/remove_migration_pte.c",
        "Variants/RetractPageTables/C/retract_page_tables_new.c",
    ]

    @Test func thereAreEnoughMutants() throws {
        let names = try MutateTests.files.map { file in
            let end = try mmdiff(["mutate", "munlock-split/page_mlock.fixed", file, "--list"], in: project)
            #expect(end.status == 0)
            return end.output.split(separator: "\n").count
        }
        #expect(names.allSatisfy { $0 >= 20 } && names.reduce(0, +) >= 60)
    }

    private func source(_ file: String = "mine.c") throws -> String {
        try folder.write(
            file,
            """
            #include <mmdiff.h>

            void __munlock_isolated_page(struct page *page)
            {
                if (page_mapcount(page) > 1)
                    page_mlock(page);
                if (!PageMlocked(page))
                    count_vm_events(UNEVICTABLE_PGMUNLOCKED, thp_nr_pages(page));
                putback_lru_page(page);
                if (0)
                    frob();
            }

            """)
    }

    @Test func fatesAreTold() throws {
        let file = try source()
        _ = try folder.write("mine.c.equivalent", "__munlock_isolated_page: check dropped: never 0\n    It never is.\n")
        let end = try mmdiff(
            "mutate", "munlock-split/page_mlock.fixed", file, "--traces", "150", "--least", "50", "--json")
        let score = try #require(try end.json() as? [String: Any])
        let results = try #require(score["results"] as? [[String: Any]])
        var fates: [String: String] = [:]
        for result in results { fates[try #require(result["name"] as? String)] = result["fate"] as? String }
        // frob() does not exist, so only the mutant that does not call it compiles.
        #expect(fates.removeValue(forKey: "__munlock_isolated_page: call dropped: frob();") == "survived")
        #expect(fates.count > 5 && Set(fates.values) == ["does not compile"])
        #expect(score["percent"] as? Int == 0)
        #expect(end.status == 1)
    }

    @Test func mutantsThatDifferAreKilled() throws {
        let file = try source()
        let text = try String(contentsOfFile: file, encoding: .utf8).replacing("        frob();\n", with: "        ;\n")
        _ = try folder.write("mine.c", text)
        _ = try folder.write(
            "mine.c.equivalent",
            "# What no trace can tell.\n__munlock_isolated_page: check dropped: never 0\n    It never is.\n")
        let end = try mmdiff(
            "mutate", "munlock-split/page_mlock.fixed", file, "--traces", "150", "--least", "50")
        #expect(end.status == 0)
        #expect(end.output.contains("equivalent: __munlock_isolated_page: check dropped: never 0\n    It never is.\n"))
        #expect(end.output.contains("survived: __munlock_isolated_page: check dropped: always 0\n"))
        #expect(end.errors.contains("killed: __munlock_isolated_page: call dropped: putback_lru_page(page);"))
        #expect(end.errors.contains("killed: __munlock_isolated_page: call dropped: page_mlock(page);"))
    }

    /// A list that has come out of step with its file is no good.
    @Test func anUnknownMutantIsNamed() throws {
        _ = try folder.write("mine.c.equivalent", "# A comment.\nno such mutant\n    For no reason.\n")
        let end = try mmdiff("mutate", "munlock-split/page_mlock.fixed", try source(), "--traces", "1")
        #expect(end.status == 2)
        #expect(end.errors.contains("mine.c.equivalent:2:1: error: no mutant is called like this"))
    }
}
