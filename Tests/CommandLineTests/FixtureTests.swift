// SPDX-License-Identifier: GPL-2.0-only
import Foundation
import Testing

/// `mmdiff fixture` from outside, checked with the real git.
@Suite struct FixtureTests {
    // MARK: Recording

    @Test(arguments: [false, true]) func aFixtureIsRecordedAndHolds(_ bare: Bool) throws {
        let folder = try FixtureFolder()
        try folder.makeStore("store", bare: bare)
        let name = try folder.record("store")
        #expect(name.hasPrefix("munlock-split/held-at-return-lock-order-"))
        let file = "Fixtures/\(name).trace"
        #expect(try folder.git("store", "ls-tree", "-r", "--name-only", "HEAD") == file + "\n")
        let text = try folder.git("store", "show", "HEAD:\(file)")
        #expect(text.hasPrefix("mmdiff fixture 1\nshows It is held.\nfamily munlock-split\npair \(heldPair)\n"))
        #expect(try folder.fixture("store", "show", name).output == text)
        if !bare { #expect(try folder.read("store/\(file)") == text) }
        #expect(try folder.git("store", "status", "--porcelain", status: bare ? nil : 0) == "")
        #expect(try folder.git("store", "log", "--format=%an %s") == "A. Tester fixture: \(name)\n")
        try folder.checkStrictly("store")

        let verified = try folder.fixture("store", "verify")
        #expect(verified.status == 0, "\(verified.output)\(verified.errors)")
        #expect(verified.output == "ok       \(name)\n1 fixture, 1 ok\n")
        let listed = try folder.fixture("store", "list")
        #expect(listed.output.hasPrefix(name) && listed.output.contains("It is held."))
    }

    @Test func aFixtureIsRecordedOnce() throws {
        let folder = try FixtureFolder()
        try folder.makeStore("store")
        let name = try folder.record("store")
        let again = try folder.fixture("store", "record", folder.write("x.trace", heldTrace), "--pair", heldPair)
        #expect(again.status == 1)
        #expect(again.output == "known    \(name)\n")
        #expect(try folder.git("store", "rev-list", "--count", "HEAD") == "1\n")
    }

    @Test func aRunsReportIsRecorded() throws {
        let folder = try FixtureFolder()
        try folder.makeStore("store")
        let run = try mmdiff(
            "run", "--pair", heldPair, "--traces", "1200", "--seed", "1", "--json", "--output", folder.path + "/found")
        let report = try folder.write("report.json", run.output)
        let end = try folder.fixture("store", "record", report, "--json")
        #expect(end.status == 0, "\(end.errors)")
        let recorded = try #require((try end.json() as? [String: Any])?["recorded"] as? [String])
        try #require(!recorded.isEmpty)
        #expect(try folder.fixture("store", "verify").status == 0)
        #expect(try folder.fixture("store", "show", recorded[0]).output.contains("\nseed 1\n"))
    }

    /// A large collection must not become as many loose objects.
    @Test func manyBecomeOnePack() throws {
        let folder = try FixtureFolder()
        try folder.makeStore("store", bare: true)
        let traces = try (0..<60).map { try folder.write("m\($0).trace", heldTrace($0)) }
        let end = try mmdiff(
            ["fixture", "record"] + traces + ["--pair", heldPair, "--store", folder.path + "/store"],
            environment: folder.environment)
        #expect(end.status == 0, "\(end.errors)")
        let objects = try folder.git("store", "count-objects", "-v")
        #expect(objects.hasPrefix("count: 0\n") && objects.contains("\npacks: 1\n"), "\(objects)")
        #expect(try folder.git("store", "ls-tree", "-r", "--name-only", "HEAD").split(separator: "\n").count == 60)
        try folder.checkStrictly("store")
    }

    @Test func provenanceIsKept() throws {
        let folder = try FixtureFolder()
        try folder.makeStore("store")
        let name = try folder.record(
            "store", heldTrace, "--seed", "42", "--verdict", "divergent", "--link", "https://example.org/1", "--fixes",
            "cd62734ca60d (\"x\")")
        let text = try folder.fixture("store", "show", name).output
        #expect(text.contains("verdict divergent\nschedule-of page_mlock.merged\nseed 42\n"))
        #expect(text.contains("\nLink: https://example.org/1\nFixes: cd62734ca60d (\"x\")\n\nmmdiff trace 1\n"))
    }

    @Test func nothingElseOfAProjectIsTouched() throws {
        let folder = try FixtureFolder()
        try folder.write("project/src.c", "int x;\n")
        try folder.write("project/staged.c", "int y;\n")
        try folder.write("project/Fixtures/recorded/plain.trace", heldTrace)
        try folder.git("project", "init", "-q")
        try folder.git("project", "add", "src.c", "Fixtures")
        try folder.git("project", "commit", "-qm", "first")
        try folder.git("project", "add", "staged.c")
        try folder.write("project/src.c", "int changed;\n")
        try folder.write("project/untracked", "x\n")
        let before = try folder.git("project", "status", "--porcelain")
        let name = try folder.record("project")
        #expect(try folder.git("project", "status", "--porcelain") == before)
        #expect(try folder.git("project", "show", "--name-only", "--format=", "HEAD") == "Fixtures/\(name).trace\n")
        #expect(try folder.git("project", "diff", "--cached", "--name-only") == "staged.c\n")
        // A trace that nothing is expected of is no fixture, and no fault.
        #expect(try folder.fixture("project/Fixtures", "verify").output == "ok       \(name)\n1 fixture, 1 ok\n")
        try folder.checkStrictly("project")
    }

    /// What the project has found so far.  A hash of a state may be another where the model has learned to tell more;
    /// 'mmdiff fixture expect --all' writes it down.
    @Test func theProjectsOwnCollectionHolds() throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        // An archive of the sources is no repository.
        guard FileManager.default.fileExists(atPath: root.appending(path: ".git").path) else { return }
        let end = try mmdiff("fixture", "verify", "--tolerant", "--jobs", "1", "--store", root.path)
        #expect(end.status == 0, "\(end.output)\(end.errors)")
    }

