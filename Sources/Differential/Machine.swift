// SPDX-License-Identifier: GPL-2.0-only
// A machine that runs one trace on one variant, over and over: each execution starts from the same
// template and is a pure function of the trace, the schedule and the variant.

import CKernel
import KernelModel
import Simulation
import Traces
import VariantKit

/// One side of a comparison: an arena, a variant's table, a trace.
public final class Machine {
    public let arena: Arena
    public let operations: kernel_ops
    public private(set) var trace: CompiledTrace?
    public var layout: Layout
    /// What the set-up of the loaded trace did.
    private(set) var setupTally = tally(events: 0, cost: 0)
    /// Fields that outcomes are compared without.
    var claimed: ClaimableFields = []
    /// The yield point of the lock that changed functions leave out.
    var lockLeftOut: Int?
    /// Outcomes are all alike: for tests of the canary, which must notice.
    var isBlind = false

    public init(arena: Arena, operations: kernel_ops, layout: Layout = Layout()) {
        self.arena = arena
        self.operations = operations
        self.layout = layout
    }

    /// A machine of its own for `variant`.
    public convenience init(_ variant: Variant, slot: Int, layout: Layout = Layout()) throws {
        guard let era = Era.named(variant.era) else { throw UnknownEra(name: variant.era) }
        guard let arena = Arena(slot: slot) else { throw NoAddressSpace() }
        self.init(arena: arena, operations: operationsTable(era, variant), layout: layout)
    }

    /// Boots the machine of `trace` and runs its set-up.
    ///
    /// - Returns: how the set-up ended: anything but `RUN_COMPLETE` means that the trace cannot run.
    public func load(_ trace: CompiledTrace) -> run_end {
        self.trace = trace
        arena.boot(trace.machine, tasks: trace.tasks, operations: operations, layout: layout)
        kernel.lock_left_out = UInt16(lockLeftOut.map { $0 + 1 } ?? 0)
        useTrace()
        let setupTask = kernel.task(Int(kernel.nr_tasks))
        scheduler.run_op = runSetupOp
        let end = runAlone(arena, task: setupTask)
        setupTask.state = UInt8(TASK_RUNNABLE.rawValue)
        setupTask.op = 0
        // What the set-up did is no part of an outcome; what it broke is.
        setupTally = kernel.tally.pointee
        kernel.tally.pointee = tally(events: 0, cost: 0)
        for item in vmEventNames.indices { kernel.event(item).pointee = 0 }
        kernel.attempts = 0
        kernel.steps = 0
        arena.keepAsTemplate()
        return end
    }

    /// Runs the trace once under the installed strategy.
    @inline(__always)
    public func run() -> Outcome {
        useTrace()
        let end = runInterleaved(arena)
        return Outcome(end, self)
    }

    /// How a step of the trace is called.
    func operationName(_ step: compiled_op) -> String {
        trace!.operationName(step)
    }

    /// Makes the scheduler run this machine's trace.
    @inline(__always)
    public func useTrace() {
        let trace = trace.unsafelyUnwrapped
        scheduler.programs = trace.programs.baseAddress
        scheduler.setup = trace.setup
        scheduler.run_op = runTaskOp
    }
}

// MARK: - Ops

/// Runs a step of a task's program.
private let runTaskOp: @convention(c) (task_struct, UInt32) -> Bool = { task, op in
    let program = scheduler.programs! + Int(task.number)
    guard op < UInt32(program.pointee.nr_ops) else { return false }
    let step = program.pointee.ops + Int(op)
    if step.pointee.process != UInt8(NO_PROCESS) {
        waitForProcess(Int(step.pointee.process))
        // A process that has exited takes its threads with it.
        guard let mm = kernel.mm_slot(Int(step.pointee.process)).pointee, mm.live else { return false }
        enterKernel(mm)
    }
    perform(step, task, number: Int(op))
    return true
}

/// Runs a step of the set-up, as whoever it names.
private let runSetupOp: @convention(c) (task_struct, UInt32) -> Bool = { task, op in
    guard op < UInt32(scheduler.setup!.pointee.nr_ops) else { return false }
    let step = scheduler.setup!.pointee.ops + Int(op)
    task.mm = nil
    if step.pointee.process != UInt8(NO_PROCESS) {
        guard let mm = kernel.mm_slot(Int(step.pointee.process)).pointee, mm.live else { return true }
        enterKernel(mm)
    }
    perform(step, task, number: Int(op))
    return true
}

@inline(__always)
private func perform(_ step: UnsafePointer<compiled_op>, _ task: task_struct, number: Int) {
    var arguments: (Int, Int, Int, Int, Int, Int) = (0, 0, 0, 0, 0, 0)
    withUnsafeMutableBytes(of: &arguments) { bytes in
        let arguments = bytes.assumingMemoryBound(to: Int.self).baseAddress!
        resolve_arguments(step, task.result(0), kernel.task(Int(kernel.nr_tasks)).result(0), arguments)
        logOp(start: true)
        let result = step.pointee.body(arguments)
        task.result(number).pointee = result
        if step.pointee.process != UInt8(NO_PROCESS) { returnToUser() }
        checkNothingHeldAtReturn()
        logOp(start: false, value: result)
    }
}

/// What the machine does when all tasks are done: drains every CPU, so that counters can be compared.
private let runSettlingOp: @convention(c) (task_struct, UInt32) -> Bool = { task, op in
    guard op < UInt32(kernel.nr_cpus) else { return false }
    task.cpu = UInt8(op)
    ops.lru_add_drain()
    return true
}

/// Brings a machine whose tasks are done to rest; false if it cannot.
func settle(_ arena: Arena) -> Bool {
    let task = kernel.task(Int(kernel.nr_tasks))
    scheduler.run_op = runSettlingOp
    task.op = 0
    let end = runAlone(arena, task: task)
    kernel.run_end = UInt8(RUN_COMPLETE.rawValue)
    return end == RUN_COMPLETE
}
