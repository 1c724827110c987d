// SPDX-License-Identifier: GPL-2.0-only
// What a campaign does with candidates: a first look, the docket, a verdict.

import KernelModel
import Simulation
import Traces

extension Campaign {
    /// Finds out what a candidate of a trace is about.
    func examine(_ candidate: Candidate, _ trace: Trace, _ compiled: CompiledTrace) {
        guard pair.load(compiled), let witness = pair.witness(candidate, trace, compiled) else { return }
        if let known = finding(of: witness.subject) {
            findings[known].traces += 1
            return
        }
        guard docket.admits(witness.subject) else { return }
        let entry = Docket.Entry(witness: witness, seed: candidate.seed, isScreened: false)
        // What is grave is looked at at once: most of it is none, and leaves room for more.
        if docket.allows(witness.subject.rank, compared) { screen(entry) } else { docket.add(entry) }
    }

    /// Takes a first look at a candidate of the loaded trace.
    func screen(_ entry: Docket.Entry) {
        let before = pair.executions
        let remains = pair.screen(entry.witness, entry.seed, budget)
        docket.note(entry.witness.subject, cost: pair.executions - before, inVain: remains == nil)
        if let remains {
            docket.add(Docket.Entry(witness: remains, seed: entry.seed, isScreened: true))
        } else {
            noteDismissed(entry.witness, entry.seed)
        }
    }

    /// Where among the findings a difference is.
    func finding(of subject: Subject) -> Int? {
        findings.firstIndex { $0.identity.key == aliases[subject.key] ?? subject.key && $0.verdict != .inconclusive }
    }

    /// Settles the candidates that wait, as many as their share of the work allows.
    ///
    /// - Returns: false if the observer has ended the campaign.
    func settleWaiting(all: Bool) -> Bool {
        let isKnown = { [findings] (subject: Subject) in findings.contains { subject.includes($0.identity) } }
        while !pair.isOutOfTime, let entry = docket.next(compared: all ? nil : compared, isKnown) {
            if let known = finding(of: entry.witness.subject) {
                findings[known].traces += 1
                continue
            }
            // If that crashes, it is not the fault of the trace that has just been compared.
            progress.judged = entry.seed.trace
            defer { progress.judged = nil }
            guard observer(self, nil) else { return false }
            if entry.isScreened {
                settle(entry)
            } else if pair.load(entry.witness.compiled) {
                screen(entry)
            }
            guard !isEnded else { return false }
        }
        return true
    }

    func settle(_ entry: Docket.Entry) {
        let subject = entry.witness.subject
        let before = pair.executions
        let settlement = pair.settle(entry.witness, entry.seed, budget)
        var inVain = true
        switch settlement {
        case .dismissed: noteDismissed(entry.witness, entry.seed)
        case .outOfTime: docket.add(entry)
        case .undecided(let witness):
            noteUndecided(witness, entry.seed)
        case .settled(let settled):
            inVain = false
            note(settled, entry.seed, alsoKnownAs: subject.key)
        }
        docket.note(subject, cost: pair.executions - before, inVain: inVain)
    }

    func note(_ settled: Settled, _ seed: ScheduleSeed, alsoKnownAs key: String) {
        reproduced {
            let finding = try pair.finding(settled, seed)
            if finding.identity.key != key { aliases[key] = finding.identity.key }
            merge(finding)
        }
    }

    /// Does something that ends the campaign if an execution cannot be repeated.
    func reproduced(_ note: () throws -> Void) {
        do {
            try note()
        } catch {
            irreproducible = "\(error)"
            isEnded = true
        }
    }

    /// An invariant that the other side breaks, too, under whatever schedule, is no fault of the patch.
    func noteDismissed(_ witness: Witness, _ seed: ScheduleSeed) {
        guard witness.likeness.violations != 0, pair.load(witness.compiled) else { return }
        noteBrokenOnBoth(witness.likeness.violations, seed, witness.trace, witness.side)
    }

    func noteUndecided(_ witness: Witness, _ seed: ScheduleSeed) {
        if finding(of: witness.subject) == nil { merge(Finding(undecided: witness, seed, budget)) }
    }

    /// What was left waiting when the time was up, as one finding.
    func noteUnsettled(_ entries: [Docket.Entry]) {
        let open = entries.filter { finding(of: $0.witness.subject) == nil }
        guard let first = open.first else { return }
        var subjects: [String] = []
        for entry in open where !subjects.contains(entry.key) { subjects.append(entry.key) }
        let isOne = Set(open.map(\.witness.subject.direction)).count == 1
        merge(
            Finding(
                level: first.witness.subject.level, direction: isOne ? first.witness.subject.direction : .both,
                subject: ["not settled"], verdict: .inconclusive, traces: open.count, seed: first.seed,
                firstDivergence: nil, broken: [], difference: [], trace: first.witness.scheduled.description,
                effort:
                    "\(counted(subjects.count, "difference")) that the other side did not show in some hundred random"
                    + " schedules; no time was left for more",
                claim: nil))
    }
}
