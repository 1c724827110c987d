// SPDX-License-Identifier: GPL-2.0-only
// Each reported difference once more, twice, from what the report says of it: an execution is a pure function of
// its inputs, so anything but the same outcome is a defect of mmdiff.

import CKernel
import KernelModel
import Simulation
import Traces

extension Campaign {
    /// Runs the schedules of all findings again and notes which gave the same difference.  What could not be settled was
    /// seen with the second machine's memory laid out in another order, which no report tells.
    public func repeatFindings() {
        let once: [Verdict] = [.crash, .inconclusive]
        for number in findings.indices where !once.contains(findings[number].verdict) {
            findings[number].isRepeatable = isRepeatable(findings[number])
        }
    }

    private func isRepeatable(_ finding: Finding) -> Bool {
        guard let trace = try? Trace(parsing: finding.trace, file: "a finding", eras: [vocabulary]),
            let compiled = try? CompiledTrace(trace, vocabulary), pair.load(compiled)
        else { return false }
        let schedule = trace.schedule.map(CompiledSchedule.init)
        let outcomes = (0..<2).map { _ in
            [Side.base, .patched].map { side in
                if let schedule { schedule.install() } else { finding.seed.strategy().install() }
                return pair[side].run()
            }
        }
        return outcomes[0] == outcomes[1] && (finding.direction == .both || outcomes[0][0] != outcomes[0][1])
    }
}
