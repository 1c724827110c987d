// SPDX-License-Identifier: GPL-2.0-only
// From calls to steps: what each call means to the model's machine.

import KernelModel

/// Follows the processes of a log through their calls.
struct StraceTranslator {
    let log: StraceLog
    let vocabulary: Vocabulary
    var files = StraceFiles()
    private(set) var images = 0
    /// By address space.
    var spaces: [SpaceState]
    /// What became no step, and why.
    var leftOut = StraceLeftOut()
    /// Flags that were dropped.
    var unknownFlags = Tally()

    struct SpaceState {
        var image: Int
        var mapped = PageSet()
        /// Mapped, but never accessible so far, so that it cannot have been used.
        var untouched = PageSet()
        /// The newest private mapping that the program writes to.
        var newest: UInt?
        /// What a userfaultfd watches: who touches it may wait for ever.
        var registered = PageSet()
        var heapEnd: UInt?
        /// Steps so far made mappings that an execve() has to take away.
        var hasMappings = false
        var descriptorsOpened = 0
        /// System V shared memory, by address: its size.
        var attached: [(address: UInt, bytes: UInt)] = []
    }

    init(_ log: StraceLog, _ vocabulary: Vocabulary, spaces count: Int) {
        self.log = log
        self.vocabulary = vocabulary
        spaces = (0..<count).map { SpaceState(image: $0) }
        images = count
    }

    /// Whether a call can become a step.
    static func isStep(_ call: StraceLog.Call, _ vocabulary: Vocabulary) -> Bool {
        guard call.result.succeeded && call.createdPid == nil else { return false }
        return ["brk", "ioctl"].contains(call.name)
            ? call.name == "brk" || call.isOfUserfaultfd
            : operation(for: call, vocabulary) != nil
    }

    /// The operation that has the call's arguments, one by one.
    static func operation(for call: StraceLog.Call, _ vocabulary: Vocabulary) -> Operation? {
        vocabulary[systemCall: sameCalls.first { $0.0 == call.name }?.1 ?? call.name]
    }

    /// Calls that do the same, or that differ where the model does not.
    private static let sameCalls = [
        ("mmap2", "mmap"), ("pkey_mprotect", "mprotect"), ("fdatasync", "fsync"), ("sync_file_range", "fsync"),
        ("ftruncate64", "ftruncate"), ("shmat", "mmap"), ("shmdt", "munmap"),
    ]

    // MARK: - Calls

    mutating func steps(for call: StraceLog.Call, space: Int) throws(TraceError) -> [RealStep] {
        if let reason = StraceLeftOut.reason(call), reason != .failed || !namesARange(call) {
            return drop(call.name, reason)
        }
        let steps: [RealStep]?
        switch call.name {
        case "execve", "execveat": steps = execute(space)
        case "brk": steps = try moveHeapEnd(call, space)
        case "mmap", "mmap2": steps = try map(call, space)
        case "mremap": steps = try remap(call, space)
        case "mprotect", "pkey_mprotect": steps = try protect(call, space)
        case "madvise": steps = try advise(call, space)
        case "process_madvise": steps = try adviseProcess(call, space)
        case "shmget": steps = try createShared(call)
        case "shmat": steps = try attach(call, space)
        case "shmdt": steps = try detach(call, space)
        case "shmctl": steps = try lockShared(call, space)
        case "fork", "vfork", "clone", "clone3", "exit": steps = []
        case "exit_group":
            steps = vocabulary[KnownOperation.exit].map { [step(call, $0, [], space)] }
        case "pread64", "pwrite64", "ftruncate", "ftruncate64", "fallocate", "fsync", "fdatasync", "sync_file_range":
            steps = try fileAccess(call, space)
        case "pidfd_open": steps = try openProcess(call, space)
        case "userfaultfd": steps = []
        case "close": steps = try closeUserfaultfd(call, space)
        case "ioctl": steps = try userfaultfd(call, space)
        case "move_pages": steps = try movePages(call, space)
        case "mbind": steps = try bind(call, space)
        case "io_uring_register": steps = try registerBuffers(call, space)
        default: steps = try generic(call, space)
        }
        if steps == nil { leftOut.add(call.name, .noCounterpart) }
        return steps ?? []
    }

    /// Whether a call is made anew although it failed: the addresses that it was about say where.
    private func namesARange(_ call: StraceLog.Call) -> Bool {
        ["madvise", "mprotect", "munmap", "mlock", "mlock2", "munlock", "msync"].contains(call.name)
    }

    /// A process begins as a copy of another one, or as something else if the log does not say what.
    ///
    /// - Returns: the first steps of the child.
    mutating func fork(from parent: Int, to child: Int, knowsParent: Bool) -> [RealStep] {
        guard !knowsParent else {
            spaces[child] = spaces[parent]
            spaces[child].registered = PageSet()
            return accessAfterFork(child)
        }
        spaces[child].hasMappings = spaces[parent].hasMappings
        return execute(child)
    }

