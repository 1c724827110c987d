// SPDX-License-Identifier: GPL-2.0-only
// What becomes of each call in a log of strace.

import KernelModel
import Testing
import Traces

/// With the model's own operations.
private let model = Vocabulary(Era.v5_13)

/// What an imported log does after it has mapped eight pages at 0x7000000, which are at 0x8000, and what it says.
private func stepsOfModel(_ log: String, lines: ClosedRange<Int> = 1...Int.max) throws -> (
    steps: [String], said: [String]
) {
    let before = "1 mmap(NULL, 32768, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7000000\n"
    let imported = try StraceImport(
        Array((before + log).utf8), file: "test.strace", vocabulary: model, lines: lines)
    let text = imported.trace.description
    #expect(try Trace(parsing: text, file: "imported", eras: [model]) == imported.trace)
    _ = try CompiledTrace(imported.trace, model)
    let steps = text.split(separator: "\n").drop { !$0.hasPrefix("setup") }.map(String.init)
    let bare = steps.map { line in line.firstRange(of: "  #").map { String(line[..<$0.lowerBound]) } ?? line }
    return (bare.filter { !$0.hasPrefix("#") }, imported.summary)
}

@Suite struct StraceCallTests {
    /// Each line of a log and the step that it becomes; the arguments are of pages next to each other.
    static let calls = [
        ("madvise(0x7000000, 4096, MADV_PAGEOUT) = 0", "  madvise(0x8000, 0x1000, MADV_PAGEOUT)"),
        ("madvise(0x7000000, 4096, MADV_POPULATE_WRITE) = 0", "  write(0x8000)"),
        ("madvise(0x7000000, 4096, MADV_POPULATE_READ) = 0", "  read(0x8000)"),
        ("madvise(0x7000000, 4096, MADV_FREE) = -1 EINVAL (Invalid argument)", "  madvise(0x8000, 0x1000, MADV_FREE)"),
        ("pkey_mprotect(0x7000000, 4096, PROT_READ, -1) = 0", "  p0 mprotect(0x8000, 0x1000, PROT_READ)"),
        ("mlock2(0x7000000, 4096, MLOCK_ONFAULT) = 0", "  mlock2(0x8000, 0x1000, MLOCK_ONFAULT)"),
        ("msync(0x7000000, 4096, MS_SYNC) = 0", "  msync(0x8000, 0x1000, MS_SYNC)"),
        ("munlockall() = 0", "  munlockall()"),
        (
            "move_pages(0, 1, [0x7000000], [1], [1], MPOL_MF_MOVE) = 0",
            "  move_pages(0x8000, 0x1000, 1, MPOL_MF_MOVE)"
        ),
        (
            "mbind(0x7000000, 4096, MPOL_BIND, [0x00000000000002], 65, MPOL_MF_STRICT|MPOL_MF_MOVE_ALL) = 0",
            "  move_pages(0x8000, 0x1000, 1, MPOL_MF_MOVE_ALL)"
        ),
        (
            "io_uring_register(3, IORING_REGISTER_BUFFERS, [{iov_base=0x7000000, iov_len=4096}], 1) = 0",
            "  pin(0x8000, FOLL_WRITE|FOLL_LONGTERM)"
        ),
        (
            "pidfd_open(1, 0) = 4\n1 process_madvise(4, [{iov_base=0x7000000, iov_len=4096}], 1, MADV_COLD, 0) = 4096",
            "  madvise(0x8000, 0x1000, MADV_COLD)"
        ),
        (
            "mremap(0x7000000, 4096, 4096, MREMAP_MAYMOVE|MREMAP_FIXED, 0x9000000) = 0x9000000",
            "  mremap(0x8000, 0x1000, 0x1000, MREMAP_MAYMOVE|MREMAP_FIXED, 0xb000)"
        ),
    ]

    @Test(arguments: calls) func oneStep(_ call: String, _ step: String) throws {
        let (steps, _) = try stepsOfModel("1 \(call)\n")
        #expect(steps.last { !$0.hasPrefix("task") } == step)
    }

    /// Calls that become no step, and what is said of them.
    static let dropped = [
        ("madvise(0x7000000, 4096, MADV_MERGEABLE) = 0", "nothing here stands for it: 1 madvise(MADV_MERGEABLE)"),
        ("mmap(NULL, 99999, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = -1 ENOMEM (x)", "it failed: 1 mmap"),
        ("mlock(0x7000000, 4096) = ? ERESTARTSYS (To be restarted)", "the log has no result of it: 1 mlock"),
        ("pwrite64(9, \"x\", 1, 0) = 1", "the file is not mapped: 1 pwrite64"),
        (
            "mmap(NULL, 4096, PROT_READ, MAP_SHARED, 9<anon_inode:[io_uring]>, 0) = 0x9000000",
            "it maps a device: 1 mmap"
        ),
        ("move_pages(0, 1, 0x7ffe0000, 0x7ffe0100, 0x7ffe0200, 0) = 0", "show its arguments: 1 move_pages"),
        ("move_pages(7, 1, [0x7000000], [1], [1], 0) = 0", "another process's memory: 1 move_pages"),
        (
            "process_madvise(4, [{iov_base=0x7000000, iov_len=4096}], 1, MADV_COLD, 0) = 4096",
            "another process's memory: 1 process_madvise"
        ),
        ("shmat(7, NULL, 0) = 0x9000000", "strace did not show its arguments: 1 shmat"),
        ("ioctl(3, UFFDIO_WAKE, {start=0x7000000, len=4096}) = 0", "nothing here stands for it: 1 UFFDIO_WAKE"),
        ("ioctl(1, TCGETS, {c_iflag=ICRNL}) = 0", "nothing here stands for it: 1 ioctl"),
        ("set_mempolicy(MPOL_DEFAULT, NULL, 0) = 0", "nothing here stands for it: 1 set_mempolicy"),
    ]

