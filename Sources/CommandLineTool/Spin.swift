// SPDX-License-Identifier: GPL-2.0-only
// The same lock model for SPIN, the model checker by which others are measured: Differential/LockModel.swift.

import Foundation
import Processes
import VariantKit

/// SPIN on the lock model of three processes.
struct Spin {
    struct Figures: Codable {
        /// Without or with its partial-order reduction.
        var reduced: Bool
        var states: Int
        var seconds: Double
    }

    /// A step takes a lock, touches what it protects and drops it.  The history keeps all interleavings apart, as a
    /// search without a store of states does; so each complete one is a state of its own.
    private static let model = """
        byte locks[3]; byte words[3]; int history = 1;
        proctype P(byte id) {
            byte k = 0;
        end: do
            :: atomic { (k < STEPS && locks[k % 3] == 0) ->
                locks[k % 3] = 1; history = history * 3 + id; words[k % 3] = words[k % 3] + id; locks[k % 3] = 0; k++ }
            od
        }
        init { atomic { run P(0); run P(1); run P(2) } }

        """

    private let folder: TemporaryFolder
    private let compiler: Compiler

    /// Nil where SPIN, or a C compiler, is not installed.
    init?(steps: Int) throws {
        guard let spin = findTool("spin"), let compiler = Compiler.find() else { return nil }
        self.compiler = compiler
        folder = try TemporaryFolder()
        try folder.write(Spin.model, to: "lock.pml")
        try Spin.run(spin, ["-DSTEPS=\(steps)", "-a", "lock.pml"], in: folder.path)
    }

    /// Compiles the verifier and times a whole search.
    func measure(reduced: Bool) throws -> Figures {
        let options = ["-O2", "-DMEMLIM=4096", "-DSAFETY", "-w"] + (reduced ? [] : ["-DNOREDUCE"])
        try Spin.run(compiler.path, compiler.arguments + options + ["-o", "pan", "pan.c"], in: folder.path)
        var output = ""
        let time = try ContinuousClock().measure {
            output = try Spin.run("./pan", ["-m1000", "-w24"], in: folder.path)
        }
        let line = output.split(separator: "\n").first { $0.hasSuffix("states, stored") }
        guard let line, let states = line.split(separator: " ").first.flatMap({ Int($0) }) else {
            throw InputError("spin's verifier said nothing of states")
        }
        let (seconds, attoseconds) = time.components
        return Figures(reduced: reduced, states: states, seconds: Double(seconds) + Double(attoseconds) * 1e-18)
    }

    @discardableResult
    private static func run(_ program: String, _ arguments: [String], in folder: String) throws -> String {
        let line = ([program] + arguments).map { "'\($0)'" }.joined(separator: " ")
        let result = try runTool("/bin/sh", ["-c", "cd '\(folder)' && \(line)"])
        guard result.end == .exited(status: 0) else { throw InputError("\(program) failed: \(result.output)") }
        return result.output
    }
}
