// SPDX-License-Identifier: GPL-2.0-only
// A real program as a trace: a log of `strace -f -e trace=memory,process`, scaled down to the model's machine.

import KernelModel

/// What became of a log.
public struct StraceImport: Sendable {
    public let trace: Trace
    /// What was scaled and what was left out, in sentences; the trace has them as comments.
    public let summary: [String]

    /// - Parameter file: the log's name, for errors and the summary.
    public init(_ log: [UInt8], file: String, vocabulary: Vocabulary) throws(TraceError) {
        let log = try StraceLog(log, file: file)
        var collector = try StraceCollector(log, processes: MachineShape.maximalProcesses, vocabulary)
        for processes in (1..<MachineShape.maximalProcesses).reversed() where !collector.fits {
            collector = try StraceCollector(log, processes: processes, vocabulary)
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
