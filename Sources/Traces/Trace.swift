// SPDX-License-Identifier: GPL-2.0-only
// A trace: a machine, what happens on it first, the programs of its tasks and, optionally, who runs when.
// Plain values; the language they are written in is described in docs/TRACES.md.

import KernelModel

public struct Trace: Equatable, Sendable {
    /// What its author says of it as a whole.
    public var remarks: Remarks
    /// The kernel version whose operations it uses (`v5.13`).
    public var era: String
    public var machine: MachineShape
    /// Runs first, alone and in order, on CPU 0.
    public var setup: Setup
    public var tasks: [Program]
    /// nil: whoever runs the trace decides.
    public var schedule: Schedule?
    /// Comments below the last line.
    public var closingRemarks: [String]

    public init(
        remarks: Remarks = Remarks(), era: String, machine: MachineShape, setup: Setup = Setup(),
        tasks: [Program], schedule: Schedule? = nil, closingRemarks: [String] = []
    ) {
        self.remarks = remarks
        self.era = era
        self.machine = machine
        self.setup = setup
        self.tasks = tasks
        self.schedule = schedule
        self.closingRemarks = closingRemarks
    }
}

/// Comments: lines above an item and one beside it, without the `#`.
public struct Remarks: Equatable, Sendable {
    public var above: [String]
    public var beside: String?

    public init(above: [String] = [], beside: String? = nil) {
        self.above = above
        self.beside = beside
    }
}

/// What brings the machine into the state that the tasks start from.
public struct Setup: Equatable, Sendable {
    public var remarks: Remarks
    public var steps: [SetupStep]

    public init(remarks: Remarks = Remarks(), steps: [SetupStep] = []) {
        self.remarks = remarks
        self.steps = steps
    }
}

public struct SetupStep: Equatable, Sendable {
    public var performer: Performer
    public var step: Step

    public init(_ performer: Performer, _ step: Step) {
        self.performer = performer
        self.step = step
    }
}

/// Who does something: a thread of a process, a kernel thread, or a device.
public enum Performer: Equatable, Sendable {
    case process(Int)
    case kernel
    case device

    /// The process whose mm it runs on.
    public var process: Int? {
        if case .process(let number) = self { number } else { nil }
    }

    public var actor: Actor {
        switch self {
        case .process: .process
        case .kernel: .kernel
        case .device: .device
        }
    }
}

/// A task and what it does.
public struct Program: Equatable, Sendable {
    public var remarks: Remarks
    public var performer: Performer
    public var cpu: Int
    public var steps: [Step]

    public init(remarks: Remarks = Remarks(), _ performer: Performer, cpu: Int, steps: [Step] = []) {
        self.remarks = remarks
        self.performer = performer
        self.cpu = cpu
        self.steps = steps
    }
}

/// One operation with its arguments.
public struct Step: Sendable {
    public var remarks: Remarks
    /// N if later steps call its result `rN`.
    public var result: Int?
    public var operation: Operation
    public var arguments: [Argument]

    public init(remarks: Remarks = Remarks(), result: Int? = nil, _ operation: Operation, _ arguments: [Argument]) {
        self.remarks = remarks
        self.result = result
        self.operation = operation
        self.arguments = arguments
    }
}

extension Step: Equatable {
    /// Operations are known by their names; their bodies cannot be compared.
    public static func == (a: Step, b: Step) -> Bool {
        a.operation.name == b.operation.name && a.result == b.result && a.arguments == b.arguments
            && a.remarks == b.remarks
    }
}

public enum Argument: Equatable, Sendable {
    /// What it means depends on the parameter's domain: bytes, a process's number, flags.  Addresses and
    /// lengths are the 64 bits of an unsigned number.
    case value(Int)
    /// The result called `rN`, plus an offset in bytes.
    case result(Int, offset: Int)
}

/// The argument that stands for no file.
public let noFile = -1

/// Who runs when.  Where it says nothing, the running task goes on; a task that cannot go on is followed by
/// the lowest-numbered one that can.
public struct Schedule: Equatable, Sendable {
    public var remarks: Remarks
    /// The task that runs first; nil: the lowest-numbered one that can.
    public var start: Int?
    /// What is said of the line that names it.
    public var startRemarks: Remarks
    public var decisions: [Decision]

    public init(
        remarks: Remarks = Remarks(), start: Int? = nil, startRemarks: Remarks = Remarks(), decisions: [Decision] = []
    ) {
        self.remarks = remarks
        self.start = start
        self.startRemarks = startRemarks
        self.decisions = decisions
    }
}

/// A task is left at a named place for another one, or goes on on another CPU there.
public struct Decision: Equatable, Sendable {
    public var remarks: Remarks
    public var task: Int
    /// Which step of its program it is at; as many as it has: past the last one.
    public var op: Int
    /// The yield point `function:label`.
    public var function: String
    public var label: String
    /// How often it has passed that place in this step, this time included.
    public var occurrence: Int
    /// It could not go on; otherwise it was preempted.
    public var forced: Bool
    /// The task that goes on; where the CPU changes, the same one.
    public var next: Int
    /// The CPU that the task moves to.
    public var cpu: Int?

    public init(
        remarks: Remarks = Remarks(), task: Int, op: Int, function: String, label: String, occurrence: Int,
        forced: Bool, next: Int, cpu: Int? = nil
    ) {
        self.remarks = remarks
        self.task = task
        self.op = op
        self.function = function
        self.label = label
        self.occurrence = occurrence
        self.forced = forced
        self.next = next
        self.cpu = cpu
    }
}
