// SPDX-License-Identifier: GPL-2.0-only
import Foundation
import Testing

/// Repositories in all states, hostile ones too: one clear line, and nothing is changed.
@Suite struct FixtureSafetyTests {
    private func store(_ folder: FixtureFolder) throws -> String {
        try folder.makeStore("store")
        return try folder.record("store")
    }

    /// Expects that recording is refused in one line that contains `words`, and that nothing changes.
    private func expectRefusal(_ folder: FixtureFolder, _ words: String, _ location: SourceLocation = #_sourceLocation)
        throws
    {
        let head = try folder.git("store", "rev-parse", "HEAD", status: nil)
        let status = try folder.git("store", "status", "--porcelain", status: nil)
        let end = try folder.fixture("store", "record", folder.write("more.trace", heldTrace(3)), "--pair", heldPair)
        #expect(end.status == 2, "\(end.errors)", sourceLocation: location)
        #expect(
            end.errors.hasPrefix("mmdiff: ") && end.errors.contains(words), "\(end.errors)", sourceLocation: location)
        #expect(end.errors.split(separator: "\n").count == 1, "\(end.errors)", sourceLocation: location)
        #expect(try folder.git("store", "rev-parse", "HEAD", status: nil) == head, sourceLocation: location)
        #expect(try folder.git("store", "status", "--porcelain", status: nil) == status, sourceLocation: location)
        #expect(!folder.exists("store/.git/mmdiff/journal"), sourceLocation: location)
    }

    // MARK: States of a repository

    @Test func aDetachedHead() throws {
        let folder = try FixtureFolder()
        let name = try store(folder)
        try folder.git("store", "checkout", "-q", "--detach")
        try expectRefusal(folder, "HEAD is detached")
        #expect(try folder.fixture("store", "verify", name).status == 0)
    }

    @Test func theMiddleOfARebase() throws {
        let folder = try FixtureFolder()
        _ = try store(folder)
        try FileManager.default.createDirectory(
            atPath: folder.path + "/store/.git/rebase-merge", withIntermediateDirectories: true)
        try folder.write("store/.git/rebase-merge/interactive", "")
        try expectRefusal(folder, "a rebase is under way")
    }

    @Test func nobodyKnown() throws {
        let folder = try FixtureFolder(user: false)
        try folder.makeStore("store")
        try expectRefusal(folder, "git does not know who you are")
    }

    @Test func noRepository() throws {
        let folder = try FixtureFolder()
        try FileManager.default.createDirectory(atPath: folder.path + "/plain", withIntermediateDirectories: true)
        let end = try folder.fixture("plain", "list")
        #expect(end.status == 2 && end.errors.hasSuffix("/plain: in no git repository\n"), "\(end.errors)")
        try folder.git("plain", "init", "-q")
        #expect(try folder.fixture("plain", "list").errors.contains("no folder Fixtures in this repository"))
        #expect(try mmdiff("fixture", "init", folder.path + "/plain").status == 2)
    }

    @Test func noFixtureAtAll() throws {
        let folder = try FixtureFolder()
        try folder.makeStore("store")
        #expect(try folder.fixture("store", "verify").status == 125)
        #expect(try folder.fixture("store", "verify", "no-such").errors == "mmdiff: no fixture no-such\n")
        #expect(try folder.fixture("store", "list").status == 0)
        #expect(try folder.fixture("store", "list", "--at", "v1").errors == "mmdiff: no revision v1\n")
        #expect(try folder.fixture("store", "log", "no-such").status == 2)
    }

    @Test func lockFilesOfOthersAreWaitedForAndNamed() throws {
        let folder = try FixtureFolder()
        _ = try store(folder)
        try folder.write("store/.git/index.lock", "")
        try expectRefusal(folder, "index.lock: another program holds it")
        #expect(folder.exists("store/.git/index.lock"))
    }

