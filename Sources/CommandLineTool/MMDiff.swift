// SPDX-License-Identifier: GPL-2.0-only
// The command line: its subcommands, each in a file of its own.

import ArgumentParser

public struct MMDiff: ParsableCommand {
    public static let configuration = CommandConfiguration(
        commandName: "mmdiff",
        abstract: "A behavioural diff of Linux memory-management patches.",
        subcommands: [])

    public init() {}
}
