// SPDX-License-Identifier: GPL-2.0-only
// Traces on a smaller machine, with the fewer choices that come with it, or on one more like others.

import KernelModel
import Traces

extension Trace {
    /// Traces on a machine with one thing simpler, the simplest first.
    func onSimplerMachines() -> [Trace] {
        withFewerCPUs() + withFewerNodes() + withFewerFiles() + withSimplerFiles() + withFewerPages()
            + withSizes(\.swapSlots, among: [MachineShape.swapSlotRange.lowerBound, 2, 4])
            + withSizes(\.ptrsPerPmd, among: [MachineShape.ptrsPerPmdRange.lowerBound, 3])
            + withSizes(\.ptrsPerPte, among: MachineShape.ptrsPerPteChoices)
            + withTheKernelsBatches() + withLowerCPUs()
    }

    private func on(_ change: (inout MachineShape) -> Void) -> Trace {
        var simpler = self
        change(&simpler.machine)
        return simpler
    }

    private func withSizes(_ size: WritableKeyPath<MachineShape, Int>, among sizes: [Int]) -> [Trace] {
        sizes.filter { $0 < machine[keyPath: size] }.map { smaller in on { $0[keyPath: size] = smaller } }
    }

    private func withFewerPages() -> [Trace] {
        let least = MachineShape.pageRange.lowerBound
        return withSizes(\.pages, among: [least, least + 2, least + 4, least * 2, least * 3])
    }

    /// A batch of another size than the kernel's needs a reason.
    private func withTheKernelsBatches() -> [Trace] {
        let size = MachineShape().pagevecSize
        return machine.pagevecSize == size ? [] : [on { $0.pagevecSize = size }]
    }

    // MARK: CPUs and nodes

    private func withFewerCPUs() -> [Trace] {
        (1..<max(machine.cpus, 1)).map { count in
            var simpler = on { $0.cpus = count }
            for task in simpler.tasks.indices { simpler.tasks[task].cpu %= count }
            simpler.schedule?.decisions.removeAll { $0.cpu.map { $0 >= count } ?? false }
            return simpler
        }
    }

    private func withLowerCPUs() -> [Trace] {
        tasks.indices.flatMap { task in
            (0..<tasks[task].cpu).map { cpu in
                var simpler = self
                simpler.tasks[task].cpu = cpu
                return simpler
            }
        }
    }

    private func withFewerNodes() -> [Trace] {
        guard machine.nodes > 1 else { return [] }
        var simpler = on {
            $0.nodes = 1
            $0.movableNode = nil
        }
        for step in setup.steps.indices { simpler.setup.steps[step].step.aimAtTheOnlyNode() }
        for (task, step) in stepsOfTasks { simpler.tasks[task].steps[step].aimAtTheOnlyNode() }
        return [simpler] + (machine.movableNode == nil ? [] : [on { $0.movableNode = nil }])
    }

    // MARK: Files

    private func withFewerFiles() -> [Trace] {
        machine.files.indices.reversed().compactMap { file in
            var simpler = on { $0.files.remove(at: file) }
            guard simpler.renumberFiles(without: file) else { return nil }
            return simpler
        }
    }

    /// False if it is used.
    private mutating func renumberFiles(without file: Int) -> Bool {
        for step in setup.steps.indices where !setup.steps[step].step.renumberFiles(without: file) { return false }
        for (task, step) in stepsOfTasks where !tasks[task].steps[step].renumberFiles(without: file) { return false }
        return true
    }

    private func withSimplerFiles() -> [Trace] {
        machine.files.indices.flatMap { number -> [Trace] in
            let file = machine.files[number]
            let sizes = [1, 2, 4].filter { $0 < file.size }.map { size in on { $0.files[number].size = size } }
            let plain = file.huge ? [on { ($0.files[number].huge, $0.files[number].onAdvice) = (false, false) }] : []
            return sizes + plain
        }
    }
}

extension Step {
    fileprivate mutating func aimAtTheOnlyNode() {
        for (number, parameter) in operation.parameters.enumerated() {
            if case .node = parameter.domain { arguments[number] = .value(0) }
        }
    }

    fileprivate mutating func renumberFiles(without file: Int) -> Bool {
        for (number, parameter) in operation.parameters.enumerated() {
            guard case .file = parameter.domain, case .value(let value) = arguments[number] else { continue }
            if value == file { return false }
            if value > file { arguments[number] = .value(value - 1) }
        }
        return true
    }
}