    /// Parent and child go on to use their memory.
    func accessAfterFork(_ space: Int) -> [RealStep] {
        guard let newest = spaces[space].newest,
            case let page = newest.page..<newest.page + 1, spaces[space].mapped.covers(page),
            !spaces[space].registered.overlaps(page)
        else { return [] }
        return touch(newest, space, writes: true)
    }

    /// All mappings go; those of the new program come with its own calls.
    private mutating func execute(_ space: Int) -> [RealStep] {
        let hadMappings = spaces[space].hasMappings
        spaces[space] = SpaceState(image: images)
        images += 1
        guard hadMappings, let munmap = vocabulary[KnownOperation.munmap] else { return [] }
        return [
            RealStep(
                operation: munmap, arguments: [.wholeStart, .wholeLength], image: spaces[space].image, kind: .mapping,
                line: nil, note: "another program from here on")
        ]
    }

    /// A call whose arguments are the operation's, one by one.
    mutating func generic(_ call: StraceLog.Call, _ space: Int) throws(TraceError) -> [RealStep]? {
        guard let operation = Self.operation(for: call, vocabulary) else { return nil }
        var arguments = StraceArguments(log, call)
        try arguments.require(operation.parameters.count)
        var real: [RealArgument] = []
        var address: UInt?
        for (index, parameter) in operation.parameters.enumerated() {
            switch parameter.domain {
            case .address:
                address = try arguments.number(index, "an address")
                real.append(.address(address ?? 0))
            case .length:
                real.append(.length(from: address ?? 0, bytes: try arguments.number(index, "a length")))
            case .flags(let names): real.append(.value(try arguments.flags(index, names)))
            case .choice(let names):
                let word = arguments.text(index)
                guard let value = names.first(where: { $0.name == word })?.value else {
                    return drop("\(call.name)(\(word))", .noCounterpart)
                }
                real.append(.value(value))
            case .number(let range):
                let value = try arguments.number(index, "a number")
                guard range.contains(Int(clamping: value)) else { return nil }
                real.append(.value(Int(clamping: value)))
            case .file, .pageOffset, .process, .node, .cpu: return nil
            }
        }
        for flag in arguments.unknownFlags { unknownFlags.add(flag) }
        return finish(call, operation, real, space)
    }

    /// What is not mapped as far as the log tells, but was when the call succeeded, is mapped first.
    mutating func finish(
        _ call: StraceLog.Call, _ operation: Operation, _ real: [RealArgument], _ space: Int
    ) -> [RealStep] {
        var steps: [RealStep] = []
        var result = step(call, operation, real, space)
        if case .error(let name) = call.result { result.note = "was refused: \(name)" }
        for case .length(let start, let bytes) in real {
            guard let pages = pageRange(start, bytes), call.result.succeeded else { continue }
            if operation.name == KnownOperation.munmap {
                spaces[space].unmap(pages)
            } else {
                steps += mapMissing(pages, space)
            }
        }
        return steps + [result]
    }

    // MARK: - Steps

    mutating func drop(_ what: String, _ reason: StraceLeftOut.Reason) -> [RealStep] {
        leftOut.add(what, reason)
        return []
    }

    func step(
        _ call: StraceLog.Call, _ operation: Operation, _ arguments: [RealArgument], _ space: Int, note: String? = nil
    ) -> RealStep {
        let isMapping = ["mmap", "munmap", "mprotect"].contains(operation.name)
        return RealStep(
            operation: operation, arguments: arguments, image: spaces[space].image, kind: isMapping ? .mapping : .other,
            line: call.line, note: note)
    }

    func range(_ pages: Range<UInt>) -> [RealArgument] {
        let start = pages.lowerBound * UInt(pageSize)
        return [.address(start), .length(from: start, bytes: UInt(pages.count) * UInt(pageSize))]
    }

    /// strace does not see accesses, but memory that a program maps it also uses.
    func touch(_ address: UInt, _ space: Int, writes: Bool) -> [RealStep] {
        guard let operation = vocabulary[writes ? KnownOperation.write : KnownOperation.read],
            operation.parameters.count == 1
        else { return [] }
        return [
            RealStep(
                operation: operation, arguments: [.address(address)], image: spaces[space].image, kind: .touch)
        ]
    }
}

extension StraceTranslator.SpaceState {
    mutating func map(_ pages: Range<UInt>, isAccessible: Bool) {
        mapped.insert(pages)
        registered.remove(pages)
        hasMappings = true
        if isAccessible { untouched.remove(pages) } else { untouched.insert(pages) }
    }

    mutating func unmap(_ pages: Range<UInt>) {
        mapped.remove(pages)
        untouched.remove(pages)
        registered.remove(pages)
    }
}

extension Vocabulary {
    /// The operation of a process that a call in a log of strace stands for.
    subscript(systemCall name: String) -> Operation? {
        operations.first { $0.systemCall == name && $0.actor == .process }
    }
}
