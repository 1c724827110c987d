// SPDX-License-Identifier: GPL-2.0-only
// From calls to steps: what each call means to the model's machine.

import KernelModel

/// Follows the processes of a log through their calls.
struct StraceTranslator {
    let log: StraceLog
    let vocabulary: Vocabulary
    private(set) var files: [RealFile] = []
    private(set) var images = 0
    /// By address space.
    private(set) var spaces: [SpaceState]
    /// Calls that became no step, by name, and flags that were dropped.
    private(set) var leftOut = Tally()
    private(set) var unknownFlags = Tally()

    /// A file that is mapped.
    struct RealFile {
        var key: String
        var name: String?
        var isShared: Bool
    }

    struct SpaceState {
        var image: Int
        var mapped = PageSet()
        var heapEnd: UInt?
        /// Steps so far made mappings that an execve() has to take away.
        var hasMappings = false
        var descriptorsOpened = 0
    }

    init(_ log: StraceLog, _ vocabulary: Vocabulary, spaces count: Int) {
        self.log = log
        self.vocabulary = vocabulary
        spaces = (0..<count).map { SpaceState(image: $0) }
        images = count
    }

    /// Whether a call can become a step.
    static func isStep(_ call: StraceLog.Call, _ vocabulary: Vocabulary) -> Bool {
        call.result.succeeded && call.createdPid == nil
            && (call.name == "brk" || vocabulary[systemCall: call.name] != nil)
    }

    // MARK: - Calls

    mutating func steps(for call: StraceLog.Call, space: Int) throws(TraceError) -> [RealStep] {
        let steps: [RealStep]?
        switch call.name {
        case "execve": steps = call.result.succeeded ? execute(space) : nil
        case "brk": steps = try moveHeapEnd(call, space)
        case "mmap", "mmap2": steps = try map(call, space)
        case "mremap": steps = try remap(call, space)
        case "fork", "vfork", "clone", "clone3": return []
        case "exit_group":
            steps = vocabulary[KnownOperation.exit].map { [step(call, $0, [], space)] }
        case "pread64", "pwrite64": steps = try fileAccess(call, space, offset: 3)
        case "fsync": steps = try fileAccess(call, space, offset: nil)
        default: steps = try generic(call, space)
        }
        if steps == nil { leftOut.add(call.name) }
        return steps ?? []
    }

    /// A process begins as a copy of another one, or as something else if the log does not say what.
    mutating func fork(from parent: Int, to child: Int, knowsParent: Bool) -> [RealStep] {
        guard !knowsParent else {
            spaces[child] = spaces[parent]
            return []
        }
        spaces[child].hasMappings = spaces[parent].hasMappings
        return execute(child) ?? []
    }

