// SPDX-License-Identifier: GPL-2.0-only
// What an import says of itself.

import KernelModel

struct StraceSummary {
    let collector: StraceCollector
    let scaling: StraceScaling

    private var log: StraceLog { collector.log }
    private var tasks: StraceTasks { collector.tasks }

    var sentences: [String] {
        var sentences = [
            "Imported from \(printable(log.file)): \(counted(log.lines, "line")), \(counted(log.calls.count, "call")), "
                + "\(counted(tasks.threads.count, "process or thread", "processes and threads"))."
        ]
        if collector.window.hasPast {
            sentences.append(
                "From line \(collector.window.lines.lowerBound) on; of what came before, the set-up has what is needed."
            )
        }
        sentences += addresses + files
        sentences.append(
            "Reads and writes stand for the accesses that strace does not see: one to each new mapping, and one of parent "
                + "and child after a fork"
                + (collector.droppedTouches > 0
                    ? "; \(collector.droppedTouches) of them are left out for want of room." : "."))
        return sentences + leftOut
    }

    private var addresses: [String] {
        let machine = scaling.machine
        var sentence =
            "Scaled: \(scaling.realPages) pages of addresses onto \(scaling.userPages), in their order; 1 to 63 pages "
            + "become 1, and one more for each factor of 64. A huge page is \(machine.ptrsPerPte) pages"
        if scaling.hugeRanges > 0 {
            sentence +=
                "; of \(counted(scaling.hugeRanges, "range")) that the program wants huge pages for, "
                + "\(scaling.hugeRangesKept) can have them as there"
        }
        sentence += "."
        if scaling.piecesShare { sentence += " There are more ranges than pages, so some of them share a page." }
        return [sentence]
    }

    private var files: [String] {
        let used = collector.translator.files.indices.filter { scaling.fileNumbers[$0] != nil }
        guard !used.isEmpty else { return [] }
        let names = scaling.machine.files.indices.compactMap { number in
            used.first { scaling.fileNumbers[$0] == number }.flatMap { collector.translator.files[$0].name }
                .map { "f\(number) is \(printable($0))" }
        }
        var sentence = "\(counted(used.count, "file")) onto \(scaling.machine.files.count)"
        if used.count > scaling.machine.files.count { sentence += ", so some share one" }
        return [sentence + (names.isEmpty ? "." : ": \(listed(names, "and")).")]
    }

    private var leftOut: [String] {
        var sentences: [String] = []
        let others = tasks.threads.filter { $0.task == nil }
        if !others.isEmpty {
            let pids = others.compactMap(\.pid).map(String.init)
            let calls = others.reduce(0) { $0 + $1.calls }
            sentences.append(
                "Left out: \(counted(others.count, "process or thread", "processes and threads")) that did less or "
                    + "nothing here (\(listed(pids, "and"))), with \(counted(calls, "call")).")
        }
        if collector.behindWindow > 0 {
            sentences.append(
                "Left out: \(counted(collector.behindWindow, "call")) behind line \(collector.window.lines.upperBound)."
            )
        }
        if collector.droppedSetup > 0 {
            sentences.append(
                "Left out: the first \(counted(collector.droppedSetup, "step")) before line "
                    + "\(collector.window.lines.lowerBound), which the set-up has no room for.")
        }
        if collector.droppedMappings > 0 {
            sentences.append(
                "Left out: \(counted(collector.droppedMappings, "mapping")) that nothing happens to but being made.")
        }
        for (task, count) in collector.beyondLimit.enumerated() where count > 0 {
            sentences.append(
                "Left out: the last \(counted(count, "call")) of t\(task), which has more than "
                    + "\(MachineShape.maximalOps) steps.")
        }
        sentences += collector.translator.leftOut.sentences.map { "Left out, \($0)." }
        if !collector.translator.unknownFlags.isEmpty {
            sentences.append("Flags left out: \(listed(collector.translator.unknownFlags.names, "and")).")
        }
        return sentences
    }

    private func counted(_ number: Int, _ one: String, _ many: String? = nil) -> String {
        "\(number) " + (number == 1 ? one : many ?? one + "s")
    }

    /// Names of files may have anything in them.
    private func printable(_ name: String) -> String {
        let quotedName = quoted(name)
        return String(quotedName.dropFirst().dropLast())
    }
}
