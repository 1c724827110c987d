// SPDX-License-Identifier: GPL-2.0-only
// ioctl(2) on a userfaultfd.

import KernelModel

extension StraceTranslator {
    /// A call for a userfaultfd of the process itself; the one of another process is not told apart.
    mutating func userfaultfd(_ call: StraceLog.Call, _ space: Int) throws(TraceError) -> [RealStep]? {
        var arguments = StraceArguments(log, call)
        try arguments.require(2)
        let request = arguments.text(1)
        guard request.hasPrefix("UFFDIO_") else { return nil }
        if request == "UFFDIO_API" { return [] }
        guard let operation = vocabulary[systemCall: request] else { return drop(request, .noCounterpart) }
        try arguments.require(3)
        guard arguments.isDecoded(2) else { return drop(request, .notDecoded) }
        let start = try arguments.number(2, field: request == "UFFDIO_COPY" ? "dst" : "start")
        let length = try arguments.number(2, field: "len")
        var real: [RealArgument] = []
        for parameter in operation.parameters {
            switch parameter.domain {
            case .address: real.append(.address(start))
            case .length: real.append(.length(from: start, bytes: length))
            case .flags(let names):
                // The model leaves out what all modes of a request begin with.
                let whole = names.map { NamedValue("\(request)_MODE_\($0.name)", $0.value) }
                real.append(.value(try arguments.flags(2, field: "mode", whole)))
            default: return drop(request, .noCounterpart)
            }
        }
        for flag in arguments.unknownFlags { unknownFlags.add(flag) }
        if let pages = pageRange(start, length) {
            if request == "UFFDIO_REGISTER" { spaces[space].registered.insert(pages) }
            if request == "UFFDIO_UNREGISTER" { spaces[space].registered.remove(pages) }
        }
        return finish(call, operation, real, space)
    }
}

extension StraceTranslator {
    mutating func closeUserfaultfd(_ call: StraceLog.Call, _ space: Int) throws(TraceError) -> [RealStep]? {
        let arguments = StraceArguments(log, call)
        try arguments.require(1)
        guard try arguments.descriptor(0)?.name == "anon_inode:[userfaultfd]", let close = vocabulary["uffd_close"],
            close.parameters.isEmpty
        else { return nil }
        spaces[space].registered = PageSet()
        return [step(call, close, [], space)]
    }
}

extension StraceLog.Call {
    /// Whether it does something to pages.
    var isOfUserfaultfd: Bool {
        guard name == "ioctl", arguments.count > 1 else { return false }
        return arguments[1].starts(with: "UFFDIO_".utf8) && !arguments[1].elementsEqual("UFFDIO_API".utf8)
    }
}
