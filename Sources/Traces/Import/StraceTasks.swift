// SPDX-License-Identifier: GPL-2.0-only
// Who is who in a log of strace, and who becomes a task of the trace.

import KernelModel

/// The threads of a log and the address spaces that they share.
struct StraceTasks {
    private(set) var threads: [Thread] = []
    /// Where each address space comes from.
    private(set) var spaces: [Space] = []
    /// Index into the threads; looked up only.
    private var byPid: [Int?: Int] = [:]

    struct Thread {
        var pid: Int?
        var space: Int
        /// Who created it, as an index; nil: it was there when the log began.
        var parent: Int?
        /// Calls that could be steps.
        var calls = 0
        /// Its number among the tasks of the trace.
        var task: Int?
    }

    struct Space {
        var creator: Int?
        /// The process of the trace that it is.
        var process: Int?
        /// The call of the log that forked it, as an index.
        var creation: Int?
    }

    /// - Parameter processes: at most so many of them become processes of the trace.
    init(_ log: StraceLog, processes: Int, isStep: (StraceLog.Call) -> Bool) {
        for (index, call) in log.calls.enumerated() {
            let thread = add(call.pid)
            if isStep(call) { threads[thread].calls += 1 }
            guard let child = call.createdPid, byPid[child] == nil else { continue }
            let sharesMemory = call.mentions("CLONE_VM") && !call.mentions("CLONE_VFORK")
            if !sharesMemory { spaces.append(Space(creator: thread, process: nil, creation: index)) }
            byPid[child] = threads.count
            threads.append(
                Thread(
                    pid: child, space: sharesMemory ? threads[thread].space : spaces.count - 1, parent: thread))
        }
        select(processes)
    }

    subscript(pid: Int?) -> Int? { byPid[pid] }

    private mutating func add(_ pid: Int?) -> Int {
        if let known = byPid[pid] { return known }
        byPid[pid] = threads.count
        spaces.append(Space(creator: nil, process: nil, creation: nil))
        threads.append(Thread(pid: pid, space: spaces.count - 1, parent: nil))
        return threads.count - 1
    }

    /// The first thread, and then those that do most, as far as the limits of a trace allow.
    private mutating func select(_ maximalProcesses: Int) {
        let byWork = threads.indices.sorted { a, b in
            (a == 0 ? 0 : 1, -threads[a].calls, a) < (b == 0 ? 0 : 1, -threads[b].calls, b)
        }
        var processes = 0
        var chosen: [Int] = []
        for thread in byWork where chosen.count < MachineShape.maximalTasks {
            guard thread == 0 || threads[thread].calls > 0 else { continue }
            let space = threads[thread].space
            if spaces[space].process == nil {
                guard processes < maximalProcesses else { continue }
                spaces[space].process = processes
                processes += 1
            }
            chosen.append(thread)
        }
        // Numbered in the order of the log.
        processes = 0
        for space in spaces.indices where spaces[space].process != nil {
            spaces[space].process = processes
            processes += 1
        }
        for (task, thread) in chosen.sorted().enumerated() { threads[thread].task = task }
    }

    /// The nearest thread up the tree, itself included, that is a task.
    func selected(_ thread: Int) -> Int {
        var thread = thread
        while threads[thread].task == nil { thread = threads[thread].parent ?? 0 }
        return thread
    }

    /// Threads that are tasks, in order.
    var selection: [Thread] { threads.filter { $0.task != nil } }
}

extension StraceLog.Call {
    /// The process or thread that it created.
    var createdPid: Int? {
        guard ["fork", "vfork", "clone", "clone3"].contains(name), case .value(let pid) = result, pid > 0 else {
            return nil
        }
        return pid
    }

    /// Whether the child uses its parent's memory, but for a moment only.
    var sharesUntilExecve: Bool { name == "vfork" || mentions("CLONE_VFORK") }

    func mentions(_ word: String) -> Bool {
        let bytes = Array(word.utf8)
        return arguments.contains { argument in
            // A flag may stand in a struct: `{flags=CLONE_VM|CLONE_FS, ...}`.
            argument.split(whereSeparator: { !isWordByte($0) }).contains { $0.elementsEqual(bytes) }
        }
    }
}
