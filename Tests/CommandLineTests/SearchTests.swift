// SPDX-License-Identifier: GPL-2.0-only
import Foundation
import Testing

/// The program that compares the searches with each other; it is part of the build that records accesses, which
/// `make test` makes and names in SEARCHCHECK.
private let searchCheck = ProcessInfo.processInfo.environment["SEARCHCHECK"]

/// Every search finds the outcomes that plain depth-first search finds.
@Suite(.enabled(if: searchCheck != nil, "SEARCHCHECK is not set: make test"))
struct SearchTests {
    private let folder = ScratchFolder()

    @Test(arguments: [
        // Locks, waits and ends of all kinds, in a few steps each.
        ["programs", "500"],
        ["traces", "100"],
        ["large-traces", "20"],
        ["commutation", "30"],
    ])
    func searchesAgree(_ arguments: [String]) throws {
        let end = try runProgram(searchCheck!, arguments, [:])
        #expect(end.status == 0, "\(end.output)")
        #expect(end.output.contains(arguments[0] == "commutation" ? "pairs" : "all searches agree"), "\(end.output)")
    }

    // MARK: A pair

    /// What a search of a pair has found, in an order of its own.
    private func states(_ arguments: [String], _ mode: String) throws -> [String] {
        let end = try mmdiff(["explore"] + arguments + ["--mode", mode, "--json"])
        #expect(end.status < 2, "\(end.errors)")
        let exploration = try #require(try end.json() as? [String: Any])
        for side in ["base", "patched"] {
            let search = try #require(exploration[side] as? [String: Any])
            #expect(search["mode"] as? String == mode && search["complete"] as? Bool == true)
        }
        return try #require(exploration["states"] as? [[String: Any]]).map { state in
            let sides = ["base", "patched"].filter { state[$0] != nil }
            return "\(sides) \(state["end"]!) \(state["broken"]!) \(state["difference"]!)"
        }.sorted()
    }

    @Test func modesAgreeOnAPair() throws {
        let arguments = [try folder.write("idle.trace", RunTests.idle), "--pair", "try_to_munlock..page_mlock.posted"]
        let expected = try states(arguments, "depth-first")
        #expect(!expected.isEmpty)
        #expect(try states(arguments, "reduced") == expected)
        #expect(try states(arguments, "stateful") == expected)
    }

    // MARK: A user's C file

    private static let counting = """
        mmdiff trace 1
        era v6.5
        machine cpus=2 nodes=1 pages=16 ptes=8 pmds=4 swap=4 pagevec=15
        file f0 shmem pages=2
        setup
          p0 mmap(0x8000, 0x1000, PROT_READ, MAP_SHARED|MAP_FIXED, f0, 0)
        task t0 kernel cpu=0
          khugepaged()
          khugepaged()
        task t1 kernel cpu=1
          khugepaged()

        """

    /// By a call of memcpy(), which the compiler makes of the assignment, and by a store.
    private static let counter = """
        #include <mmdiff.h>

        /* Counts itself in the file's flags; who does so at the same time is not counted. */
        long khugepaged_do_scan(void)
        {
            struct address_space *file = &kernel->files[0];
            struct address_space copy;

            mmdiff_yield("file");
            copy = *file;
            copy.as_flags += 0x10;
            WRITE_ONCE(file->as_flags, copy.as_flags);
            return 0;
        }

        """

    @Test func whatACFileTouchesIsRecorded() throws {
        let arguments = [
            try folder.write("counting.trace", Self.counting), "--pair",
            "new..\(try folder.write("mine.c", Self.counter))",
        ]
        let expected = try states(arguments, "depth-first")
        // All three are counted, or two of them, or one.
        for flags in [48, 32, 16] {
            #expect(
                expected.contains { $0.hasPrefix("[\"patched\"]") && $0.contains("flags: \(flags)") }, "\(expected)")
        }
        #expect(expected.count == 4)
        #expect(try states(arguments, "reduced") == expected)
        #expect(try states(arguments, "stateful") == expected)
    }

    // MARK: The build that records

    /// Puts a copy of mmdiff into a folder, with something else as the build that records beside it.
    private func explore(beside recorded: (String) throws -> Void) throws -> Ended {
        let trace = try folder.write("idle.trace", RunTests.idle)
        let copy = folder.path("mmdiff")
        try FileManager.default.copyItem(atPath: program.resolvingSymlinksInPath().path, toPath: copy)
        try recorded(copy + "-recorded")
        let arguments = ["explore", trace, "--pair", "try_to_munlock..page_mlock.posted", "--mode", "stateful"]
        return try runProgram(copy, arguments, [:])
    }

    private let recorded = program.resolvingSymlinksInPath().deletingLastPathComponent()
        .appending(path: "mmdiff-recorded").resolvingSymlinksInPath().path

    private func expectRefusal(_ end: Ended, _ words: String) {
        #expect(end.status == 2 && end.output.isEmpty)
        #expect(end.errors.contains(words) && end.errors.contains("`make explore-build` makes it"), "\(end.errors)")
        #expect(end.errors.split(separator: "\n").count == 1)
    }

    @Test func theOtherBuildIsUsedIfItIsOfTheSameSources() throws {
        let end = try explore { try FileManager.default.createSymbolicLink(atPath: $0, withDestinationPath: recorded) }
        #expect(end.status == 0, "\(end.errors)")
    }

    @Test func aBuildOfOtherSourcesIsRefused() throws {
        let end = try explore { path in
            // It answers as an older one would.
            let script = "#!/bin/sh\n'\(recorded)' \"$@\" | sed 's/\"sources\":\"[0-9a-f]*\"/\"sources\":\"0\"/'\n"
            try script.write(toFile: path, atomically: true, encoding: .utf8)
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
        }
        expectRefusal(end, "of the same sources: ")
    }

    @Test func aBuildThatDoesNotRecordIsRefused() throws {
        let end = try explore { try FileManager.default.copyItem(atPath: program.path, toPath: $0) }
        expectRefusal(end, "of the same sources: ")
    }

    @Test func noOtherBuildIsNoReasonToGuess() throws {
        expectRefusal(try explore { _ in }, "needs the build that records accesses: no ")
    }
}
