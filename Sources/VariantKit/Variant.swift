// SPDX-License-Identifier: GPL-2.0-only
// One version of the kernel code that a patch touches.

import CKernel

/// An era's table of kernel operations with some functions replaced.
public struct Variant: Sendable {
    /// How it is called on the command line, unique in its family: `page_mlock.posted`.
    public var name: String
    /// The kernel version whose memory management it is a variant of: `v5.13`.
    public var era: String
    /// What it is, in one sentence.
    public var summary: String
    /// The functions that it replaces or changes, by the kernel's names.  A run that enters none of them
    /// says nothing about it.
    public var changedFunctions: [String]
    /// Enters its functions in the era's table.
    public var install: @Sendable (kernel_ops) -> Void

    public init(
        name: String, era: String, summary: String, changedFunctions: [String],
        install: @escaping @Sendable (kernel_ops) -> Void
    ) {
        self.name = name
        self.era = era
        self.summary = summary
        self.changedFunctions = changedFunctions
        self.install = install
    }
}
