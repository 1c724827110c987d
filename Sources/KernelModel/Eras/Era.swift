// SPDX-License-Identifier: GPL-2.0-only
// An era: a kernel version whose mm the model follows.  It is data: a table of functions, and the
// operations that programs of that time could use.  No code asks which era it runs in.

import CKernel

/// A kernel version as a table of functions and a list of operations.
public struct Era: Sendable {
    /// `v5.13`.
    public let name: String
    /// Enters the era's functions in a table.
    public let install: @Sendable (kernel_ops) -> Void
    public let operations: [Operation]

    public static let all: [Era] = [.v5_13, .v5_18_rc1, .v6_5]

    public static func named(_ name: String) -> Era? {
        all.first { $0.name == name }
    }
}

/// A table of kernel operations of its own, filled by `install`.  It lives as long as the process: there is
/// one for each variant in use.
public func makeOperationsTable(_ install: (kernel_ops) -> Void) -> kernel_ops {
    let memory = UnsafeMutableRawPointer.allocate(byteCount: sizeof_kernel_ops(), alignment: 16)
    memory.initializeMemory(as: UInt8.self, repeating: 0, count: sizeof_kernel_ops())
    let table = unsafeBitCast(memory, to: kernel_ops.self)
    install(table)
    return table
}
