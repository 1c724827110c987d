// SPDX-License-Identifier: GPL-2.0-only
// Logs of strace as traces.

import Foundation
import KernelModel
import Testing
import Traces

func input(_ name: String) throws -> [UInt8] {
    Array(try Data(contentsOf: URL(filePath: #filePath).deletingLastPathComponent().appending(path: name)))
}

func importLog(_ log: String) throws -> StraceImport {
    try StraceImport(Array(log.utf8), file: "test.strace", vocabulary: vocabulary)
}

/// What an imported trace does, without its head and its remarks.
func steps(_ log: String) throws -> String {
    let trace = try importLog(log).trace
    let text = trace.description
    #expect(try parse(text) == trace)
    return text.split(separator: "\n").filter { !$0.hasPrefix("#") && !$0.hasPrefix("mmdiff") && !$0.hasPrefix("era") }
        .map { line in line.firstRange(of: "  #").map { String(line[..<$0.lowerBound]) } ?? String(line) }
        .joined(separator: "\n")
}

@Suite struct StraceTests {
    @Test func aRealProgram() throws {
        let imported = try StraceImport(
            try input("Inputs/memlockd.strace"), file: "memlockd.strace", vocabulary: vocabulary)
        let trace = imported.trace
        #expect(try parse(trace.description) == trace)
        #expect(trace.tasks.map(\.performer) == [.process(0), .process(1), .process(2), .process(3)])
        let locks = trace.tasks[0].steps.count { $0.operation.name == "mlock" }
        #expect(locks == 13)
        #expect(trace.tasks[0].steps.count { $0.operation.name == "fork" } == 3)
        #expect(trace.tasks[0].steps.filter { $0.operation.name == "munmap" }.count == 2)
        #expect(
            imported.summary == [
                "Imported from memlockd.strace: 524 lines, 429 calls, 36 processes and threads.",
                "Scaled: 1713 pages of addresses onto 56, in their order; 1 to 63 pages become 1, and one more for "
                    + "each factor of 64. A huge page is 8 pages.",
                "18 files onto 4, so some share one.",
                "Reads and writes stand for the accesses that strace does not see: one to each new mapping, and one "
                    + "of parent and child after a fork.",
                "Left out: 32 processes and threads that did less or nothing here (30437, 30438, 30440, 30444, 30445, "
                    + "30446, 30450, 30455, ...), with 163 calls.",
                "Left out: 49 mappings that nothing happens to but being made.",
                "Left out, since nothing here stands for it: 8 wait4.",
                "Left out, since it failed: 3 wait4.",
                "Flags left out: MAP_DENYWRITE.",
            ])
    }

    /// The traces in Fixtures/recorded are what the logs in Inputs give, by these commands.
    static let recorded = [
        Recorded("memlockd", "v5.13"), Recorded("redis", "v5.13", 128...150), Recorded("zgc", "v5.13", 463...484),
        Recorded("qemu", "v5.13", 478...503), Recorded("qemu-postcopy", "v5.18-rc1", 338...380, log: "qemu"),
    ]

    struct Recorded: CustomTestStringConvertible {
        var name: String
        var log: String
        var era: String
        var lines: ClosedRange<Int>

        init(_ name: String, _ era: String, _ lines: ClosedRange<Int> = 1...Int.max, log: String? = nil) {
            (self.name, self.era, self.lines, self.log) = (name, era, lines, log ?? name)
        }

        var testDescription: String { name }
    }

    @Test(arguments: recorded) func recordedTraces(_ recorded: Recorded) throws {
        let era = try #require(Vocabulary.all.first { $0.era == recorded.era })
        let path = "Inputs/\(recorded.log).strace"
        let imported = try StraceImport(
            try input(path), file: "Tests/TracesTests/" + path, vocabulary: era, lines: recorded.lines)
        let fixture = "../../Fixtures/recorded/\(recorded.name).trace"
        // To take what is imported now for what is expected, after reading it.
        if let folder = ProcessInfo.processInfo.environment["MMDIFF_RECORD"] {
            try imported.trace.description.write(
                to: URL(filePath: folder).appending(path: "\(recorded.name).trace"), atomically: true, encoding: .utf8)
        }
        #expect(imported.trace.description == String(decoding: try input(fixture), as: UTF8.self))
        #expect(
            try Trace(parsing: imported.trace.description, file: "imported", eras: Vocabulary.all) == imported.trace)
    }

    /// With the model's own operations it can be read, too.
    @Test(arguments: Vocabulary.all) func aRealProgramInEachEra(_ era: Vocabulary) throws {
        let imported = try StraceImport(try input("Inputs/memlockd.strace"), file: "memlockd.strace", vocabulary: era)
        let text = imported.trace.description
        #expect(try Trace(parsing: text, file: "imported", eras: Vocabulary.all) == imported.trace)
        _ = try CompiledTrace(imported.trace, era)
    }

    /// Where a program maps and where it locks keep their order and overlap as they did.
    @Test func rangesKeepTheirOrder() throws {
        #expect(
            try steps(
                """
                mmap(NULL, 1048576, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000100000
                mmap(NULL, 8192, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000080000
                mlock(0x7f0000140000, 4097) = 0
                munlock(0x7f0000100010, 1048000) = 0
                munlock(0x7f0000300000, 4096) = -1 ENOMEM (Cannot allocate memory)
                mlock(0x7f0000100000, 18446744073709551615) = -1 EINVAL (Invalid argument)
                """) == """
                    machine cpus=1 nodes=1 pages=64 ptes=8 pmds=4 swap=8 pagevec=15
                    setup
                      p0 mmap(0xa000, 0x5000, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS, -, 0)
                      p0 write(0xa000)
                      p0 mmap(0x8000, 0x1000, PROT_READ, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS, -, 0)
                      p0 read(0x8000)
                    task t0 p0 cpu=0
                      mlock(0xc000, 0x1000)
                      munlock(0xa000, 0x5000)
                      munlock(0x10000, 0x1000)
                      mlock(0xa000, 0xffffffffffffffff)
                    """)
    }

    @Test func heapAndMovesAndProgramsOfTheirOwn() throws {
        #expect(
            try steps(
                """
                10 brk(NULL) = 0x5000000
                10 brk(0x5004000) = 0x5004000
                10 mlock(0x5001000, 4096) = 0
                10 brk(0x5002000) = 0x5002000
                10 mremap(0x5000000, 4096, 8192, MREMAP_MAYMOVE) = 0x6000000
                10 vfork() = 11
                11 execve("/bin/x", ["x", "a, b)"], 0x7fff /* 3 vars */) = 0
                11 mmap(NULL, 4096, PROT_READ, MAP_SHARED, 3, 0) = 0x7f0000000000
                11 exit_group(0) = ?
                """) == """
                    machine cpus=2 nodes=1 pages=64 ptes=8 pmds=4 swap=8 pagevec=15
                    file f0 disk pages=1
                    setup
                      p0 mmap(0x8000, 0x3000, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS, -, 0)
                      p0 write(0x8000)
                    task t0 p0 cpu=0
                      mlock(0x9000, 0x1000)
                      munmap(0xa000, 0x1000)
                      mremap(0x8000, 0x1000, 0x2000, MREMAP_MAYMOVE|MREMAP_FIXED, 0xc000)
                      fork(p1)
                    task t1 p1 cpu=1
                      munmap(0x8000, 0x18000)
                      mmap(0x8000, 0x1000, PROT_READ, MAP_SHARED|MAP_FIXED, f0, 0)
                      read(0x8000)
                      exit()
                    """)
    }

    /// Threads are tasks of one process; memory that a fork shares is at the same addresses in both.
    @Test func threadsAndSharedMemory() throws {
        #expect(
            try steps(
                """
                1 mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS, -1, 0) = 0x7000000
                1 clone3({flags=CLONE_VM|CLONE_FS|CLONE_THREAD, child_tid=0x1}, 88) = 2
                1 clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLD, child_tidptr=0x7) = 3
                2 mlock(0x7000000, 4096) = 0
                3 munlock(0x7000000, 8192) = 0
                1 madvise(0x7001000, 4096, MADV_DONTNEED) = 0
                1 madvise(0x7001000, 4096, MADV_SOFT_OFFLINE) = 0
                """) == """
                    machine cpus=2 nodes=1 pages=64 ptes=8 pmds=4 swap=8 pagevec=15
                    file f0 shmem pages=2
                    setup
                      p0 mmap(0x8000, 0x2000, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_FIXED, f0, 0)
                      p0 write(0x8000)
                    task t0 p0 cpu=0
                      fork(p1)
                      madvise(0x9000, 0x1000, MADV_DONTNEED)
                    task t1 p0 cpu=1
                      mlock(0x8000, 0x1000)
                    task t2 p1 cpu=0
                      munlock(0x8000, 0x2000)
                    """)
    }

    static let forms = [
        "mlock(0x7000000, 4096) = 0",
        "mlock(0x7000000, 4096)                  = 0",
        "7 mlock(0x7000000, 4096) = 0",
        "1234567  mlock(0x7000000, 4096) = 0 <0.000012>",
        "[pid     7] mlock(0x7000000, 4096) = 0",
        "10:20:30 mlock(0x7000000, 4096) = 0",
        "7 10:20:30.123456 mlock(0x7000000, 4096) = 0",
        "7 1700000000.123456 mlock(0x7000000, 4096) = 0",
        "     0.000000 mlock(0x7000000, 4096) = 0",
        "[pid 7] 10:20:30.1 (+     0.000012) mlock(0x7000000, 4096) = 0",
        "7 mlock(0x7000000 <unfinished ...>\n7 <... mlock resumed>, 4096) = 0",
        "7 mlock( <unfinished ...>\n8 getpid() = 8\n7 <... mlock resumed>0x7000000, 4096)  = 0",
        "7 mlock(0x7000000, 4096 <unfinished ...>\n7 <... mlock resumed>)  = 0",
        "mlock(0x7000000, 4096strace: Process 9 attached\n) = 0",
        "mlock(0x7000000, strace: Process 9 attached\n <unfinished ...>\n[pid 9] getpid() = 9\n"
            + "[pid 7] <... mlock resumed>4096) = 0",
        "strace: Process 7 attached\nmlock(0x7000000, 4096) = 0\n--- SIGHUP {si_signo=SIGHUP} ---\n"
            + "strace: Process 7 detached\n+++ exited with 0 +++\n",
        "open(\"a\\\"b, c)\", O_RDONLY) = 3</tmp/x>\nmlock(0x7000000, 4096) = 0\nselect(1, [0], NULL) = ? ERESTARTNOHAND",
        "write(3<TCP:[1.2.3.4:5->6.7.8.9:0]>, \"x\", 1<<2) = 1\r\nmlock(0x7000000, 4096) = 0\r\n\r\n",
    ]

    @Test(arguments: forms) func lines(_ log: String) throws {
        let found = try steps(log)
        #expect(
            found.hasSuffix(
                """
                setup
                  p0 mmap(0x8000, 0x1000, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS, -, 0)
                  p0 write(0x8000)
                task t0 p0 cpu=0
                  mlock(0x8000, 0x1000)
                """))
    }

    /// Names of files, where strace was asked for them, tell which mappings are of one file.
    @Test func namedFiles() throws {
        let imported = try importLog(
            """
            mmap(NULL, 4096, PROT_READ, MAP_SHARED, 3</etc/passwd>, 0) = 0x7000000
            mmap(NULL, 4096, PROT_READ, MAP_SHARED, 3</dev/shm/a>, 0) = 0x7001000
            mmap(NULL, 4096, PROT_READ, MAP_SHARED, 4</etc/passwd>, 0x1000) = 0x7002000
            mlock(0x7002000, 4096) = 0
            pwrite64(3</dev/shm/a>, "x", 1, 0) = 1
            """)
        #expect(imported.trace.machine.files == [.init(kind: .disk, size: 2), .init(kind: .shmem, size: 1)])
        #expect(imported.summary.contains("2 files onto 2: f0 is /etc/passwd and f1 is /dev/shm/a."))
    }

    @Test func whatDoesNotFitIsLeftOutAndSaid() throws {
        var log = "1 mmap(NULL, 4096, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7000000\n"
        for _ in 0..<70 { log += "1 mlock(0x7000000, 4096) = 0\n" }
        for child in 2..<20 { log += "1 fork() = \(child)\n\(child) munlock(0x7000000, 4096) = 0\n" }
        let imported = try importLog(log)
        #expect(imported.trace.tasks.count == 4)
        #expect(imported.trace.tasks[0].steps.count == 64)
        #expect(imported.trace.tasks[0].steps.count { $0.operation.name == "fork" } == 3)
        #expect(imported.summary.contains("Left out: the last 9 calls of t0, which has more than 64 steps."))
        #expect(try parse(imported.trace.description) == imported.trace)
    }

    /// More ranges than the model has pages: in the end several share one.
    @Test func manyRanges() throws {
        var log = ""
        for number in 0..<500 {
            log +=
                "1 fork() = \(number % 5 + 2)\n"
                + "\(number % 5 + 2) mlock(0x\(String(0x7000 + 3 * number, radix: 16))000, 4096) = 0\n"
        }
        let trace = try importLog(log).trace
        #expect(try parse(trace.description) == trace)
        #expect(trace.machine.ptrsPerPte * trace.machine.ptrsPerPmd == 128)
    }
}
