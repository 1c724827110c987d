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
            guard let difference = EventDifference(event, picture.events.base, picture.events.patched) else { continue }
            let name = eventName(event)
            note(
                picture.finding(
                    level, difference.direction, name, difference.lines, trace, seed,
                    effort: "under the schedule without preemption, with the same results and state"),
                claims.covering(level, name, difference.direction, in: picture), seed)
        }
    }

    /// The level `state`: fields that claims are about, in runs with the same results and the same state otherwise.
    /// Under preemption one schedule by name is not one schedule: what no claim covers may then differ by chance.
    func noteClaimedState(_ seed: ScheduleSeed, _ trace: Trace) {
        let picture = Picture(pair, seed)
        let difference = StateDifference(picture.base.tree, picture.patched.tree)
        for change in difference.changes where pair.leavesOut(change.field) {
            let claim = claims.covering(.state, change.field, change.direction, in: picture)
            if claim == nil && seed.schedule != 0 { continue }
            note(
                picture.finding(
                    .state, change.direction, change.field, difference.lines, trace, seed,
                    effort: "under schedule \(seed.schedule), with the same results and the same state otherwise"),
                claim, seed)
        }
    }

    func note(_ finding: Finding, _ claim: Claim?, _ seed: ScheduleSeed) {
        var finding = finding
        if let claim { finding.isExpected(by: claim) }
        merge(finding) { seed.strategy().install() }
    }

    /// - Parameter side: the one that breaks them under the schedule at hand.
    func noteBrokenOnBoth(_ mask: UInt32, _ seed: ScheduleSeed, _ trace: Trace, _ side: Side) {
        for invariant in invariants where mask & 1 << invariant.kind != 0 {
            var finding = Finding(
                level: "invariants", direction: .both, subject: [invariant.name], verdict: .preExisting, traces: 1,
                seed: seed, firstDivergence: nil, broken: [], difference: [], trace: "",
                effort: "both sides break it", claim: nil)
            if !findings.contains(where: { $0.key == finding.key }) {
                let detail = Picture(pair, seed)[side]
                finding.broken = detail.broken.filter { $0.name == invariant.name }
                var scheduled = trace
                scheduled.schedule = detail.schedule
                finding.trace = scheduled.description
            }
            merge(finding) { seed.strategy().install() }
        }
    }
}
