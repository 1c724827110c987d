// SPDX-License-Identifier: GPL-2.0-only
// What a trace is made of.  An operation is a system call, a memory access, or one unit of background
// work: its name, its arguments, who may do it, and its body.  A new one is a file and a line in the era.

import CKernel

/// One kind of step in a task's program.
public struct Operation: Sendable {
    /// Runs the operation on the current task.  Arguments are resolved; the result is what the system
    /// call returns, a negative errno for an error.
    public typealias Body = @convention(c) (_ arguments: UnsafePointer<Int>) -> Int

    /// As a trace writes it.
    public let name: String
    public let actor: Actor
    public let parameters: [Parameter]
    /// How often the generator draws it, beside the others; 0: only when a trace says so.
    public let weight: Int
    /// The system call in a log of strace; nil for what programs do not do by a call.
    public let systemCall: String?
    public let body: Body

    public init(
        _ name: String, _ actor: Actor, _ parameters: [Parameter] = [], weight: Int, systemCall: String? = nil,
        body: @escaping Body
    ) {
        self.name = name
        self.actor = actor
        self.parameters = parameters
        self.weight = weight
        self.systemCall = systemCall
        self.body = body
    }
}

/// Who does an operation.
public enum Actor: String, Sendable {
    /// A thread of a process, on its mm.
    case process
    /// A kernel thread: kswapd, kcompactd, writeback.
    case kernel
    /// A device behind a secondary MMU.
    case device
}

/// An argument: its name and what it may be.
public struct Parameter: Sendable {
    public let name: String
    public let domain: Domain

    public init(_ name: String, _ domain: Domain) {
        self.name = name
        self.domain = domain
    }
}

/// The values an argument may have.
public enum Domain: Sendable {
    /// A user address, in bytes; `rN` and `rN+0x1000` are allowed.
    case address
    /// A length in bytes.
    case length
    /// One of the machine's files, or `-` for none.
    case file(optional: Bool)
    /// An offset into a file, in pages.
    case pageOffset
    /// Any of these, or-ed; 0 for none.
    case flags([NamedValue])
    /// Exactly one of these.
    case choice([NamedValue])
    /// One of the processes.
    case process
    case node
    case cpu
    case number(ClosedRange<Int>)
}

/// A constant of the kernel's interface by its name.
public struct NamedValue: Sendable, Equatable {
    public let name: String
    public let value: Int

    public init(_ name: String, _ value: Int) {
        self.name = name
        self.value = value
    }
}

/// The most arguments an operation takes, as for system calls.
public let maximalArguments = 6
