// SPDX-License-Identifier: GPL-2.0-only
// A real program as a trace: a log of `strace -f -e trace=memory,process`, scaled down to the model's machine.

import KernelModel

/// What became of a log.
public struct StraceImport: Sendable {
    public let trace: Trace
    /// What was scaled and what was left out, in sentences; the trace has them as comments.
    public let summary: [String]

    /// - Parameters:
    ///   - file: the log's name, for errors and the summary.
    ///   - lines: the part that becomes programs; what came before is the set-up.
    public init(
        _ log: [UInt8], file: String, vocabulary: Vocabulary, lines: ClosedRange<Int> = 1...Int.max
    ) throws(TraceError) {
        let log = try StraceLog(log, file: file)
        let window = StraceWindow(lines: lines)
        guard log.calls.contains(where: window.contains) else {
            throw TraceError(
                file: file, line: min(lines.lowerBound, log.lines + 1), column: 1,
                problem: "no call from line \(lines.lowerBound) on", expected: "a part of the log")
        }
        let most = MachineShape.maximalProcesses
        var collector = try StraceCollector(log, processes: most, window: window, vocabulary)
        for processes in (1..<most).reversed() where !collector.fits {
            collector = try StraceCollector(log, processes: processes, window: window, vocabulary)
        }
        let scaling = StraceScaling(collector)
        let trace = scaling.trace(vocabulary)
        summary = StraceSummary(collector: collector, scaling: scaling).sentences
        self.trace = trace.with(summary)
    }
}

extension Trace {
    fileprivate func with(_ summary: [String]) -> Trace {
        var trace = self
        trace.remarks.above = summary.flatMap(wrapped)
        return trace
    }
}

/// A sentence as lines of a mail's width.
private func wrapped(_ sentence: String) -> [String] {
    let width = 100
    var lines: [String] = []
    var line = ""
    for word in sentence.split(separator: " ") {
        if !line.isEmpty && line.utf8.count + word.utf8.count >= width {
            lines.append(line)
            line = ""
        }
        line += (line.isEmpty ? "" : " ") + word
    }
    return lines + [line]
}
