// SPDX-License-Identifier: GPL-2.0-only
// ioctl(2) on a userfaultfd.

import KernelModel

extension StraceTranslator {
    /// The operations by the request that they stand for.
    private static let requests: [(request: String, operation: String)] = [
        ("UFFDIO_REGISTER", "uffd_register"), ("UFFDIO_UNREGISTER", "uffd_unregister"),
        ("UFFDIO_COPY", "uffd_copy"), ("UFFDIO_ZEROPAGE", "uffd_zeropage"),
        ("UFFDIO_WRITEPROTECT", "uffd_writeprotect"), ("UFFDIO_WAKE", "uffd_wake"),
        ("UFFDIO_CONTINUE", "uffd_continue"),
    ]

    /// A call for a userfaultfd of the process itself; the one of another process is not told apart.
    mutating func userfaultfd(_ call: StraceLog.Call, _ space: Int) throws(TraceError) -> [RealStep]? {
        var arguments = StraceArguments(log, call)
        try arguments.require(2)
        let request = arguments.text(1)
        guard request.hasPrefix("UFFDIO_") else { return nil }
        if request == "UFFDIO_API" { return [] }
        let name = Self.requests.first { $0.request == request }?.operation
        guard let operation = name.flatMap({ vocabulary[$0] }) else { return drop(request, .noCounterpart) }
        try arguments.require(3)
        guard arguments.isDecoded(2) else { return drop(request, .notDecoded) }
        let start = try arguments.number(2, field: request == "UFFDIO_COPY" ? "dst" : "start")
        let length = try arguments.number(2, field: "len")
        var real: [RealArgument] = []
        for parameter in operation.parameters {
            switch parameter.domain {
            case .address: real.append(.address(start))
            case .length: real.append(.length(from: start, bytes: length))
            case .flags(let names): real.append(.value(try arguments.flags(2, field: "mode", names)))
            case .choice(let names):
                let word = text(try arguments.field(2, "mode"))
                guard let value = names.first(where: { $0.name == word })?.value else {
                    return drop("\(request)(\(word))", .noCounterpart)
                }
                real.append(.value(value))
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

extension StraceLog.Call {
    /// Whether it does something to pages.
    var isOfUserfaultfd: Bool {
        guard name == "ioctl", arguments.count > 1 else { return false }
        return arguments[1].starts(with: "UFFDIO_".utf8) && !arguments[1].elementsEqual("UFFDIO_API".utf8)
    }
}
