// SPDX-License-Identifier: GPL-2.0-only
// Findings that need no settling: what was done differs, fields that claims are about differ, both sides are broken.

import CKernel
import KernelModel
import Simulation
import Traces
import VariantKit

extension Campaign {
    /// The level `events` or `cost`: what was done differs although the outcome is the same.
    func noteCounts(_ level: Level, _ seed: ScheduleSeed, _ trace: Trace) {
        let picture = Picture(pair, seed)
        for event in eventNumbers(level) {
            guard let direction = EventDifference(event, picture.events)?.direction else { continue }
            let name = eventName(event)
            let claim = claims.covering(level, name, direction, in: picture)
            let differ = { [pair] in pair.differ(inWhatWasDone: level, $0, $1) }
            let shows = { [claims] (picture: Picture) in
                EventDifference(event, picture.events)?.direction == direction
                    && claims.covering(level, name, direction, in: picture) == claim
            }
            note(
                UnsettledCutter(pair, trace, vocabulary, seed, differ: differ, shows: shows), picture, claim,
                with: "with the same results and state"
            ) { picture, trace, seed, effort in
                picture.finding(
                    level, direction, name, EventDifference(event, picture.events)?.lines ?? [], trace, seed,
                    effort: effort)
            }
        }
    }

    /// The level `state`: fields that claims are about, in runs with the same results and the same state otherwise.
    /// Under preemption one schedule by name is not one schedule: what no claim covers may then differ by chance.
    func noteClaimedState(_ seed: ScheduleSeed, _ trace: Trace) {
        let picture = Picture(pair, seed)
        for change in picture.changes where pair.leavesOut(change.field) {
            let claim = claims.covering(.state, change.field, change.direction, in: picture)
            if claim == nil && seed.schedule != 0 { continue }
            let differ = { [pair] in pair.differAsClaimed($0, $1) }
            let shows = { [claims] (picture: Picture) in
                picture.changes.contains { $0.field == change.field && $0.direction == change.direction }
                    && claims.covering(.state, change.field, change.direction, in: picture) == claim
            }
            note(
                UnsettledCutter(pair, trace, vocabulary, seed, differ: differ, shows: shows), picture, claim,
                with: "with the same results and the same state otherwise"
            ) { picture, trace, seed, effort in
                picture.finding(
                    .state, change.direction, change.field, picture.stateDifference.lines, trace, seed, effort: effort)
            }
        }
    }

    /// Adds a finding of the loaded trace, or counts one that is known; what is new is cut down first.
    private func note(
        _ cutter: UnsettledCutter, _ picture: Picture, _ claim: Claim?, with: String,
        finding: (Picture, Trace, ScheduleSeed, String) -> Finding
    ) {
        func told(_ picture: Picture) -> Finding {
            let number = cutter.seed.schedule
            let schedule = number == 0 ? "the schedule without preemption" : "schedule \(number)"
            var told = finding(picture, cutter.smallest, cutter.seed, "under \(schedule), \(with)")
            if let claim { told.isExpected(by: claim) }
            return told
        }
        let whole = told(picture)
        if findings.contains(where: { $0.isSame(as: whole) }) { return merge(whole) }
        let trace = cutter.smallest
        let smaller = cutter.cut()
        guard smaller != nil || pair.load(trace, vocabulary, alike: false) else { return }
        merge(told(smaller ?? picture)) { cutter.seed.strategy().install() }
        _ = pair.load(trace, vocabulary, alike: false)
    }

    /// - Parameter side: the one that breaks them under the schedule at hand.
    func noteBrokenOnBoth(_ mask: UInt32, _ seed: ScheduleSeed, _ trace: Trace, _ side: Side) {
        for invariant in invariants where mask & 1 << invariant.kind != 0 {
            var finding = Finding(
                level: "invariants", direction: .both, subject: [invariant.name], verdict: .preExisting, traces: 1,
                seed: seed, firstDivergence: nil, broken: [], difference: [], trace: "",
                effort: "both sides break it", claim: nil)
            if findings.contains(where: { $0.isSame(as: finding) }) {
                merge(finding)
                continue
            }
            let cutter = cutter(of: trace, seed, brokenOnBoth: invariant)
            let whole = Picture(pair, seed)
            let smaller = cutter.cut()
            guard smaller != nil || pair.load(trace, vocabulary, alike: false) else { continue }
            var (scheduled, place) = smaller == nil ? (trace, seed) : (cutter.smallest, cutter.seed)
            let detail = (smaller ?? whole)[side]
            finding.broken = detail.broken.filter { $0.name == invariant.name }
            scheduled.schedule = detail.schedule
            finding.trace = scheduled.description
            merge(finding) { place.strategy().install() }
            _ = pair.load(trace, vocabulary, alike: false)
        }
    }

    /// Keeps what breaks an invariant on both sides under one schedule.
    private func cutter(
        of trace: Trace, _ seed: ScheduleSeed, brokenOnBoth invariant: Invariant
    ) -> UnsettledCutter {
        let isBroken = { (outcome: Outcome) in outcome.essence.violations & 1 << invariant.kind != 0 }
        return UnsettledCutter(
            pair, trace, vocabulary, seed, differ: { isBroken($0) && isBroken($1) },
            shows: { isBroken($0.base.outcome) && isBroken($0.patched.outcome) })
    }
}
