// SPDX-License-Identifier: GPL-2.0-only
// Calls that make, move and change mappings.

import KernelModel

// MARK: - mmap(2), brk(2), System V shared memory

extension StraceTranslator {
    mutating func moveHeapEnd(_ call: StraceLog.Call, _ space: Int) throws(TraceError) -> [RealStep]? {
        try StraceArguments(log, call).require(1)
        guard case .value(let result) = call.result else { return nil }
        let end = (UInt(result) + UInt(pageSize) - 1).page
        let old = spaces[space].heapEnd ?? end
        spaces[space].heapEnd = end
        if end > old { return mapAnonymous(old..<end, space, line: call.line, note: "brk") }
        guard end < old, let munmap = vocabulary[KnownOperation.munmap] else { return [] }
        spaces[space].unmap(end..<old)
        return [step(call, munmap, range(end..<old), space, note: "brk")]
    }

    mutating func map(_ call: StraceLog.Call, _ space: Int) throws(TraceError) -> [RealStep]? {
        var arguments = StraceArguments(log, call)
        try arguments.require(6)
        let length = try arguments.number(1, "a length")
        guard let operation = vocabulary[KnownOperation.mmap], case .value(let result) = call.result,
            let pages = pageRange(UInt(result), length)
        else { return nil }
        let source = try mappedFile(&arguments, space)
        if case .device = source { return drop("mmap", .device) }
        let file = source.file
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
                var flags = try arguments.flags(3, names) & ~names.value("MAP_FIXED_NOREPLACE")
                flags |= names.value("MAP_FIXED")
                if file != nil {
                    flags &= ~names.value("MAP_ANONYMOUS")
                } else if source == .zero {
                    flags |= names.value("MAP_ANONYMOUS")
                }
                if call.mentions("MAP_SHARED_VALIDATE") { flags |= names.value("MAP_SHARED") }
                real.append(.value(flags))
            case .file: real.append(.file(file))
            case .pageOffset: real.append(.offset(file == nil ? 0 : offset.page, file: file))
            default: return nil
            }
        }
        for flag in arguments.unknownFlags { unknownFlags.add(flag) }
        spaces[space].map(pages, isAccessible: isAccessible)
        var steps = [step(call, operation, real, space)]
        if call.mentions("MAP_HUGETLB") { steps[0].note = "of huge pages there; the model has none of hugetlbfs" }
        if isAccessible { steps += firstAccess(pages, space, writes: call.mentions("PROT_WRITE"), file: file) }
        return steps
    }

    /// What a mapping is of; shared memory without a file is a file of its own, as in the kernel.
    private mutating func mappedFile(
        _ arguments: inout StraceArguments, _ space: Int
    ) throws(TraceError) -> StraceFiles.Source {
        let descriptor = try arguments.descriptor(4)
        let call = arguments.call
        let isShared = call.mentions("MAP_SHARED") || call.mentions("MAP_SHARED_VALIDATE")
        let isZero = descriptor?.name == "/dev/zero" || call.mentions("MAP_ANONYMOUS")
        guard let descriptor, !isZero else {
            return isShared ? .file(files.number("anonymous \(call.line)", name: nil, isShared: true)) : .zero
        }
        if StraceFiles.isDevice(descriptor.name) { return .device }
        // Without names, the dynamic linker's descriptors, which it closes again, are files of their own.
        if call.mentions("MAP_DENYWRITE") && !call.mentions("MAP_FIXED") {
            spaces[space].descriptorsOpened += 1
        }
        let linked = call.mentions("MAP_DENYWRITE") ? spaces[space].descriptorsOpened : 0
        return .file(
            files.number(
                fileKey(descriptor, space, linked: linked), name: descriptor.name,
                isShared: StraceFiles.isSharedMemory(descriptor.name)))
    }

    func fileKey(_ descriptor: (number: Int, name: String?), _ space: Int, linked: Int = 0) -> String {
        descriptor.name ?? "\(spaces[space].image) \(descriptor.number) \(linked)"
    }

    mutating func createShared(_ call: StraceLog.Call) throws(TraceError) -> [RealStep]? {
        let arguments = StraceArguments(log, call)
        try arguments.require(3)
        guard case .value(let identifier) = call.result else { return nil }
        files.sizes["System V \(identifier)"] = try arguments.number(1, "a size")
        return []
    }

    mutating func attach(_ call: StraceLog.Call, _ space: Int) throws(TraceError) -> [RealStep]? {
        let arguments = StraceArguments(log, call)
        try arguments.require(3)
        let key = "System V \(try arguments.number(0, "an identifier"))"
        guard case .value(let result) = call.result, let bytes = files.sizes[key],
            let pages = pageRange(UInt(result), bytes), let operation = vocabulary[KnownOperation.mmap]
        else { return drop("shmat", .notDecoded) }
        let file = files.number(key, name: nil, isShared: true)
        let isWritable = !call.mentions("SHM_RDONLY")
        let protection = isWritable ? ["PROT_READ", "PROT_WRITE"] : ["PROT_READ"]
        spaces[space].attached.append((UInt(result), bytes))
        spaces[space].map(pages, isAccessible: true)
        let mapping = self.mapping(operation, pages, space, protection, ["MAP_SHARED", "MAP_FIXED"], file: file)
        guard let mapping else { return nil }
        var step = step(call, operation, mapping.arguments, space, note: "shmat")
        step.kind = .mapping
        return [step] + firstAccess(pages, space, writes: isWritable, file: file)
    }

    mutating func detach(_ call: StraceLog.Call, _ space: Int) throws(TraceError) -> [RealStep]? {
        let arguments = StraceArguments(log, call)
        try arguments.require(1)
        let address = try arguments.number(0, "an address")
        guard let munmap = vocabulary[KnownOperation.munmap],
            let known = spaces[space].attached.firstIndex(where: { $0.address == address }),
            let pages = pageRange(address, spaces[space].attached[known].bytes)
        else { return drop("shmdt", .notDecoded) }
        spaces[space].attached.remove(at: known)
        spaces[space].unmap(pages)
        return [step(call, munmap, range(pages), space, note: "shmdt")]
    }

    mutating func lockShared(_ call: StraceLog.Call, _ space: Int) throws(TraceError) -> [RealStep]? {
        let arguments = StraceArguments(log, call)
        try arguments.require(2)
        let name = ["SHM_LOCK", "SHM_UNLOCK"].first(where: call.mentions)
        guard let name, let operation = vocabulary[name.lowercased()] else { return nil }
        let key = "System V \(try arguments.number(0, "an identifier"))"
        guard let file = files.known(key) else { return drop("shmctl", .unmappedFile) }
        return [step(call, operation, [.file(file)], space)]
    }
}

