// SPDX-License-Identifier: GPL-2.0-only
// A trace as text, in its one canonical form.

import KernelModel

/// The version of the language, in the first line of each trace.
let languageVersion = 1

extension Trace: CustomStringConvertible {
    /// The canonical text.  Parsing it gives the trace back.
    public var description: String {
        var printer = Printer()
        printer.print(self)
        return printer.text
    }
}

extension Performer: CustomStringConvertible {
    public var description: String {
        switch self {
        case .process(let number): "p\(number)"
        case .kernel: "kernel"
        case .device: "device"
        }
    }
}

extension Step: CustomStringConvertible {
    /// Without its remarks.
    public var description: String {
        let call = "\(operation.name)(\(argumentTexts.joined(separator: ", ")))"
        return result.map { "r\($0) = \(call)" } ?? call
    }

    private var argumentTexts: [String] {
        zip(arguments, operation.parameters).map { $1.domain.text(of: $0) }
    }
}

extension Decision: CustomStringConvertible {
    public var description: String {
        "t\(task) op \(op) \(function):\(label) #\(occurrence) \(forced ? "=>" : "->") "
            + (cpu.map { "cpu\($0)" } ?? "t\(next)")
    }
}

private struct Printer {
    private(set) var text = ""

    mutating func print(_ trace: Trace) {
        line("mmdiff trace \(languageVersion)", Remarks(beside: trace.remarks.beside))
        for remark in trace.remarks.above { comment(remark) }
        line("era \(trace.era)")
        line(text(of: trace.machine))
        for (number, file) in trace.machine.files.enumerated() {
            line(
                "file f\(number) \(file.kind.rawValue) pages=\(file.size)\(file.huge ? file.onAdvice ? " huge=advise" : " huge" : "")"
            )
        }
        print(trace.setup)
        for (number, task) in trace.tasks.enumerated() {
            line("task t\(number) \(task.performer) cpu=\(task.cpu)", task.remarks)
            for step in task.steps { line("  \(step)", step.remarks) }
        }
        if let schedule = trace.schedule { print(schedule) }
        for remark in trace.closingRemarks { comment(remark) }
    }

    private func text(of machine: MachineShape) -> String {
        (["machine"] + MachineKey.allCases.map { "\($0.rawValue)=\(machine[keyPath: $0.field])" }
            + (machine.movableNode.map { ["\(movableNodeKey)=\($0)"] } ?? []))
            .joined(separator: " ")
    }

    private mutating func print(_ setup: Setup) {
        guard setup != Setup() else { return }
        line("setup", setup.remarks)
        for item in setup.steps {
            let result = item.step.result.map { "r\($0) = " } ?? ""
            var call = item.step
            call.result = nil
            line("  \(result)\(item.performer) \(call)", item.step.remarks)
        }
    }

    private mutating func print(_ schedule: Schedule) {
        line("schedule", schedule.remarks)
        if let start = schedule.start { line("  start t\(start)", schedule.startRemarks) }
        for decision in schedule.decisions { line("  \(decision)", decision.remarks) }
    }

    private mutating func line(_ content: String, _ remarks: Remarks = Remarks()) {
        let indentation = content.prefix { $0 == " " }
        for remark in remarks.above { comment(remark, String(indentation)) }
        text += content
        if let beside = remarks.beside { text += "  " + commentText(beside) }
        text += "\n"
    }

    private mutating func comment(_ remark: String, _ indentation: String = "") {
        text += indentation + commentText(remark) + "\n"
    }

    private func commentText(_ remark: String) -> String {
        remark.isEmpty ? "#" : "# " + remark
    }
}

/// At the end of the line `machine`: a node's number, where there is such a node.
let movableNodeKey = "movable"

/// What the line `machine` says, in its order.
enum MachineKey: String, CaseIterable {
    case cpus, nodes, pages
    case ptes, pmds
    case swap, pagevec

    var field: WritableKeyPath<MachineShape, Int> {
        switch self {
        case .cpus: \.cpus
        case .nodes: \.nodes
        case .pages: \.pages
        case .ptes: \.ptrsPerPte
        case .pmds: \.ptrsPerPmd
        case .swap: \.swapSlots
        case .pagevec: \.pagevecSize
        }
    }

    var allowed: [Int] {
        switch self {
        case .cpus: Array(MachineShape.cpuRange)
        case .nodes: Array(MachineShape.nodeRange)
        case .pages: Array(MachineShape.pageRange)
        case .ptes: MachineShape.ptrsPerPteChoices
        case .pmds: Array(MachineShape.ptrsPerPmdRange)
        case .swap: Array(MachineShape.swapSlotRange)
        case .pagevec: Array(MachineShape.pagevecRange)
        }
    }
}
