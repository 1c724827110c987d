// SPDX-License-Identifier: GPL-2.0-only
import Foundation
import Testing

/// A folder for repositories of fixtures, with a git configuration of its own, and the real git to check with.
final class FixtureFolder {
    let path: String

    init(user: Bool = true) throws {
        path = FileManager.default.temporaryDirectory.appending(path: "fixtures-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        if user {
            try write(
                ".gitconfig",
                "[user]\n\tname = A. Tester\n\temail = tester@example.org\n[init]\n\tdefaultBranch = main\n")
        }
    }

    deinit {
        try? FileManager.default.removeItem(atPath: path)
    }

    /// HOME is what git and mmdiff read their configuration from.
    var environment: [String: String] {
        [
            "HOME": path, "XDG_CONFIG_HOME": path + "/none", "GIT_CONFIG_NOSYSTEM": "1",
            "LC_ALL": "C",
        ]
    }

    @discardableResult
    func write(_ name: String, _ text: String) throws -> String {
        let file = "\(path)/\(name)"
        try FileManager.default.createDirectory(
            atPath: (file as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
        try text.write(toFile: file, atomically: false, encoding: .utf8)
        return file
    }

    func read(_ name: String) throws -> String { try String(contentsOfFile: "\(path)/\(name)", encoding: .utf8) }

    func exists(_ name: String) -> Bool { FileManager.default.fileExists(atPath: "\(path)/\(name)") }

    /// Runs `mmdiff fixture` on the store in folder `store`.
    @discardableResult
    func fixture(_ store: String, _ arguments: String...) throws -> Ended {
        try mmdiff(["fixture"] + arguments + ["--store", "\(path)/\(store)"], environment: environment)
    }

    /// Makes a store and checks that it was made.
    func makeStore(_ name: String, bare: Bool = false) throws {
        let end = try mmdiff(
            ["fixture", "init", "\(path)/\(name)"] + (bare ? ["--bare"] : []), environment: environment)
        try #require(end.status == 0, "\(end.errors)")
    }

    /// Records a trace and returns the fixture's name.
    @discardableResult
    func record(_ store: String, _ trace: String = heldTrace, shows: String = "It is held.", _ more: String...) throws
        -> String
    {
        let file = try write("trace-\(UUID().uuidString).trace", trace)
        let end = try mmdiff(
            ["fixture", "record", file, "--pair", heldPair, "--shows", shows, "--store", "\(path)/\(store)"] + more,
            environment: environment)
        try #require(end.status == 0, "\(end.errors)")
        let line = try #require(end.output.split(separator: "\n").first { $0.hasPrefix("recorded ") }, "\(end.output)")
        return String(line.dropFirst("recorded ".count))
    }

    /// Runs the real git in folder `store`.
    @discardableResult
    func git(_ store: String, _ arguments: String..., status: Int32? = 0) throws -> String {
        let end = try runProgram("/usr/bin/env", ["git", "-C", "\(path)/\(store)"] + arguments, environment)
        if let status { try #require(end.status == status, "git \(arguments): \(end.output)\(end.errors)") }
        return end.output
    }

    /// Expects that git finds nothing wrong.
    func checkStrictly(_ store: String) throws {
        let end = try runProgram(
            "/usr/bin/env", ["git", "-C", "\(path)/\(store)", "fsck", "--strict", "--full"], environment)
        #expect(end.status == 0, "\(end.output)\(end.errors)")
        #expect(!(end.output + end.errors).contains("error"), "\(end.output)\(end.errors)")
    }
}

let heldPair = "page_mlock.posted..page_mlock.merged"

/// A trace that page_mlock.merged returns from with a lock held.
let heldTrace = """
    mmdiff trace 1
    # One process unlocks what another one locks.
    era v5.13
    machine cpus=1 nodes=1 pages=8 ptes=8 pmds=2 swap=1 pagevec=15
    setup
      r0 = p0 mmap(0, 0x4000, PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -, 0)
      p0 mlock(r0+0x3000, 0x1000)
      p0 fork(p1)
      p0 fork(p2)
    task t0 p0 cpu=0
      munlock(r0, 0x4000)
    task t1 p2 cpu=0
      mlock(r0+0x2000, 0x2000)
    schedule
      start t1
      t1 op 0 map_pte:pte #1 -> t0
      t0 op 1 task:end #1 => t1

    """

/// Others like it: each a finding of its own.
func heldTrace(_ number: Int) -> String {
    heldTrace.replacing("p0 fork(p2)", with: "p0 fork(p2)\n" + String(repeating: "  p1 read(r0)\n", count: number))
}
