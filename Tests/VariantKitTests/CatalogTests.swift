// SPDX-License-Identifier: GPL-2.0-only
import Testing

@testable import VariantKit

@Suite struct CatalogTests {
    private let catalog = Catalog(
        families: [
            Family(
                name: "munlock-split", title: "",
                variants: [
                    variant("try_to_munlock"), variant("page_mlock.posted"), variant("written_in.c"), variant("old"),
                ],
                pairs: []),
            Family(name: "retract", title: "", variants: [variant("old", "v6.5"), variant("new", "v6.5")], pairs: []),
        ])

    private static func variant(_ name: String, _ era: String = "v5.13") -> Variant {
        Variant(name: name, era: era, summary: "", changedFunctions: [], install: { _ in })
    }

    @Test(arguments: [
        "try_to_munlock..page_mlock.posted", "munlock-split/try_to_munlock..munlock-split/page_mlock.posted",
    ])
    func namesHaveDots(_ text: String) throws {
        let pair = try catalog.pair(text)
        #expect(pair.base == .variant("munlock-split/try_to_munlock"))
        #expect(pair.patched == .variant("munlock-split/page_mlock.posted"))
    }

    @Test(arguments: ["mine.c", "../mine.c", "../a..b/mine.c", "./mine.c", "/tmp/mine.c"])
    func pathsHaveDots(_ path: String) throws {
        #expect(try catalog.pair("v5.13..\(path)") == NamedPair(base: .variant("v5.13"), patched: .source(path)))
        #expect(try catalog.pair("\(path)..v5.13") == NamedPair(base: .source(path), patched: .variant("v5.13")))
        #expect(try catalog.pair("\(path)..\(path)") == NamedPair(base: .source(path), patched: .source(path)))
    }

    @Test func namesOfVariantsComeBeforeFiles() throws {
        #expect(try catalog.pair("v5.13..written_in.c").patched == .variant("munlock-split/written_in.c"))
        #expect(try catalog.pair("v5.13.../written_in.c").patched == .source("./written_in.c"))
    }

    @Test func familyDecidesBetweenEqualNames() throws {
        #expect(throws: NameError.ambiguous("old", ["munlock-split/old", "retract/old"])) { try catalog.variant("old") }
        #expect(try catalog.variant("retract/old").era == "v6.5")
        #expect(try catalog.pair("old..new", in: catalog.family("retract")).base == .variant("retract/old"))
    }

    @Test func unknownNamesGetGuessesAndAList() {
        #expect(
            message { try catalog.pair("try_to_munlock..page_mlock.postd") }
                == "no variant page_mlock.postd; did you mean page_mlock.posted? "
                + "Known: try_to_munlock, page_mlock.posted, written_in.c, old, old, new, v5.13, v5.18-rc1, v6.5")
        #expect(message { try catalog.family("x") } == "no family x. Known: munlock-split, retract")
    }

    @Test(arguments: ["", "..", "a", "..a", "a..", "a.b"])
    func textThatIsNoPairIsRefused(_ text: String) {
        #expect(throws: NameError.noPair(text)) { try catalog.pair(text) }
    }

    @Test func pairsOfTwoErasAreRefused() {
        #expect(
            message { try catalog.pair("try_to_munlock..new") }
                == "try_to_munlock is of v5.13, new of v6.5: a pair is of one era")
    }

    private func message(_ body: () throws -> some Any) -> String? {
        do {
            _ = try body()
            return nil
        } catch {
            return "\(error)"
        }
    }
}
