// SPDX-License-Identifier: GPL-2.0-only
// A fixture as text, in its one canonical form.

import Differential
import Traces

/// The version of the language, in the first line of each fixture.
let fixtureHeader = "mmdiff fixture 1"
/// The first line of the trace inside.
let traceHeader = "mmdiff trace"

extension Fixture: CustomStringConvertible {
    /// The canonical text.  Parsing it gives the fixture back.
    public var description: String {
        var lines = [
            fixtureHeader, "shows \(shows)", "family \(family)", "pair \(pair)", "verdict \(verdict.rawValue)",
            "schedule-of \(scheduledOn)",
        ]
        if let seed = provenance.seed { lines.append("seed \(seed)") }
        lines += ["version \(provenance.version)", "sources \(provenance.sources)"]
        if let file { lines.append("c-file \(file)") }
        lines += provenance.references.map { "\($0.kind.rawValue): \($0.text)" }
        lines += ["", trace.description]
        return lines.joined(separator: "\n") + outcomes.map { "\n\($0)" }.joined()
    }
}

extension ExpectedOutcome: CustomStringConvertible {
    public var description: String {
        "outcome \(variants.joined(separator: " "))\n" + outcome.facts.map { "  \($0)\n" }.joined()
    }
}

extension ObservedOutcome {
    /// The lines that a fixture has of it.
    public var facts: [String] {
        var lines = ["end \(end)"]
        lines += broken.map { "breaks \($0)" }
        lines += attempts.map { "attempt \($0)" }
        lines += results.enumerated().map { task, values in
            (["results t\(task)"] + values.map(String.init)).joined(separator: " ")
        }
        if let state { lines.append("state \(state)") }
        return lines + self.lines.map { "differs \($0)" }
    }
}

extension Trace {
    /// The same trace with nothing said of it.
    var withoutRemarks: Trace {
        var trace = self
        trace.remarks = Remarks()
        trace.closingRemarks = []
        trace.setup.remarks = Remarks()
        for step in trace.setup.steps.indices { trace.setup.steps[step].step.remarks = Remarks() }
        for task in trace.tasks.indices {
            trace.tasks[task].remarks = Remarks()
            for step in trace.tasks[task].steps.indices { trace.tasks[task].steps[step].remarks = Remarks() }
        }
        guard var schedule = trace.schedule else { return trace }
        (schedule.remarks, schedule.startRemarks) = (Remarks(), Remarks())
        for decision in schedule.decisions.indices { schedule.decisions[decision].remarks = Remarks() }
        trace.schedule = schedule
        return trace
    }
}
