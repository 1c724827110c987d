// SPDX-License-Identifier: GPL-2.0-only
// What is reported must be what anybody sees who runs it again.  So each execution of a reported difference is run
// twice before; if the second is not the first to the last step, mmdiff itself is broken, or a variant keeps data where
// no snapshot covers them.

import CKernel
import KernelModel
import Simulation

/// An execution that was another one when it was run again.
public struct Irreproducible: Error, CustomStringConvertible {
    public var description: String
}

extension PairOfMachines {
    /// Runs the loaded trace twice on each side.
    ///
    /// - Parameter install: installs the strategy, which must be the same each time.
    func runTwice(_ install: () -> Void) throws {
        for (side, name) in [(Side.base, "the base"), (.patched, "the patched side")] {
            let executions = (0..<2).map { _ in
                install()
                return Execution(self[side])
            }
            guard executions[0] == executions[1] else {
                throw Irreproducible(
                    description: "the same schedule led \(name) to two executions, of \(executions[0].steps) and"
                        + " \(executions[1].steps) steps")
            }
        }
    }
}

/// What tells two executions apart.
private struct Execution: Equatable {
    let outcome: Outcome
    /// A hash of all switches, with the step at which each was.
    let schedule: UInt64
    let steps: UInt32

    init(_ machine: Machine) {
        outcome = machine.run()
        (schedule, steps) = (kernel.schedule, kernel.steps)
    }
}