    /// All mappings go; those of the new program come with its own calls.
    private mutating func execute(_ space: Int) -> [RealStep]? {
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

    private mutating func moveHeapEnd(_ call: StraceLog.Call, _ space: Int) throws(TraceError) -> [RealStep]? {
        try StraceArguments(log, call).require(1)
        guard case .value(let result) = call.result else { return nil }
        let end = (UInt(result) + UInt(pageSize) - 1).page
        let old = spaces[space].heapEnd ?? end
        spaces[space].heapEnd = end
        if end > old { return mapAnonymous(old..<end, space, line: call.line, note: "brk") }
        guard end < old, let munmap = vocabulary[KnownOperation.munmap] else { return [] }
        spaces[space].mapped.remove(end..<old)
        return [step(call, munmap, range(end..<old), space, note: "brk")]
    }

    private mutating func map(_ call: StraceLog.Call, _ space: Int) throws(TraceError) -> [RealStep]? {
        var arguments = StraceArguments(log, call)
        try arguments.require(6)
        let length = try arguments.number(1, "a length")
        guard let operation = vocabulary[KnownOperation.mmap], case .value(let result) = call.result,
            let pages = pageRange(UInt(result), length)
        else { return nil }
        let file = try mappedFile(&arguments, space)
        let offset = try arguments.number(5, "an offset")
        var real: [RealArgument] = []
        var isAccessible = false
        for parameter in operation.parameters {
            switch parameter.domain {
            case .address: real.append(.address(UInt(result)))
            case .length: real.append(.length(from: UInt(result), bytes: length))
            case .flags(let names) where names.contains { $0.name == "PROT_READ" }:
                let protection = try arguments.flags(2, names)
                isAccessible = protection & names.value("PROT_READ") != 0
                real.append(.value(protection))
            case .flags(let names):
                var flags = try arguments.flags(3, names) | names.value("MAP_FIXED")
                if file != nil { flags &= ~names.value("MAP_ANONYMOUS") }
                real.append(.value(flags))
            case .file: real.append(.file(file))
            case .pageOffset: real.append(.offset(file == nil ? 0 : offset.page, file: file))
            default: return nil
            }
        }
        for flag in arguments.unknownFlags { unknownFlags.add(flag) }
        spaces[space].mapped.insert(pages)
        spaces[space].hasMappings = true
        var steps = [step(call, operation, real, space)]
        if isAccessible { steps += touch(UInt(result), space, writes: call.mentions("PROT_WRITE")) }
        return steps
    }

    /// The file of a mapping; shared memory without one is a file of its own, as in the kernel.
    private mutating func mappedFile(_ arguments: inout StraceArguments, _ space: Int) throws(TraceError) -> Int? {
        let descriptor = try arguments.descriptor(4)
        let isShared = arguments.call.mentions("MAP_SHARED")
        if descriptor == nil || arguments.call.mentions("MAP_ANONYMOUS") {
            return isShared ? file("anonymous \(arguments.call.line)", name: nil, isShared: true) : nil
        }
        guard let descriptor else { return nil }
        // Without names, the dynamic linker's descriptors, which it closes again, are files of their own.
        if arguments.call.mentions("MAP_DENYWRITE") && !arguments.call.mentions("MAP_FIXED") {
            spaces[space].descriptorsOpened += 1
        }
        let linked = arguments.call.mentions("MAP_DENYWRITE") ? spaces[space].descriptorsOpened : 0
        let name = descriptor.name ?? ""
        return file(
            key(descriptor, space, linked: linked), name: descriptor.name,
            isShared: name.hasPrefix("/dev/shm/") || name.hasPrefix("/memfd:"))
    }

    private func key(_ descriptor: (number: Int, name: String?), _ space: Int, linked: Int) -> String {
        descriptor.name ?? "\(spaces[space].image) \(descriptor.number) \(linked)"
    }

    private mutating func file(_ key: String, name: String?, isShared: Bool) -> Int {
        if let known = files.firstIndex(where: { $0.key == key }) { return known }
        files.append(RealFile(key: key, name: name, isShared: isShared))
        return files.count - 1
    }

    private mutating func remap(_ call: StraceLog.Call, _ space: Int) throws(TraceError) -> [RealStep]? {
        var arguments = StraceArguments(log, call)
        try arguments.require(4)
        let old = try arguments.number(0, "an address")
        let oldLength = try arguments.number(1, "a length")
        let newLength = try arguments.number(2, "a length")
        guard let operation = vocabulary[KnownOperation.mremap], operation.parameters.count == 5,
            case .flags(let names) = operation.parameters[3].domain, case .value(let result) = call.result,
            let pages = pageRange(UInt(result), newLength)
        else { return nil }
        var flags = try arguments.flags(3, names)
        let moves = UInt(result) != old
        if moves { flags |= names.value("MREMAP_MAYMOVE") | names.value("MREMAP_FIXED") }
        let before = pageRange(old, oldLength).map { mapMissing($0, space) } ?? []
        if let gone = pageRange(old, oldLength) { spaces[space].mapped.remove(gone) }
        spaces[space].mapped.insert(pages)
        for flag in arguments.unknownFlags { unknownFlags.add(flag) }
        let new = moves ? UInt(result) : old
        var move = step(
            call, operation,
            [
                .address(old), .length(from: old, bytes: oldLength), .length(from: new, bytes: newLength),
                .value(flags), moves ? .address(new) : .value(0),
            ], space)
        // So that it still grows or shrinks where it goes to.
        if let kept = pageRange(new, min(oldLength, newLength)) { move.apart = kept }
        return before + [move]
    }

    /// A call on a file that some process maps; others are of no interest here.
    private mutating func fileAccess(
        _ call: StraceLog.Call, _ space: Int, offset: Int?
    ) throws(TraceError) -> [RealStep]? {
        let arguments = StraceArguments(log, call)
        try arguments.require((offset ?? 0) + 1)
        guard let operation = vocabulary[systemCall: call.name],
            operation.parameters.count == (offset == nil ? 1 : 2), let descriptor = try arguments.descriptor(0),
            let file = files.firstIndex(where: { $0.key == key(descriptor, space, linked: 0) })
        else { return nil }
        var real: [RealArgument] = [.file(file)]
        if let offset { real.append(.offset(try arguments.number(offset, "an offset").page, file: file)) }
        return [step(call, operation, real, space)]
    }

    /// A call whose arguments are the operation's, one by one.
    private mutating func generic(_ call: StraceLog.Call, _ space: Int) throws(TraceError) -> [RealStep]? {
        guard let operation = vocabulary[systemCall: call.name], call.result != .unknown else { return nil }
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
                guard let value = names.first(where: { $0.name == arguments.text(index) })?.value else { return nil }
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
    private mutating func finish(
        _ call: StraceLog.Call, _ operation: Operation, _ real: [RealArgument], _ space: Int
    ) -> [RealStep] {
        var steps: [RealStep] = []
        var result = step(call, operation, real, space)
        if case .error(let name) = call.result { result.note = "was refused: \(name)" }
        for case .length(let start, let bytes) in real {
            guard let pages = pageRange(start, bytes) else { continue }
            if operation.name == KnownOperation.munmap {
                spaces[space].mapped.remove(pages)
            } else if call.result.succeeded {
                steps += mapMissing(pages, space)
            }
        }
        return steps + [result]
    }

    // MARK: - Steps

    private func step(
        _ call: StraceLog.Call, _ operation: Operation, _ arguments: [RealArgument], _ space: Int, note: String? = nil
    ) -> RealStep {
        let isMapping = ["mmap", "munmap", "mprotect"].contains(operation.name)
        return RealStep(
            operation: operation, arguments: arguments, image: spaces[space].image, kind: isMapping ? .mapping : .other,
            line: call.line, note: note)
    }

    private mutating func mapMissing(_ pages: Range<UInt>, _ space: Int) -> [RealStep] {
        spaces[space].mapped.missing(from: pages).flatMap {
            mapAnonymous($0, space, line: nil, note: "there without a call: program or stack")
        }
    }

    private mutating func mapAnonymous(
        _ pages: Range<UInt>, _ space: Int, line: Int?, note: String
    ) -> [RealStep] {
        guard let operation = vocabulary[KnownOperation.mmap] else { return [] }
        spaces[space].mapped.insert(pages)
        spaces[space].hasMappings = true
        var ends = range(pages)
        var arguments: [RealArgument] = []
        for parameter in operation.parameters {
            switch parameter.domain {
            case .address, .length: arguments.append(ends.removeFirst())
            case .flags(let names):
                let flags = ["PROT_READ", "PROT_WRITE", "MAP_PRIVATE", "MAP_ANONYMOUS", "MAP_FIXED"]
                arguments.append(.value(flags.reduce(0) { $0 | names.value($1) }))
            case .file: arguments.append(.file(nil))
            default: arguments.append(.value(0))
            }
        }
        let step = RealStep(
            operation: operation, arguments: arguments, image: spaces[space].image, kind: .mapping, line: line,
            note: note)
        return [step] + touch(pages.lowerBound * UInt(pageSize), space, writes: true)
    }

    private func range(_ pages: Range<UInt>) -> [RealArgument] {
        let start = pages.lowerBound * UInt(pageSize)
        return [.address(start), .length(from: start, bytes: UInt(pages.count) * UInt(pageSize))]
    }

    /// strace does not see accesses, but memory that a program maps it also uses.
    private func touch(_ address: UInt, _ space: Int, writes: Bool) -> [RealStep] {
        guard let operation = vocabulary[writes ? KnownOperation.write : KnownOperation.read],
            operation.parameters.count == 1
        else { return [] }
        return [
            RealStep(
                operation: operation, arguments: [.address(address)], image: spaces[space].image, kind: .touch)
        ]
    }
}

/// How often each of some names came up.
struct Tally {
    private var counts: [(name: String, count: Int)] = []
    private var places: [String: Int] = [:]

    mutating func add(_ name: String) {
        if let place = places[name] {
            counts[place].count += 1
        } else {
            places[name] = counts.count
            counts.append((name, 1))
        }
    }

    /// The most frequent first; `12 wait4, 3 getpid`.
    var text: String {
        let sorted = counts.enumerated().sorted { ($1.element.count, $0.offset) < ($0.element.count, $1.offset) }
        return listed(sorted.map { "\($0.element.count) \($0.element.name)" }, "and")
    }
    var isEmpty: Bool { counts.isEmpty }
    var names: [String] { counts.map(\.name) }
}

extension Vocabulary {
    /// The operation of a process that a call in a log of strace stands for.
    subscript(systemCall name: String) -> Operation? {
        operations.first { $0.systemCall == name && $0.actor == .process }
    }
}