// MARK: - mremap(2), mprotect(2)

extension StraceTranslator {
    mutating func remap(_ call: StraceLog.Call, _ space: Int) throws(TraceError) -> [RealStep]? {
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
        if let gone = pageRange(old, oldLength), flags & names.value("MREMAP_DONTUNMAP") == 0 {
            spaces[space].unmap(gone)
        }
        spaces[space].map(pages, isAccessible: true)
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

    /// What becomes accessible by it is used from now on.
    mutating func protect(_ call: StraceLog.Call, _ space: Int) throws(TraceError) -> [RealStep]? {
        guard let steps = try generic(call, space) else { return nil }
        let arguments = StraceArguments(log, call)
        guard call.result.succeeded, call.mentions("PROT_READ") || call.mentions("PROT_WRITE"),
            let pages = pageRange(try arguments.number(0, "an address"), try arguments.number(1, "a length")),
            let first = spaces[space].untouched.ranges.first(where: { $0.overlaps(pages) })?.clamped(to: pages)
        else { return steps }
        spaces[space].untouched.remove(pages)
        return steps + firstAccess(first, space, writes: call.mentions("PROT_WRITE"), file: nil)
    }
}

// MARK: - Mappings that are not in the log

extension StraceTranslator {
    mutating func mapMissing(_ pages: Range<UInt>, _ space: Int) -> [RealStep] {
        spaces[space].mapped.missing(from: pages).flatMap {
            mapAnonymous($0, space, line: nil, note: "there without a call: program or stack")
        }
    }

    private mutating func mapAnonymous(
        _ pages: Range<UInt>, _ space: Int, line: Int?, note: String
    ) -> [RealStep] {
        guard let operation = vocabulary[KnownOperation.mmap],
            var step = mapping(
                operation, pages, space, ["PROT_READ", "PROT_WRITE"], ["MAP_PRIVATE", "MAP_ANONYMOUS", "MAP_FIXED"],
                file: nil)
        else { return [] }
        spaces[space].map(pages, isAccessible: true)
        (step.line, step.note) = (line, note)
        return [step] + firstAccess(pages, space, writes: true, file: nil)
    }

    /// A mapping of whole pages, of a file from its start on or of nothing.
    private func mapping(
        _ operation: Operation, _ pages: Range<UInt>, _ space: Int, _ protection: [String], _ flags: [String],
        file: Int?
    ) -> RealStep? {
        var ends = range(pages)
        var arguments: [RealArgument] = []
        for parameter in operation.parameters {
            switch parameter.domain {
            case .address, .length:
                guard !ends.isEmpty else { return nil }
                arguments.append(ends.removeFirst())
            case .flags(let names):
                let words = names.contains { $0.name == "PROT_READ" } ? protection : flags
                arguments.append(.value(words.reduce(0) { $0 | names.value($1) }))
            case .file: arguments.append(.file(file))
            case .pageOffset: arguments.append(.offset(0, file: file))
            default: arguments.append(.value(0))
            }
        }
        return RealStep(operation: operation, arguments: arguments, image: spaces[space].image, kind: .mapping)
    }

    private mutating func firstAccess(_ pages: Range<UInt>, _ space: Int, writes: Bool, file: Int?) -> [RealStep] {
        let address = pages.lowerBound * UInt(pageSize)
        if writes && file == nil { spaces[space].newest = address }
        return touch(address, space, writes: writes)
    }
}