    // MARK: Expectations

    @Test func whatIsNotAsExpectedIsToldLineByLine() throws {
        let folder = try FixtureFolder()
        try folder.makeStore("store")
        let name = try folder.record("store")
        let file = "store/Fixtures/\(name).trace"
        try folder.write(file, try folder.read(file).replacing("breaks held-at-return", with: "breaks refcount"))
        let end = try folder.fixture("store", "verify")
        #expect(end.status == 1)
        #expect(
            end.output == """
                deviates \(name)
                         page_mlock.merged: - breaks refcount
                         page_mlock.merged: + breaks held-at-return
                1 fixture, 1 deviating

                """)
        #expect(try folder.fixture("store", "verify", "--at", "HEAD").status == 0)
        #expect(
            try folder.fixture("store", "verify", "--ktap").output == """
                KTAP version 1
                1..1
                  KTAP version 1
                  1..1
                  # page_mlock.merged: - breaks refcount
                  # page_mlock.merged: + breaks held-at-return
                  not ok 1 \(name)
                not ok 1 munlock-split

                """)
    }

    /// Makes the committed fixture expect something that is not so.
    private func spoil(_ folder: FixtureFolder, _ store: String, _ name: String) throws {
        let file = "\(store)/Fixtures/\(name).trace"
        try folder.write(file, try folder.read(file).replacing("breaks held-at-return", with: "breaks refcount"))
        try folder.git(store, "commit", "-qam", "spoil")
    }

    @Test func aNewOutcomeIsAcceptedWithAReason() throws {
        let folder = try FixtureFolder()
        try folder.makeStore("store")
        let name = try folder.record("store")
        try spoil(folder, "store", name)
        let end = try folder.fixture("store", "expect", name, "--reason", "The lock is held after all.")
        #expect(end.status == 0, "\(end.errors)")
        #expect(try folder.fixture("store", "verify").status == 0)
        let message = try folder.git("store", "log", "-1", "--format=%B")
        #expect(message.contains("fixture: expect \(name)\n\nThe lock is held after all.\n"))
        #expect(message.contains("page_mlock.merged: - breaks refcount\n"))
        #expect(try folder.git("store", "status", "--porcelain") == "")
        #expect(try folder.fixture("store", "expect", name, "--reason", "Again.").output == "nothing has changed\n")

        let log = try folder.fixture("store", "log", name).output.split(separator: "\n").filter { $0.first != " " }
        #expect(log.count == 3)
        #expect(log[0].hasSuffix("changed: fixture: expect \(name)") && log[2].hasSuffix("recorded: fixture: \(name)"))
        let diff = try folder.fixture("store", "diff", "HEAD~2", "HEAD~1")
        #expect(diff.status == 1)
        #expect(
            diff.output == """
                changed \(name)
                  page_mlock.merged: - breaks held-at-return
                  page_mlock.merged: + breaks refcount

                """)
        #expect(try folder.fixture("store", "diff", "HEAD~2", "HEAD").status == 0)
        #expect(try folder.fixture("store", "verify", "--since", "HEAD~1").output.contains("1 fixture"))
        #expect(try folder.fixture("store", "verify", "--since", "HEAD").output == "0 fixtures\n")
    }

    @Test func unfinishedWorkIsNotOverwritten() throws {
        let folder = try FixtureFolder()
        try folder.makeStore("store")
        let name = try folder.record("store")
        try spoil(folder, "store", name)
        let file = "store/Fixtures/\(name).trace"
        let mine = try folder.read(file).replacing("It is held.", with: "It is mine.")
        try folder.write(file, mine)
        let head = try folder.git("store", "rev-parse", "HEAD")
        let end = try folder.fixture("store", "expect", name, "--reason", "x")
        #expect(end.status == 2)
        #expect(end.errors == "mmdiff: Fixtures/\(name).trace has changes that are not committed\n")
        #expect(try folder.read(file) == mine)
        #expect(try folder.git("store", "rev-parse", "HEAD") == head)
        #expect(!folder.exists("store/.git/index.lock"))
    }

    @Test func aScheduleWhosePlacesHaveMovedIsRealigned() throws {
        let folder = try FixtureFolder()
        try folder.makeStore("store")
        let name = try folder.record("store")
        // As if map_pte:pte had been called otherwise when it was recorded: the name is then another one, too.
        let old = try folder.read("store/Fixtures/\(name).trace").replacing(
            "map_pte:pte #1", with: "map_pte:old_pte #1")
        try folder.git("store", "rm", "-q", "Fixtures/\(name).trace")
        let probe = try folder.write("store/Fixtures/munlock-split/moved-000000000000.trace", old)
        let told = try folder.fixture("store", "verify").output
        let marker = "its content is that of "
        let newName = try #require(
            told.split(separator: "\n").first { $0.contains(marker) }?.components(separatedBy: marker)[1])
        try FileManager.default.removeItem(atPath: probe)
        try folder.write("store/Fixtures/\(newName).trace", old)
        try folder.git("store", "add", "Fixtures")
        try folder.git("store", "commit", "-qm", "old names")

        let strict = try folder.fixture("store", "verify")
        #expect(strict.status == 1)
        #expect(
            strict.output.contains(
                "page_mlock.merged: the schedule has a decision that is not taken: t1 op 0 map_pte:old_pte #1 -> t0"))
        let tolerant = try folder.fixture("store", "verify", "--tolerant")
        #expect(tolerant.status == 0, "\(tolerant.output)")
        #expect(
            tolerant.output.contains(
                "the schedule has drifted: t1 op 0 map_pte:old_pte #1 -> t0, now t1 op 0 map_pte:pte #1 -> t0"))

        let accepted = try folder.fixture("store", "expect", "--all", "--reason", "The label has a new name.")
        #expect(accepted.status == 0, "\(accepted.errors)")
        #expect(try folder.git("store", "ls-files") == "Fixtures/\(name).trace\n")
        #expect(try folder.fixture("store", "verify").output == "ok       \(name)\n1 fixture, 1 ok\n")
        let log = try folder.fixture("store", "log", name).output
        #expect(log.contains("renamed: fixture: expect \(newName)") && log.contains("  now \(name)"))
        #expect(
            try folder.fixture("store", "diff", "HEAD~1", "HEAD").output.hasPrefix("renamed \(newName) -> \(name)\n"))
    }

    @Test func whatTellsNothingApartIsPruned() throws {
        let folder = try FixtureFolder()
        try folder.makeStore("store")
        let name = try folder.record("store")
        #expect(try folder.fixture("store", "prune").output == "every fixture tells variants apart\n")
        // Without the switch in the middle, all variants do the same.
        let quiet = heldTrace.replacing("  t1 op 0 map_pte:pte #1 -> t0\n", with: "").replacing(
            "start t1", with: "start t0"
        )
        .replacing("  t0 op 1 task:end #1 => t1\n", with: "")
        let file = try folder.write("quiet.trace", quiet)
        #expect(try folder.fixture("store", "record", file, "--pair", heldPair).status == 2)
        #expect(try folder.fixture("store", "record", file, "--pair", heldPair, "--verdict", "expected").status == 0)
        #expect(try folder.fixture("store", "prune", "--dry-run").output.hasPrefix("would remove munlock-split/same-"))
        #expect(try folder.fixture("store", "prune").output.hasPrefix("removed munlock-split/same-"))
        #expect(try folder.git("store", "ls-tree", "-r", "--name-only", "HEAD") == "Fixtures/\(name).trace\n")
        #expect(try folder.git("store", "status", "--porcelain") == "")
    }

    @Test func bisectFindsWhatGitBisectFinds() throws {
        let folder = try FixtureFolder()
        try folder.makeStore("store")
        let name = try folder.record("store")
        let file = "Fixtures/\(name).trace"
        let first = try folder.git("store", "rev-parse", "HEAD").trimmingCharacters(in: .newlines)
        for number in 0..<11 {
            if number == 6 { try spoil(folder, "store", name) }
            // A branch that is merged makes it more than a line.
            if number == 3 {
                try folder.git("store", "checkout", "-q", "-b", "side", first)
                try folder.git("store", "commit", "-q", "--allow-empty", "-m", "aside")
                try folder.git("store", "checkout", "-q", "main")
                try folder.git("store", "merge", "-q", "--no-edit", "side")
            }
            try folder.git("store", "commit", "-q", "--allow-empty", "-m", "number \(number)")
        }
        let end = try folder.fixture("store", "bisect", name, "--good", first)
        #expect(end.status == 0, "\(end.errors)")
        try folder.git("store", "bisect", "start", "HEAD", first)
        try folder.git("store", "bisect", "run", "grep", "-q", "breaks held-at-return", file)
        let found = try folder.git("store", "rev-parse", "refs/bisect/bad").trimmingCharacters(in: .newlines)
        #expect(end.output.hasPrefix("\(found) is the first one\n"))
        #expect(
            end.output.contains(
                "  page_mlock.merged: - breaks held-at-return\n  page_mlock.merged: + breaks refcount\n"))
        // The object database is all that it takes.
        try folder.git("store", "clone", "-q", "--bare", ".", "../bare")
        #expect(try folder.fixture("bare", "bisect", name, "--good", first, "--bad", "main").output == end.output)
        #expect(
            try folder.fixture("bare", "log", name, "--at", "main").output
                == folder.fixture("store", "log", name, "--at", "main").output)
        // Nothing is recorded while somebody bisects.
        let busy = try folder.fixture("store", "record", folder.write("b.trace", heldTrace(1)), "--pair", heldPair)
        #expect(
            busy.status == 2 && busy.errors.contains("a bisection is under way")
                || busy.errors.contains("HEAD is detached"))
    }
}
