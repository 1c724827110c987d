// SPDX-License-Identifier: GPL-2.0-only
// Kernel threads beside the programs of a trace: what a program did says nothing of kswapd or khugepaged, and it is
// mostly they whom a patch to mm/ is about.

import KernelModel
import Simulation

/// An operation that cannot be added to a trace as a task of its own.
public struct KernelTaskFault: Error, Equatable, CustomStringConvertible {
    public let description: String
}

extension Trace {
    /// How many steps such a task has: one that comes late, or several, so that one meets the programs half-way.
    private static let kernelSteps = 1...4

    /// This trace with one kernel thread more for each of these operations, which does nothing else; how often, on which
    /// CPU and with which arguments is drawn from the seed.
    ///
    /// - Parameter operations: operations of kernel threads, of the trace's era.
    public func with(kernelTasks operations: [Operation], seed: UInt64) throws(KernelTaskFault) -> Trace {
        guard tasks.count + operations.count <= MachineShape.maximalTasks else {
            throw KernelTaskFault(
                description:
                    "the trace has \(tasks.count) tasks, and with \(operations.count) more there would be more than"
                    + " \(MachineShape.maximalTasks)")
        }
        var random = Random(seed: mix(seed))
        var result = self
        // It was about the tasks that there were.
        result.schedule = nil
        for operation in operations {
            var program = Program(.kernel, cpu: random.below(machine.cpus))
            let count = Trace.kernelSteps.lowerBound + random.below(Trace.kernelSteps.count)
            for _ in 0..<count { program.steps.append(try drawKernelStep(operation, &random)) }
            result.tasks.append(program)
        }
        return result
    }

    private func drawKernelStep(_ operation: Operation, _ random: inout Random) throws(KernelTaskFault) -> Step {
        var step = Step(operation, [])
        for parameter in operation.parameters {
            switch parameter.domain {
            case .node: step.arguments.append(.value(random.below(machine.nodes)))
            case .cpu: step.arguments.append(.value(random.below(machine.cpus)))
            case .file where !machine.files.isEmpty:
                step.arguments.append(.value(random.below(machine.files.count)))
            default:
                throw KernelTaskFault(
                    description: "\(operation.name) needs a \(parameter.name), and the trace has none")
            }
        }
        return step
    }
}
