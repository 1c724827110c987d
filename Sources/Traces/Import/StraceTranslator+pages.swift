// SPDX-License-Identifier: GPL-2.0-only
// Calls on the pages of a range: advice, migration, pins.

import KernelModel

extension StraceTranslator {
    mutating func advise(_ call: StraceLog.Call, _ space: Int) throws(TraceError) -> [RealStep]? {
        let arguments = StraceArguments(log, call)
        try arguments.require(3)
        let advice = arguments.text(2)
        // The model may have no such advice; it is the same as a fault for each page.
        let populates = ["MADV_POPULATE_READ", "MADV_POPULATE_WRITE"].contains(advice)
        if populates, let steps = try populate(arguments, space, writes: advice.hasSuffix("WRITE")) { return steps }
        return try generic(call, space)
    }

    private mutating func populate(
        _ arguments: StraceArguments, _ space: Int, writes: Bool
    ) throws(TraceError) -> [RealStep]? {
        guard let madvise = vocabulary[KnownOperation.madvise],
            case .choice(let names)? = madvise.parameters.last?.domain,
            !names.contains(where: { $0.name == arguments.text(2) }), arguments.call.result.succeeded
        else { return nil }
        let start = try arguments.number(0, "an address")
        guard let pages = pageRange(start, try arguments.number(1, "a length")) else { return nil }
        var steps = touch(start, space, writes: writes)
        guard !steps.isEmpty else { return nil }
        (steps[0].kind, steps[0].line, steps[0].note) = (.other, arguments.call.line, arguments.text(2))
        return mapMissing(pages, space) + steps
    }

    /// Which process a descriptor stands for.
    mutating func openProcess(_ call: StraceLog.Call, _ space: Int) throws(TraceError) -> [RealStep]? {
        let arguments = StraceArguments(log, call)
        try arguments.require(1)
        guard case .value(let descriptor) = call.result else { return nil }
        let pid = Int(clamping: try arguments.number(0, "a process's number"))
        files.processes["\(spaces[space].image) \(descriptor)"] = pid
        return []
    }

    /// Of its own memory it is madvise(2), a call for each range.
    mutating func adviseProcess(_ call: StraceLog.Call, _ space: Int) throws(TraceError) -> [RealStep]? {
        let arguments = StraceArguments(log, call)
        try arguments.require(4)
        guard let descriptor = try arguments.descriptor(0) else { return nil }
        guard files.processes["\(spaces[space].image) \(descriptor.number)"] == call.pid else {
            return drop(call.name, .elsewhere)
        }
        guard arguments.isDecoded(1) else { return drop(call.name, .notDecoded) }
        guard let operation = vocabulary[KnownOperation.madvise], operation.parameters.count == 3,
            case .choice(let names) = operation.parameters[2].domain,
            let advice = names.first(where: { $0.name == arguments.text(3) })?.value
        else { return drop("\(call.name)(\(arguments.text(3)))", .noCounterpart) }
        let starts = try arguments.numbers(1, fields: "iov_base")
        let lengths = try arguments.numbers(1, fields: "iov_len")
        var steps: [RealStep] = []
        for (start, length) in zip(starts, lengths).prefix(mostRanges) {
            steps += finish(
                call, operation, [.address(start), .length(from: start, bytes: length), .value(advice)], space)
        }
        return steps
    }

    // MARK: - Nodes

    /// A call for each page.
    mutating func movePages(_ call: StraceLog.Call, _ space: Int) throws(TraceError) -> [RealStep]? {
        var arguments = StraceArguments(log, call)
        try arguments.require(6)
        guard let operation = vocabulary[KnownOperation.movePages], operation.parameters.count == 4 else { return nil }
        let pid = try arguments.number(0, "a process's number")
        guard pid == 0 || call.pid.map({ UInt($0) == pid }) ?? false else { return drop(call.name, .elsewhere) }
        guard arguments.isDecoded(2), arguments.isDecoded(3) else { return drop(call.name, .notDecoded) }
        let nodes = try arguments.numbers(3, "a node")
        var steps: [RealStep] = []
        for (address, node) in zip(try arguments.numbers(2, "an address"), nodes).prefix(mostRanges) {
            steps += try migrate(&arguments, 5, operation, address, UInt(pageSize), node, space)
        }
        return steps
    }

    /// mbind() moves what is there only if it is told to; the policy for new pages is left out.
    mutating func bind(_ call: StraceLog.Call, _ space: Int) throws(TraceError) -> [RealStep]? {
        var arguments = StraceArguments(log, call)
        try arguments.require(6)
        guard let operation = vocabulary[KnownOperation.movePages], operation.parameters.count == 4,
            call.mentions("MPOL_MF_MOVE") || call.mentions("MPOL_MF_MOVE_ALL")
        else { return nil }
        guard arguments.isDecoded(3), let mask = try arguments.numbers(3, "a mask of nodes").first else {
            return drop(call.name, .notDecoded)
        }
        return try migrate(
            &arguments, 5, operation, arguments.number(0, "an address"), arguments.number(1, "a length"),
            UInt(mask.trailingZeroBitCount), space)
    }

    private mutating func migrate(
        _ arguments: inout StraceArguments, _ flags: Int, _ operation: Operation, _ address: UInt, _ length: UInt,
        _ node: UInt, _ space: Int
    ) throws(TraceError) -> [RealStep] {
        var real: [RealArgument] = []
        for parameter in operation.parameters {
            switch parameter.domain {
            case .address: real.append(.address(address))
            case .length: real.append(.length(from: address, bytes: length))
            case .node: real.append(.node(node))
            case .flags(let names): real.append(.value(try arguments.flags(flags, names)))
            default: real.append(.value(0))
            }
        }
        return finish(arguments.call, operation, real, space)
    }

    // MARK: - Pins

    /// Buffers of io_uring are pinned for as long as they are registered: the first page of each stands for it.
    mutating func registerBuffers(_ call: StraceLog.Call, _ space: Int) throws(TraceError) -> [RealStep]? {
        let arguments = StraceArguments(log, call)
        try arguments.require(2)
        let key = "\(spaces[space].image) \(arguments.text(0))"
        if call.mentions("IORING_UNREGISTER_BUFFERS") {
            let pinned = files.pinned.removeValue(forKey: key) ?? []
            guard let unpin = vocabulary[KnownOperation.unpin], unpin.parameters.count == 1 else { return nil }
            return pinned.map { step(call, unpin, [.address($0)], space) }
        }
        guard call.mentions("IORING_REGISTER_BUFFERS"), let pin = vocabulary[KnownOperation.pin],
            pin.parameters.count == 2, case .flags(let names) = pin.parameters[1].domain
        else { return drop("io_uring_register() of no buffers", .noCounterpart) }
        try arguments.require(3)
        guard arguments.isDecoded(2) else { return drop(call.name, .notDecoded) }
        let starts = Array(try arguments.numbers(2, fields: "iov_base").prefix(mostRanges))
        files.pinned[key, default: []] += starts
        let flags = names.value("FOLL_WRITE") | names.value("FOLL_LONGTERM")
        return starts.flatMap { start in
            mapMissing(start.page..<start.page + 1, space)
                + [step(call, pin, [.address(start), .value(flags)], space)]
        }
    }
}

/// Ranges of one call that become steps; the model has room for few.
private let mostRanges = 8
