// SPDX-License-Identifier: GPL-2.0-only
// From a trace to a fixture: its schedule written down as it is really taken, and what each variant makes of it.

import CVariantSources
import Differential
import FixtureStore
import Traces
import VariantKit

/// What is known of a fixture before its trace is run.
struct FixtureDraft {
    /// The file that it is from.
    var source: String
    var trace: Trace
    var pair: FixturePair
    /// nil: nobody has judged it.
    var verdict: Verdict?
    var shows: String?
    var seed: UInt64?
    var references: [Provenance.Reference]
}

struct FixtureMaker {
    var jobs: Int

    func fixtures(_ drafts: [FixtureDraft]) throws -> [Fixture] {
        let observed = try FixtureRunner(jobs: jobs).observe(try drafts.map(toObserve))
        return try zip(drafts, observed).map { draft, observed in try fixture(draft, observed) }
    }

    private func toObserve(_ draft: FixtureDraft) throws -> TraceToObserve {
        let family = try commandLineCatalog.family(draft.pair.family)
        // A variant of another era counts if the trace means something there.
        let variants = family.variants.filter { variant in
            (try? CommandLineTool.trace(draft.trace.description.utf8, in: variant.era)) != nil
        }.map(\.name)
        var item = TraceToObserve(
            trace: draft.trace.description, family: family.name, variants: variants,
            scheduleAnew: [draft.pair.patched, draft.pair.base])
        if let file = draft.pair.file {
            let isBase = draft.pair.base == file.file.name
            item.add(file, on: isBase ? draft.pair.patched : draft.pair.base)
        }
        return item
    }

    private func fixture(_ draft: FixtureDraft, _ observed: ObservedTrace) throws -> Fixture {
        for variant in observed.variants where variant.outcome == nil {
            throw InputError("\(draft.source): on \(variant.variant): \(variant.problem ?? "no outcome")")
        }
        let outcomes = ExpectedOutcome.grouped(observed.variants.map { ($0.variant, $0.outcome!) })
        let pair = draft.pair
        guard let scheduledOn = observed.scheduledOn, outcomes.contains(where: { $0.variants.contains(pair.base) }),
            outcomes.contains(where: { $0.variants.contains(pair.patched) })
        else { throw InputError("\(draft.source): the trace does not run on \(pair.base)..\(pair.patched)") }
        var fixture = Fixture(
            shows: "", family: pair.family, base: pair.base, patched: pair.patched, file: pair.file?.file,
            verdict: draft.verdict ?? .inconclusive, scheduledOn: scheduledOn,
            provenance: Provenance(
                seed: draft.seed, version: mmdiffVersion, sources: sourcesDigest(pair.family),
                references: draft.references),
            trace: try CommandLineTool.trace(observed.trace.utf8, in: nil), outcomes: outcomes)
        let differs = fixture.outcome(of: fixture.base) != fixture.outcome(of: fixture.patched)
        guard differs || draft.verdict != nil && draft.verdict?.isUnexpected == false else {
            throw InputError("\(draft.source): \(fixture.pair) do the same under the trace's schedule")
        }
        fixture.shows = try sentence(draft.shows ?? "\(fixture.pair) differ: \(fixture.name.slug)", draft.source)
        for reference in fixture.provenance.references { _ = try sentence(reference.text, "--link or --fixes") }
        return fixture
    }

    /// A line that can stand in a fixture.
    private func sentence(_ text: String, _ source: String) throws -> String {
        let line = inOneLine(text).split(separator: " ").joined(separator: " ")
        let longest = 1000
        guard !line.isEmpty, line.utf8.count <= longest else {
            throw InputError("\(source): what it says must have 1 to \(longest) bytes")
        }
        return line
    }
}

/// What fixtures are recorded with.
let mmdiffVersion = "0.5"

/// The first digits of SHA-256 of the texts of a family's variants.
func sourcesDigest(_ family: String) -> String {
    let folder = family.split(separator: "-").map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined() + "/"
    var content: [UInt8] = []
    for number in 0..<number_of_variant_sources() {
        let source = variant_source(number)
        let path = String(cString: source.path)
        guard path.hasPrefix(folder) else { continue }
        content +=
            Array("\(path) \(source.size)\n".utf8) + Array(UnsafeBufferPointer(start: source.text, count: source.size))
    }
    return shortDigest(content)
}
