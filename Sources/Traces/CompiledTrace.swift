// SPDX-License-Identifier: GPL-2.0-only
// A trace in the form that runs: flat arrays of C structs, made once and run many times.

import CKernel
import KernelModel

/// The programs of a trace as plain memory, which lives as long as this object.
public final class CompiledTrace {
    public let machine: MachineShape
    public let tasks: [TaskShape]
    /// One program a task, in the order of the tasks.
    public let programs: UnsafeBufferPointer<compiled_program>
    public let setup: UnsafePointer<compiled_program>

    private let vocabulary: Vocabulary
    private let memory: [UnsafeMutableBufferPointer<compiled_op>]

    /// Why a trace that was not parsed cannot run.
    public struct Fault: Error, Equatable, CustomStringConvertible {
        public let description: String
    }

    public init(_ trace: Trace, _ vocabulary: Vocabulary) throws(Fault) {
        machine = trace.machine
        self.vocabulary = vocabulary
        tasks = trace.tasks.map { TaskShape(process: $0.performer.process, cpu: $0.cpu) }
        var compiler = Compiler(vocabulary, trace.machine)
        var flat = [try compiler.compile(setup: trace.setup)]
        for task in trace.tasks { flat.append(try compiler.compile(task)) }
        memory = flat.map { steps in
            // Never empty, so that there is an address.
            let buffer = UnsafeMutableBufferPointer<compiled_op>.allocate(capacity: max(steps.count, 1))
            _ = buffer.initialize(from: steps)
            return buffer
        }
        let all = zip(memory, flat).map {
            compiled_program(ops: UnsafePointer($0.baseAddress!), nr_ops: UInt16($1.count))
        }
        let programs = UnsafeMutableBufferPointer<compiled_program>.allocate(capacity: all.count - 1)
        _ = programs.initialize(from: all.dropFirst())
        let setup = UnsafeMutablePointer<compiled_program>.allocate(capacity: 1)
        setup.initialize(to: all[0])
        self.setup = UnsafePointer(setup)
        self.programs = UnsafeBufferPointer(programs)
    }

    /// How a step is called.
    public func operationName(_ step: compiled_op) -> String {
        vocabulary.operations[Int(step.operation)].name
    }

    deinit {
        for buffer in memory { buffer.deallocate() }
        programs.deallocate()
        setup.deallocate()
    }
}

private struct Compiler {
    let vocabulary: Vocabulary
    let machine: MachineShape
    private var setupResults: [NamedResult] = []
    private var ownResults: [NamedResult] = []

    /// The step of a program whose result has a name.
    struct NamedResult {
        var name, step: Int
    }

    init(_ vocabulary: Vocabulary, _ machine: MachineShape) {
        self.vocabulary = vocabulary
        self.machine = machine
    }

    mutating func compile(setup: Setup) throws(CompiledTrace.Fault) -> [compiled_op] {
        var ops: [compiled_op] = []
        for item in setup.steps { try append(item.step, item.performer, to: &ops) }
        (setupResults, ownResults) = (ownResults, [])
        return ops
    }

    mutating func compile(_ program: Program) throws(CompiledTrace.Fault) -> [compiled_op] {
        var ops: [compiled_op] = []
        for step in program.steps { try append(step, program.performer, to: &ops) }
        ownResults = []
        return ops
    }

    private mutating func append(
        _ step: Step, _ performer: Performer, to ops: inout [compiled_op]
    ) throws(CompiledTrace.Fault) {
        guard ops.count < MachineShape.maximalOps else {
            throw CompiledTrace.Fault(description: "a program has more than \(MachineShape.maximalOps) steps")
        }
        let number = ops.count
        ops.append(try compile(step, performer))
        if let name = step.result { ownResults.append(NamedResult(name: name, step: number)) }
    }

    private func compile(_ step: Step, _ performer: Performer) throws(CompiledTrace.Fault) -> compiled_op {
        guard let operation = vocabulary.number(of: step.operation) else {
            throw CompiledTrace.Fault(description: "\(vocabulary.era) has no operation \(step.operation.name)")
        }
        guard step.arguments.count == step.operation.parameters.count, step.arguments.count <= maximalArguments else {
            throw CompiledTrace.Fault(description: "\(step) has \(counted(step.arguments.count, "argument"))")
        }
        var op = compiled_op(
            operation: UInt16(operation), nr_arguments: UInt8(step.arguments.count),
            process: performer.process.map { UInt8($0) } ?? UInt8(NO_PROCESS), relative: 0, from_setup: 0,
            result_op: (0, 0, 0, 0, 0, 0), arguments: (0, 0, 0, 0, 0, 0), body: step.operation.body)
        for (number, argument) in step.arguments.enumerated() {
            switch argument {
            case .value(let value):
                guard machine.has(value, step.operation.parameters[number].domain) else {
                    throw CompiledTrace.Fault(description: "\(step): the machine has no such node, CPU or file")
                }
                op.setArgument(number, value)
            case .result(let name, let offset):
                op.setArgument(number, offset)
                op.relative |= 1 << UInt8(number)
                if let source = ownResults.last(where: { $0.name == name }) {
                    op.setResult(number, source.step)
                } else if let source = setupResults.last(where: { $0.name == name }) {
                    op.setResult(number, source.step)
                    op.from_setup |= 1 << UInt8(number)
                } else {
                    throw CompiledTrace.Fault(description: "\(step) uses r\(name), which no step before it names")
                }
            }
        }
        return op
    }
}

extension MachineShape {
    /// Whether what an argument names is there.
    fileprivate func has(_ value: Int, _ domain: Domain) -> Bool {
        switch domain {
        case .node: 0..<nodes ~= value
        case .cpu: 0..<cpus ~= value
        case .file(let optional): files.indices ~= value || optional && value == noFile
        default: true
        }
    }
}

extension compiled_op {
    fileprivate mutating func setArgument(_ number: Int, _ value: Int) {
        withUnsafeMutableBytes(of: &arguments) {
            $0.storeBytes(of: value, toByteOffset: number * MemoryLayout<Int>.size, as: Int.self)
        }
    }

    fileprivate mutating func setResult(_ number: Int, _ step: Int) {
        withUnsafeMutableBytes(of: &result_op) { $0[number] = UInt8(step) }
    }
}
