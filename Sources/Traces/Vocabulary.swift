// SPDX-License-Identifier: GPL-2.0-only
// The words of a trace: the operations that an era has, by their names.

import KernelModel

public struct Vocabulary: Sendable {
    public let era: String
    public let operations: [Operation]
    /// For look-ups only: the order of a dictionary differs from run to run.
    private let numbers: [String: Int]

    public init(era: String, operations: [Operation]) {
        self.era = era
        self.operations = operations
        numbers = Dictionary(
            operations.enumerated().map { ($0.element.name, $0.offset) }, uniquingKeysWith: { first, _ in first })
    }

    public init(_ era: Era) {
        self.init(era: era.name, operations: era.operations)
    }

    /// Those of all eras that the model has.
    public static let all = Era.all.map { Vocabulary($0) }

    public subscript(name: String) -> Operation? {
        numbers[name].map { operations[$0] }
    }

    /// Where in the era's table the operation is.
    public func number(of operation: Operation) -> Int? {
        numbers[operation.name]
    }
}

/// The few operations whose effect on an address space or on the set of processes this layer knows, so that
/// it can tell which processes exist and which addresses are worth a try.
enum KnownOperation {
    static let fork = "fork"
    static let exit = "exit"
    static let mmap = "mmap"
    static let munmap = "munmap"
    static let madvise = "madvise"
    static let mremap = "mremap"
    static let read = "read"
    static let write = "write"
    static let movePages = "move_pages"
    static let mlock2 = "mlock2"
    /// What locks memory, until the next fork.
    static let locks = ["mlock", mlock2, "mlockall"]
    /// What locks or unlocks a range.
    static let rangeLocks = ["mlock", mlock2, "munlock"]
    static let pin = "pin"
    static let unpin = "unpin"
    static let khugepaged = "khugepaged"
    static let register = "uffd_register"
    static let unregister = "uffd_unregister"
    static let writeProtect = "uffd_writeprotect"
    static let close = "uffd_close"
    /// What a userfaultfd does to ranges that it watches.
    static let answers = ["uffd_copy", "uffd_zeropage", "uffd_continue", writeProtect]
    static let watched = answers + ["uffd_wake", unregister]
    /// How devices are let in, each with what they can do then.
    static let admissions: [(operation: String, allows: [String])] = [
        ("register_device", ["device_read", "device_write"]),
        (pin, ["pin_read", "pin_write", unpin]),
        ("sva_bind_device", ["sva_read", "sva_write"]),
    ]
}

extension Operation {
    /// The operation before which it has nothing to work on, if there is one.
    var admission: String? { KnownOperation.admissions.first { $0.allows.contains(name) }?.operation }
    /// Whether it lets a device see a process's memory.
    var admits: Bool { KnownOperation.admissions.contains { $0.operation == name } }

    /// Which of its arguments numbers the process that it creates.
    var createdProcess: Int? {
        guard name == KnownOperation.fork else { return nil }
        return parameters.firstIndex { if case .process = $0.domain { true } else { false } }
    }
}
