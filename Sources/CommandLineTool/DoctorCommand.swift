// SPDX-License-Identifier: GPL-2.0-only
// mmdiff doctor: what this machine has of the programs and libraries that mmdiff can use.

import ArgumentParser
import Foundation
import Processes
import VariantKit

struct DoctorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor", abstract: "Tell what is installed, what is missing and how to get it.",
        discussion: "Exit status 1 if something that is needed is missing; what is optional may be.")

    @OptionGroup var output: OutputOptions

    func run() throws {
        let findings = [compiler(), strace(), library("libgit2", "libgit2-dev"), boost(), workers()]
        try output.print(findings) {
            table(findings.map { [$0.works ? "ok" : $0.needed ? "MISSING" : "missing", $0.name, $0.detail] })
        }
        if findings.contains(where: { $0.needed && !$0.works }) { throw ExitStatus.difference }
    }

    private struct Finding: Encodable {
        var name: String
        var works: Bool
        /// Whether mmdiff is of no use without it.
        var needed = false
        /// Where it is, or what it is for and how to get it.
        var detail: String
    }

    private func compiler() -> Finding {
        let name = "C compiler"
        guard let compiler = Compiler.find() else {
            return Finding(
                name: name, works: false, detail: "needed for variants in C: apt-get install clang, or set CC")
        }
        do {
            try compiler.check()
            return Finding(name: name, works: true, detail: "\(compiler.path), for variants in C")
        } catch {
            return Finding(name: name, works: false, detail: "\(error)")
        }
    }

    private func strace() -> Finding {
        let path = findTool("strace")
        return Finding(
            name: "strace", works: path != nil,
            detail: (path.map { "\($0), " } ?? "apt-get install strace ") + "to record traces of real programs")
    }

    /// A library that the executable is linked with: present as long as it runs, its headers may not be.
    private func library(_ name: String, _ package: String) -> Finding {
        let version = findTool("pkg-config").flatMap { try? runTool($0, ["--modversion", name]) }
            .flatMap { $0.end == .exited(status: 0) ? $0.output.trimmingCharacters(in: .whitespacesAndNewlines) : nil }
        return Finding(
            name: name, works: version != nil,
            detail: version.map { "\($0), to build mmdiff" } ?? "apt-get install \(package) pkg-config to build mmdiff")
    }

    private func boost() -> Finding {
        let header = ["/usr/include", "/usr/local/include"].map { "\($0)/boost/context/detail/fcontext.hpp" }
            .first { FileManager.default.fileExists(atPath: $0) }
        return Finding(
            name: "Boost.Context", works: header != nil,
            detail: header != nil ? "to build mmdiff" : "apt-get install libboost-context-dev to build mmdiff")
    }

    /// The machinery that everything that simulates runs on.
    private func workers() -> Finding {
        var echo = ""
        let ends = try? WorkerPool().run([WorkerJob.echo("simulate")]) { echo = $1 }
        let works = ends == [.done] && echo == "simulate"
        let detail = works ? "worker processes start" : "worker processes do not start: \(String(describing: ends))"
        return Finding(name: "workers", works: works, needed: true, detail: detail)
    }
}
