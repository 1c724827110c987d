// SPDX-License-Identifier: GPL-2.0-only
// Claims files: what they mean, and that whatever else is in them ends in one line that says where.

import Simulation
import Testing

@testable import VariantKit

@Suite struct ClaimsTests {
    private static let text = """
        # What the example changes on purpose.
        cost vma_visit either
          "everywhere"

        pair before..after, before..mine.c
          events mmu_notifier_range_start, mmu_notifier_range_end lost
          cost lock either
            "the new walker does not unmap,"
            "so it notifies nobody"
          abi madvise -EINVAL, 3 becomes 0   # a comment
          state process.shmem_rss either if state process.nr_ptes lost or events tlb_flush new
            "more # follows"

        """

    private func parse(_ text: String, pairs: [String]? = nil) throws -> ClaimsFile {
        try ClaimsFile(parsing: Array(text.utf8), file: "x.claims", pairs: pairs)
    }

    @Test func aFileMeansWhatItSays() throws {
        let file = try parse(ClaimsTests.text)
        let words = "the new walker does not unmap, so it notifies nobody"
        let claims = [
            Claim(.events, "mmu_notifier_range_start", .lost, words),
            Claim(.events, "mmu_notifier_range_end", .lost, words), Claim(.cost, "lock", .either, words),
            Claim(.abi, "madvise", .either, values: Claim.Values(before: -22, after: 0), "more # follows"),
            Claim(.abi, "madvise", .either, values: Claim.Values(before: 3, after: 0), "more # follows"),
            Claim(
                .state, "process.shmem_rss", .either,
                if: [
                    Claim.Condition(level: .state, subject: "process.nr_ptes", direction: .lost),
                    Claim.Condition(level: .events, subject: "tlb_flush", direction: .new),
                ], "more # follows"),
        ]
        let everywhere = Claim(.cost, "vma_visit", .either, "everywhere")
        #expect(file.claims(base: "before", patched: "after") == [everywhere] + claims)
        #expect(file.claims(base: "before", patched: "mine.c") == [everywhere] + claims)
        #expect(file.claims(base: "after", patched: "before") == [everywhere])
    }

    @Test func aClaimIsWrittenAsItIsRead() throws {
        let claims = try parse(ClaimsTests.text).sections.flatMap(\.claims)
        for claim in claims {
            let again = try parse("\(claim)\n\"\(claim.sentence)\"\n").claims(base: "a", patched: "b")
            #expect(again == [claim])
        }
        #expect(claims[4].description == "abi madvise -EINVAL becomes 0")
    }

    @Test(arguments: [
        ("events mmu_notifier_range_strat lost\n", "1:8: error: no event 'mmu_notifier_range_strat'; expected perhaps"),
        ("cost lock either\n", "1:1: error: a claim without a sentence"),
        ("cost lock either\npair a..b\n", "1:1: error: a claim without a sentence"),
        ("\"words\"\n", "1:1: error: found a sentence; expected a claim before its sentence"),
        ("stat process.nr_ptes lost\n", "1:1: error: no level 'stat'; expected perhaps state"),
        ("state nr_ptes lost\n", "1:7: error: found 'nr_ptes'; expected a field such as process.nr_ptes"),
        ("state process.nr_ptes less\n", "1:23: error: found 'less'; expected new, lost or either"),
        ("state process.nr_ptes\n", "1:22: error: found the end of the line; expected new, lost or either"),
        ("abi madvise lost\n", "error: a result without values; expected VALUE becomes VALUE"),
        ("abi madvice 1 becomes 0\n", "1:5: error: no operation 'madvice'; expected perhaps madvise"),
        ("abi madvise EFROB becomes 0\n", "1:13: error: found 'EFROB'; expected a result such as 0, -EINVAL"),
        ("abi madvise 1 to 0\n", "1:15: error: found 'to'; expected ',' or 'becomes'"),
        ("cost lock either if cost lock\n", "1:30: error: found the end of the line; expected new, lost or either"),
        ("cost lock either when\n", "1:18: error: found 'when'; expected 'if' or the end of the line"),
        ("cost lock either\n  \"words\n", "2:3: error: a sentence without an end; expected '\"'"),
        ("cost lock either\n  \"\"\n", "2:3: error: an empty sentence"),
        ("cost lock either $\n", "1:18: error: found '$'"),
        ("pair a.b\n", "1:6: error: found 'a.b'; expected a pair, as BASE..PATCHED"),
        ("pair a..b,\n", "1:11: error: found the end of the line; expected a pair"),
        ("pair a..c\n", "1:6: error: no pair 'a..c'; expected perhaps a..b"),
    ])
    func whatIsWrongIsNamedByItsPlace(_ text: String, _ words: String) {
        #expect {
            try parse(text, pairs: ["a..b"])
        } throws: { error in
            let line = "\(error)"
            return line.hasPrefix("x.claims:") && line.contains(words) && !line.contains("\n")
        }
    }

    /// Bytes of a good file changed, left out, doubled: an error in one line, or claims.
    @Test func anyBytesEndInClaimsOrInOneLine() {
        var random = Random(seed: 7)
        let good = Array(ClaimsTests.text.utf8)
        var errors = 0
        for _ in 0..<5_000 {
            var bytes = good
            for _ in 0...random.below(4) {
                let place = random.below(bytes.count)
                switch random.below(4) {
                case 0: bytes[place] = UInt8(random.below(256))
                case 1: bytes.remove(at: place)
                case 2: bytes.insert(UInt8(random.below(128)), at: place)
                default: bytes.removeSubrange(place..<min(place + random.below(40), bytes.count))
                }
                if bytes.isEmpty { bytes = good }
            }
            do {
                _ = try ClaimsFile(parsing: bytes, file: "x.claims")
            } catch {
                errors += 1
                #expect(!error.description.contains("\n") && error.line >= 1 && error.column >= 1)
            }
        }
        #expect(errors > 1_000 && errors < 5_000)
    }

    @Test func aHugeFileIsRefused() {
        #expect(throws: ClaimsError.self) { try parse(String(repeating: "# \n", count: 40_000)) }
    }
}