    /// A journal says that somebody died; what a process that lives has open is not theirs.
    @Test func whatALivingProcessHasOpenIsLeftAlone() throws {
        let folder = try FixtureFolder()
        _ = try store(folder)
        let head = try folder.git("store", "rev-parse", "HEAD")
        let living = "store/.git/objects/pack/pack_git2_living"
        let dead = ["store/.git/objects/pack/pack_git2_dead", "store/.git/refs/heads/main.lock"]
        let journal = "turn of 1\nreference refs/heads/main \(head)"
        for file in dead + [living] { try folder.write(file, "") }
        try folder.write("store/.git/mmdiff/journal", journal)
        let handle = try #require(FileHandle(forWritingAtPath: "\(folder.path)/\(living)"))
        try folder.record("store", heldTrace(1))
        #expect(folder.exists(living))
        for file in dead { #expect(!folder.exists(file), "\(file)") }
        try handle.close()
        try folder.write("store/.git/mmdiff/journal", journal)
        try folder.record("store", heldTrace(2))
        #expect(!folder.exists(living))
        try folder.checkStrictly("store")
    }

    /// Lock files and temporary files that no journal tells of are somebody else's.
    @Test func withoutAJournalNothingIsCleared() throws {
        let folder = try FixtureFolder()
        _ = try store(folder)
        let foreign = "store/.git/objects/pack/pack_git2_foreign"
        try folder.write(foreign, "")
        try folder.record("store", heldTrace(1))
        #expect(folder.exists(foreign))
    }

    // MARK: Flushing

    static let straceWorks =
        (try? runProgram("/usr/bin/env", ["strace", "-qq", "-o", "/dev/null", "true"], [:]).status) == 0

    /// What a reference is to point to is on the disk before the reference is.
    @Test(.enabled(if: straceWorks, "needs strace")) func everythingIsFlushedInOrder() throws {
        let folder = try FixtureFolder()
        _ = try store(folder)
        let log = folder.path + "/calls"
        let calls = "fsync,fdatasync,rename,renameat,renameat2,link"
        let trace = try folder.write("m.trace", heldTrace(1))
        let end = try runProgram(
            "/usr/bin/env",
            [
                "strace", "-f", "-y", "-e", "trace=\(calls)", "-o", log, program.path, "fixture", "record", trace,
                "--pair", heldPair, "--store", folder.path + "/store",
            ], folder.environment)
        try #require(end.status == 0, "\(end.errors)")
        let lines = try folder.read("calls").split(separator: "\n").map(String.init)
        func last(_ condition: (String) -> Bool) -> Int { lines.lastIndex(where: condition) ?? -1 }
        let moved = last { $0.contains("rename") && $0.contains("refs/heads/main.lock") }
        let objects = last { $0.contains("sync(") && $0.contains(".git/objects/") }
        let reference = last { $0.contains("sync(") && $0.contains("refs/heads/main.lock") }
        let file = last { $0.contains("sync(") && $0.contains(".mmdiff-new") }
        #expect(moved >= 0 && objects >= 0 && reference >= 0 && file >= 0, "\(lines.joined(separator: "\n"))")
        #expect(objects < moved && reference < moved && file < moved)
    }

    // MARK: Contents

    @Test func filesThatAreNoFixtures() throws {
        let folder = try FixtureFolder()
        let name = try store(folder)
        let good = try folder.read("store/Fixtures/\(name).trace")
        try folder.write(
            "store/Fixtures/munlock-split/large-000000000001.trace", good + String(repeating: "#", count: 3 << 20))
        try folder.write("store/Fixtures/munlock-split/wrong-000000000002.trace", good)
        try folder.write(
            "store/Fixtures/munlock-split/bad-000000000003.trace",
            good.replacing("seed", with: "sed").replacing("family", with: "famly"))
        try folder.write("store/Fixtures/munlock-split/badly named.trace", good)
        try FileManager.default.createSymbolicLink(
            atPath: folder.path + "/store/Fixtures/munlock-split/link-000000000004.trace",
            withDestinationPath: "/etc/passwd")
        let end = try folder.fixture("store", "verify")
        #expect(end.status == 2)
        for words in [
            "ok       \(name)\n", "at most 2097152 are read", "its content is that of \(name)",
            "bad-000000000003.trace:3:1: error: found 'famly munlock-split'; expected 'family ...'",
            "broken   munlock-split/badly named.trace: no name of a fixture", "link-000000000004.trace: a link",
            "6 fixtures, 1 ok, 5 broken",
        ] { #expect(end.output.contains(words), "\(words) in \(end.output)") }
        // The same from the object database.
        try folder.git("store", "add", "Fixtures")
        try folder.git("store", "commit", "-qm", "bad")
        let old = try folder.fixture("store", "verify", "--at", "HEAD")
        #expect(old.status == 2)
        #expect(
            old.output.contains("munlock-split/link-000000000004.trace: no file")
                && old.output.contains("6 fixtures, 1 ok, 5 broken"), "\(old.output)")
    }

    @Test func foldersThatAreLinks() throws {
        let folder = try FixtureFolder()
        try folder.makeStore("store")
        try FileManager.default.createDirectory(atPath: folder.path + "/elsewhere", withIntermediateDirectories: true)
        try FileManager.default.createSymbolicLink(
            atPath: folder.path + "/store/Fixtures/munlock-split", withDestinationPath: folder.path + "/elsewhere")
        let end = try folder.fixture("store", "record", folder.write("x.trace", heldTrace), "--pair", heldPair)
        #expect(end.status == 2 && end.errors.contains("a link or no folder"), "\(end.errors)")
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path + "/elsewhere").isEmpty)
        #expect(try folder.git("store", "rev-parse", "-q", "--verify", "HEAD", status: nil) == "")
    }

    /// Trees that git would not make: names that climb out of the folder.
    @Test(arguments: ["..", ".git", "a b", "link"]) func treesOfOthers(_ name: String) throws {
        let folder = try FixtureFolder()
        _ = try store(folder)
        let blob = try folder.git("store", "hash-object", "-w", "--stdin").trimmingCharacters(in: .newlines)
        func tree(_ entry: String) throws -> String {
            let file = try folder.write("entry", entry + "\n")
            return try runProgram(
                "/bin/sh", ["-c", "git -C '\(folder.path)/store' mktree < '\(file)'"], folder.environment
            ).output.trimmingCharacters(in: .newlines)
        }
        let family = try tree(
            name == "link" ? "120000 blob \(blob)\tlink-0123456789ab.trace" : "100644 blob \(blob)\t\(name)")
        let fixtures = try tree("040000 tree \(family)\t\(name == ".." ? ".." : "munlock-split")")
        let root = try tree("040000 tree \(fixtures)\tFixtures")
        let commit = try folder.git("store", "commit-tree", root, "-m", "evil").trimmingCharacters(in: .newlines)
        let head = try folder.git("store", "rev-parse", "HEAD")
        let end = try folder.fixture("store", "merge", commit)
        #expect(end.status == 2, "\(end.output)")
        #expect(end.errors.split(separator: "\n").count == 1, "\(end.errors)")
        #expect(try folder.git("store", "rev-parse", "HEAD") == head)
        #expect(try folder.git("store", "status", "--porcelain") == "")
    }

    private func object(_ id: String) -> String {
        "store/.git/objects/\(id.prefix(2))/\(id.dropFirst(2).trimmingCharacters(in: .newlines))"
    }

    /// - Parameter sound: with a sound object in its place, which is only not the one that it should be.
    @Test(arguments: [false, true]) func objectsThatAreDamaged(_ sound: Bool) throws {
        let folder = try FixtureFolder()
        let name = try store(folder)
        let file = "Fixtures/\(name).trace"
        let damaged = folder.path + "/" + object(try folder.git("store", "rev-parse", "HEAD:" + file))
        let other = try folder.read("store/" + file).replacing("It is held.", with: "It is said.")
        let otherID = try folder.git("store", "hash-object", "-w", folder.write("other", other))
        unlink(damaged)
        if sound {
            try FileManager.default.copyItem(atPath: folder.path + "/" + object(otherID), toPath: damaged)
        } else {
            try "garbage".write(toFile: damaged, atomically: false, encoding: .utf8)
        }
        let end = try folder.fixture("store", "verify", "--at", "HEAD")
        #expect(end.status == 2)
        #expect(end.output.hasPrefix("broken   \(name)\n         cannot read \(name).trace: "), "\(end.output)")
        // What is in the working tree is as good as ever.
        #expect(try folder.fixture("store", "verify").status == 0)
    }

    @Test func aPackThatIsTruncated() throws {
        let folder = try FixtureFolder()
        _ = try store(folder)
        try folder.git("store", "repack", "-qad")
        let packs = folder.path + "/store/.git/objects/pack"
        let pack = try #require(
            try FileManager.default.contentsOfDirectory(atPath: packs).first { $0.hasSuffix(".pack") })
        chmod("\(packs)/\(pack)", 0o644)
        truncate("\(packs)/\(pack)", 60)
        for arguments in [
            ["verify", "--at", "HEAD"], ["record", try folder.write("m.trace", heldTrace(1)), "--pair", heldPair],
        ] {
            let end = try mmdiff(
                ["fixture"] + arguments + ["--store", folder.path + "/store"], environment: folder.environment)
            #expect(end.status == 2)
            #expect(end.errors.split(separator: "\n").count == 1, "\(end.errors)")
        }
    }

    // MARK: Programs

    @Test func nothingThatARepositoryNamesIsRun() throws {
        let folder = try FixtureFolder()
        try folder.makeStore("store")
        try folder.makeStore("hub", bare: true)
        let marker = folder.path + "/was-run"
        let script = try folder.write("script", "#!/bin/sh\ntouch '\(marker)'\nexit 1\n")
        chmod(script, 0o755)
        for (repository, hooks) in [("store", ".git/hooks"), ("hub", "hooks")] {
            for hook in [
                "pre-commit", "post-commit", "commit-msg", "reference-transaction", "pre-push", "pre-receive", "update",
                "post-receive", "post-update", "post-merge", "post-checkout", "post-index-change", "fsmonitor-watchman",
            ] {
                try folder.write("\(repository)/\(hooks)/\(hook)", "#!/bin/sh\ntouch '\(marker)'\nexit 1\n")
                chmod("\(folder.path)/\(repository)/\(hooks)/\(hook)", 0o755)
            }
            for key in [
                "core.fsmonitor", "core.sshCommand", "core.editor", "core.pager", "gpg.program", "credential.helper",
                "filter.evil.clean", "filter.evil.smudge", "filter.evil.process", "uploadpack.packObjectsHook",
                "diff.external", "diff.evil.textconv", "merge.evil.driver", "core.gitProxy",
                "core.alternateRefsCommand",
            ] { try folder.git(repository, "config", key, script) }
            try folder.git(repository, "config", "commit.gpgSign", "true")
        }
        try folder.write("store/.gitattributes", "* filter=evil diff=evil merge=evil\n")
        let name = try folder.record("store")
        for arguments in [
            ["push", folder.path + "/hub"], ["fetch", folder.path + "/hub"], ["merge", folder.path + "/hub"],
            ["log", name],
            ["verify"], ["prune"],
        ] {
            let end = try mmdiff(
                ["fixture"] + arguments + ["--store", folder.path + "/store"], environment: folder.environment)
            #expect(end.status == 0, "\(arguments): \(end.errors)")
        }
        #expect(!folder.exists("was-run"))
    }

    // MARK: Disks

    /// Runs a script with mounts of its own; nil where that is not allowed.
    private func withMounts(_ folder: FixtureFolder, _ script: String) throws -> Ended? {
        guard try runProgram("/usr/bin/env", ["unshare", "-m", "true"], [:]).status == 0 else { return nil }
        return try runProgram("/usr/bin/env", ["unshare", "-m", "sh", "-c", script], folder.environment)
    }

    @Test func aFolderThatCannotBeWritten() throws {
        let folder = try FixtureFolder()
        _ = try store(folder)
        let trace = try folder.write("m.trace", heldTrace(1))
        let store = folder.path + "/store"
        let record = "'\(program.path)' fixture record '\(trace)' --pair \(heldPair) --store '\(store)'"
        let mount = "mount --bind '\(store)' '\(store)' && mount -o remount,bind,ro '\(store)' && cd / || exit 77"
        guard let end = try withMounts(folder, "\(mount); \(record)"), end.status != 77 else { return }
        #expect(end.status == 2, "\(end.errors)")
        #expect(
            end.errors.hasSuffix("Read-only file system\n") && end.errors.split(separator: "\n").count == 1,
            "\(end.errors)")
        #expect(try folder.git("store", "rev-list", "--count", "HEAD") == "1\n")
    }

    @Test func aDiskThatIsFull() throws {
        let folder = try FixtureFolder()
        try FileManager.default.createDirectory(atPath: folder.path + "/disk", withIntermediateDirectories: true)
        let traces = try (0..<8).map { try folder.write("m\($0).trace", heldTrace($0)) }
        let disk = folder.path + "/disk"
        // One block after the other is freed, so that the disk fills up at another place each time.
        let script = """
            mount -t tmpfs -o size=512k tmpfs '\(disk)' || exit 77
            cp -r '\(folder.path)/.gitconfig' '\(disk)/'
            M='\(program.path)'; S='\(disk)/store'
            "$M" fixture init "$S" >/dev/null || exit 3
            "$M" fixture record '\(traces[0])' --pair \(heldPair) --store "$S" >/dev/null || exit 4
            failed=0; recorded=1
            for blocks in 0 1 2 3 4 5 6 7 8 9 10 12 14 16; do
                head -c 1000000 /dev/zero > '\(disk)/fill' 2>/dev/null
                size=$(stat -c %s '\(disk)/fill'); truncate -s $((size - blocks * 4096)) '\(disk)/fill'
                before=$(git -C "$S" rev-parse HEAD)
                if "$M" fixture record '\(traces[1])' --pair \(heldPair) --store "$S" >/dev/null 2>'\(folder.path)/said'; then
                    rm -f '\(disk)/fill'
                    for file in $(git -C "$S" ls-tree -r --name-only HEAD); do
                        git -C "$S" show "HEAD:$file" | cmp -s - "$S/$file" || exit 12
                    done
                    git -C "$S" reset -q --hard "$before"
                else
                    [ $? -eq 2 ] || exit 5
                    [ "$(wc -l < '\(folder.path)/said')" -eq 1 ] || exit 6
                    [ "$before" = "$(git -C "$S" rev-parse HEAD)" ] || exit 7
                    rm -f '\(disk)/fill'
                    [ -z "$(git -C "$S" status --porcelain)" ] || { git -C "$S" status; exit 8; }
                    failed=$((failed + 1))
                fi
                git -C "$S" fsck --strict >/dev/null 2>&1 || exit 9
            done
            "$M" fixture record '\(traces[2])' --pair \(heldPair) --store "$S" >/dev/null || exit 10
            [ $failed -gt 2 ] || exit 11
            """
        guard let end = try withMounts(folder, script), end.status != 77 else { return }
        #expect(end.status == 0, "\(end.output)\(end.errors)\((try? folder.read("said")) ?? "")")
    }
}