    @Test(arguments: dropped) func noStep(_ call: String, _ said: String) throws {
        let (steps, sentences) = try stepsOfModel("1 \(call)\n")
        #expect(
            steps == [
                "setup", "  p0 mmap(0x8000, 0x1000, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS, -, 0)",
                "  p0 write(0x8000)", "task t0 p0 cpu=0",
            ])
        #expect(sentences.contains { $0.hasPrefix("Left out, since") && $0.contains(said) }, "\(sentences)")
    }

    /// Each request becomes its operation, with the modes that the model has.
    @Test func userfaultfd() throws {
        let era = Vocabulary(Era.v6_5)
        let imported = try StraceImport(
            Array(
                """
                mmap(NULL, 16384, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7000000
                userfaultfd(O_CLOEXEC) = 3<anon_inode:[userfaultfd]>
                ioctl(3, UFFDIO_API, {api=0xaa, features=0, features=0, ioctls=1<<_UFFDIO_REGISTER}) = 0
                ioctl(3, UFFDIO_REGISTER, {range={start=0x7000000, len=0x4000}, mode=UFFDIO_REGISTER_MODE_MISSING|\
                UFFDIO_REGISTER_MODE_WP, ioctls=1<<_UFFDIO_COPY}) = 0
                ioctl(3, UFFDIO_COPY, {dst=0x7000000, src=0x1, len=0x1000, mode=UFFDIO_COPY_MODE_WP, copy=0x1000}) = 0
                ioctl(3, UFFDIO_COPY, {dst=0x7000000, src=0x1, len=0x1000, mode=0, copy=-17}) = -1 EEXIST (File exists)
                ioctl(3, UFFDIO_ZEROPAGE, {range={start=0x7001000, len=0x1000}, mode=0, zeropage=0x1000}) = 0
                ioctl(3, UFFDIO_WRITEPROTECT, {range={start=0x7000000, len=0x2000}, mode=UFFDIO_WRITEPROTECT_MODE_WP}) = 0
                ioctl(3, UFFDIO_WRITEPROTECT, 0x7ffe0000) = 0
                ioctl(3, UFFDIO_WAKE, {start=0x7000000, len=0x1000}) = 0
                ioctl(3, UFFDIO_UNREGISTER, {start=0x7000000, len=0x4000}) = 0
                close(3<anon_inode:[userfaultfd]>) = 0
                """.utf8), file: "x", vocabulary: era)
        let steps = imported.trace.tasks[0].steps.map(\.description)
        #expect(
            steps == [
                "uffd_register(0x8000, 0x3000, MISSING|WP)", "uffd_copy(0x8000, 0x1000, WP)",
                "uffd_zeropage(0x9000, 0x1000, 0)", "uffd_writeprotect(0x8000, 0x2000, WP)",
                "uffd_wake(0x8000, 0x1000)",
                "uffd_unregister(0x8000, 0x3000)", "uffd_close()",
            ])
        #expect(imported.summary.contains("Left out, since it failed: 1 ioctl."))
        #expect(
            imported.summary.contains("Left out, since strace did not show its arguments: 1 UFFDIO_WRITEPROTECT."))
    }

    @Test func hugetlbIsSaid() throws {
        let imported = try StraceImport(
            Array(
                "mmap(NULL, 4194304, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS|MAP_HUGETLB|21<<MAP_HUGE_SHIFT, -1, 0) = 0x600000\n"
                    .utf8),
            file: "x", vocabulary: model)
        #expect(imported.summary.contains("Flags left out: MAP_HUGETLB and 21<<MAP_HUGE_SHIFT."))
        #expect(
            imported.trace.setup.steps[0].step.remarks.beside
                == "line 1, of huge pages there; the model has none of hugetlbfs")
    }

    /// A file in memory, mapped twice: what is cut in one place is cut in all.
    @Test func pagesOfAFileStayTogether() throws {
        let (steps, _) = try stepsOfModel(
            """
            1 mmap(NULL, 16384, PROT_READ, MAP_SHARED, 3</memfd:x>(deleted), 0) = 0x9000000
            1 mmap(NULL, 16384, PROT_READ, MAP_SHARED, 3</memfd:x>(deleted), 0) = 0xa000000
            1 munmap(0xa001000, 4096) = 0
            1 fallocate(3</memfd:x>(deleted), FALLOC_FL_KEEP_SIZE|FALLOC_FL_PUNCH_HOLE, 8192, 8192) = 0
            1 ftruncate(3</memfd:x>(deleted), 4096) = 0
            1 pwrite64(3</memfd:x>(deleted), "y", 1, 12288) = 1
            """)
        #expect(
            steps.suffix(8)
                == [
                    "  p0 mmap(0xa000, 0x4000, PROT_READ, MAP_SHARED|MAP_FIXED, f0, 0)", "  p0 read(0xa000)",
                    "  p0 mmap(0xf000, 0x4000, PROT_READ, MAP_SHARED|MAP_FIXED, f0, 0)", "  p0 read(0xf000)",
                    "  p0 munmap(0x10000, 0x1000)", "task t0 p0 cpu=0", "  fallocate_punch(f0, 2, 2)",
                    "  truncate(f0, 1)", "  file_write(f0, 3)",
                ].suffix(8))
    }

    @Test func systemVSharedMemory() throws {
        let (steps, _) = try stepsOfModel(
            """
            1 shmget(IPC_PRIVATE, 8192, IPC_CREAT|0600) = 5
            1 shmat(5, NULL, 0) = 0x9000000
            1 shmctl(5, SHM_LOCK, NULL) = 0
            1 shmctl(5, SHM_UNLOCK, NULL) = 0
            1 shmdt(0x9000000) = 0
            """)
        #expect(
            steps.suffix(6) == [
                "  p0 mmap(0xa000, 0x1000, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_FIXED, f0, 0)", "  p0 write(0xa000)",
                "task t0 p0 cpu=0", "  shm_lock(f0)", "  shm_unlock(f0)", "  munmap(0xa000, 0x1000)",
            ])
    }

    /// Two megabytes that can be a huge page there can be one here; advice comes before the first access.
    @Test func hugePagesKeepTheirPlace() throws {
        let (steps, said) = try stepsOfModel(
            """
            1 mmap(NULL, 4194304, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000100000
            1 madvise(0x7f0000100000, 4194304, MADV_HUGEPAGE) = 0
            1 madvise(0x7f0000208000, 4096, MADV_DONTNEED) = 0
            """)
        #expect(
            steps.suffix(5) == [
                "  p0 mmap(0xa000, 0x10000, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS, -, 0)",
                "  p0 madvise(0xa000, 0x10000, MADV_HUGEPAGE)", "  p0 write(0xa000)", "task t0 p0 cpu=0",
                "  madvise(0x11000, 0x1000, MADV_DONTNEED)",
            ])
        #expect(said[1].hasSuffix("of 1 range that the program wants huge pages for, 1 can have them as there."))
    }

    /// What can only be used later is used later, and parent and child go on to use what they have.
    @Test func accesses() throws {
        let (steps, _) = try stepsOfModel(
            """
            1 mmap(NULL, 8192, PROT_NONE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x9000000
            1 mprotect(0x9001000, 4096, PROT_READ|PROT_WRITE) = 0
            1 vfork() = 2
            2 munmap(0x9001000, 4096) = 0
            2 exit_group(0) = ?
            """)
        #expect(
            steps.suffix(8)
                == [
                    "  p0 mprotect(0xb000, 0x1000, PROT_READ|PROT_WRITE)", "  p0 write(0xb000)", "task t0 p0 cpu=0",
                    "  fork(p1)", "  write(0xb000)", "task t1 p1 cpu=1", "  write(0xb000)", "  munmap(0xb000, 0x1000)",
                    "  exit()",
                ].suffix(8))
    }

    /// A part of a log starts from what was there: mappings, locks and processes, but only what it meets.
    @Test func aPartOfALog() throws {
        let (steps, said) = try stepsOfModel(
            """
            1 mmap(NULL, 4096, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x9000000
            1 mmap(NULL, 4096, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0xa000000
            1 munmap(0x9000000, 4096) = 0
            1 mlock(0x7000000, 4096) = 0
            1 fork() = 2
            2 munmap(0x7001000, 4096) = 0
            2 munlock(0x7000000, 4096) = 0
            1 mlock(0x7000000, 8192) = 0
            1 mlock(0xa000000, 4096) = 0
            """, lines: 8...9)
        #expect(
            steps == [
                "setup",
                "  p0 mmap(0x8000, 0x3000, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS, -, 0)",
                "  p0 write(0x8000)", "  p0 mlock(0x8000, 0x1000)", "  p0 fork(p1)", "  p1 write(0x8000)",
                "  p1 munmap(0x9000, 0x1000)", "task t0 p0 cpu=0", "  mlock(0x8000, 0x2000)", "task t1 p1 cpu=1",
                "  munlock(0x8000, 0x1000)",
            ])
        #expect(said.contains("From line 8 on; of what came before, the set-up has what is needed."))
        #expect(said.contains("Left out: 1 call behind line 9."))
        #expect(throws: TraceError.self) { try stepsOfModel("", lines: 5...6) }
    }
}
