// SPDX-License-Identifier: GPL-2.0-only
// A whole log of strace: the calls of each process, put together where strace had to cut them.

/// What strace saw.
struct StraceLog {
    let file: String
    private let bytes: [UInt8]
    private(set) var calls: [Call] = []
    /// Lines of the log.
    private(set) var lines = 0
    /// Calls that have not returned yet, by process; looked up, never walked through.
    private var unfinished: [Int?: Call] = [:]
    /// The process whose lines have no number, where the log tells.
    private var firstPid: Int?

    /// A call that returned, or one that never did.
    struct Call {
        /// nil where strace wrote none.
        var pid: Int?
        var name: String
        var arguments: [ArraySlice<UInt8>]
        var result: StraceResult
        /// Where its name stands: the line, from 1, and the place in the log.
        var line: Int
        var place: Int
    }

    /// A longer log is cut best where it was written.
    static let maximalBytes = 16 << 20

    init(_ bytes: [UInt8], file: String) throws(TraceError) {
        self.file = file
        self.bytes = bytes
        var scanner = Scanner(bytes, file: file)
        guard bytes.count <= Self.maximalBytes else {
            throw scanner.error("the log has \(bytes.count) bytes", expected: "\(Self.maximalBytes) at most", column: 1)
        }
        while scanner.nextLine() {
            if scanner.isAtEndOfLine { continue }
            var line = try scanner.straceLine()
            while case .interrupted(let call) = line.content {
                guard scanner.nextLine() else { throw scanner.error("the call has no end", expected: "its result") }
                line.content = try scanner.call(call)
            }
            try add(line)
        }
        lines = scanner.line - 1
        guard !calls.isEmpty else { throw scanner.error("no call in the log", expected: "lines that strace wrote") }
        // In the order in which they began: a child may be seen before its parent's fork has returned.
        calls.sort { $0.place < $1.place }
        for index in calls.indices where calls[index].pid == nil { calls[index].pid = firstPid }
    }

    private mutating func add(_ line: StraceLine) throws(TraceError) {
        let pid = line.pid ?? firstPid
        switch line.content {
        case .call(let part, let result):
            if let pending = unfinished[pid] { throw stillIn(pending, line, part.place) }
            calls.append(call(line, pid, part, result))
        case .unfinished(let part), .interrupted(let part):
            if let pending = unfinished[pid] { throw stillIn(pending, line, part.place) }
            unfinished[pid] = call(line, pid, part, .unknown)
        case .resumed(let part, let result):
            var whole = unfinished[pid]
            if whole == nil, firstPid == nil, unfinished[nil]?.name == part.name {
                // Only now that there are others does strace say who the first one is.
                firstPid = pid
                whole = unfinished.removeValue(forKey: nil)
            }
            guard var whole, whole.name == part.name else { throw neverBegun(line, part) }
            unfinished[pid] = nil
            whole.arguments += part.arguments
            whole.result = result
            calls.append(whole)
        case .ended:
            // Perhaps killed in the middle of a call.
            unfinished[pid] = nil
        case .remark: break
        }
    }

    private func neverBegun(_ line: StraceLine, _ part: StraceLine.Call) -> TraceError {
        TraceError(
            file: file, line: line.number, column: part.place - line.start + 1,
            problem: "\(quoted(part.name)) resumes, but no line before leaves it unfinished",
            expected: "'\(part.name)(... <unfinished ...>' before")
    }

    private func call(
        _ line: StraceLine, _ pid: Int?, _ part: StraceLine.Call, _ result: StraceResult
    ) -> Call {
        Call(
            pid: pid, name: part.name, arguments: part.arguments, result: result, line: line.number,
            place: part.place)
    }

    private func stillIn(_ pending: Call, _ line: StraceLine, _ place: Int) -> TraceError {
        TraceError(
            file: file, line: line.number, column: place - line.start + 1,
            problem: "a call, but the process is still in \(quoted(pending.name)) of line \(pending.line)",
            expected: "'<... \(pending.name) resumed>' before")
    }

    /// The error at an argument of a call, or at the call's name.
    func error(_ call: Call, at argument: ArraySlice<UInt8>?, _ problem: String, expected: String) -> TraceError {
        let before = bytes[..<(argument?.startIndex ?? call.place)]
        let lineStart = before.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
        return TraceError(
            file: file, line: before.count { $0 == UInt8(ascii: "\n") } + 1, column: before.count - lineStart + 1,
            problem: problem, expected: expected)
    }
}
