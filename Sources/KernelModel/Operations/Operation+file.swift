// SPDX-License-Identifier: GPL-2.0-only
// System calls on files, a page at a time, and what the kernel does to a file in the background.

import CKernel

extension Operation {
    private static let file = Parameter("file", .file(optional: false))
    private static let page = Parameter("page", .pageOffset)

    /// The content of one page, zero for a hole; -ENODATA at the end of the file, where read(2) returns 0.
    static let file_read = Operation("file_read", .process, [file, page], weight: 5, systemCall: "pread64") {
        ops.generic_file_read(kernel.file($0[0]), UInt(bitPattern: $0[1]))
    }

    static let file_write = Operation("file_write", .process, [file, page], weight: 5, systemCall: "pwrite64") {
        ops.generic_file_write(kernel.file($0[0]), UInt(bitPattern: $0[1]), newToken())
    }

    /// To a size in pages.
    static let truncate = Operation(
        "truncate", .process, [file, Parameter("size", .pageOffset)], weight: 4, systemCall: "ftruncate"
    ) {
        let mapping = kernel.file($0[0])
        userDataFileShrinks(mapping)
        defer { userDataFileShrinks(mapping) }
        return ops.do_truncate(mapping, UInt(bitPattern: $0[1]))
    }

    /// fallocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE).
    static let fallocate_punch = Operation(
        "fallocate_punch", .process, [file, page, Parameter("pages", .number(1...Int(MAX_FILE_PAGES)))], weight: 4,
        systemCall: "fallocate"
    ) {
        let mapping = kernel.file($0[0])
        let start = UInt(bitPattern: $0[1])
        userDataFileShrinks(mapping)
        defer { userDataFileShrinks(mapping) }
        return ops.do_fallocate_punch(mapping, start, start + UInt(bitPattern: $0[2]))
    }

    /// shmctl(SHM_LOCK): the pages are not reclaimed, whoever maps them.
    static let shm_lock = Operation("shm_lock", .process, [file], weight: 1) {
        let mapping = kernel.file($0[0])
        if mapping.kind != UInt8(MAPPING_SHMEM.rawValue) { return -Int(EINVAL) }
        ops.shmem_lock(mapping, true)
        return 0
    }

    /// shmctl(SHM_UNLOCK).  Linux v5.13, ipc/shm.c, shmctl_do_lock().
    static let shm_unlock = Operation("shm_unlock", .process, [file], weight: 1) {
        let mapping = kernel.file($0[0])
        if mapping.kind != UInt8(MAPPING_SHMEM.rawValue) { return -Int(EINVAL) }
        ops.shmem_lock(mapping, false)
        ops.shmem_unlock_mapping(mapping)
        return 0
    }

    /// fsync(2), or the flusher's work on one file.
    static let fsync = Operation("fsync", .process, [file], weight: 2, systemCall: "fsync") {
        ops.do_writepages(kernel.file($0[0]))
    }

    static let writeback = Operation("writeback", .kernel, [file], weight: 4) {
        ops.do_writepages(kernel.file($0[0]))
    }

    /// /proc/sys/vm/drop_caches, for one file.
    static let drop_caches = Operation("drop_caches", .kernel, [file], weight: 2) {
        _ = ops.invalidate_mapping_pages(kernel.file($0[0]))
        return 0
    }
}

/// User data that nobody has written before.  It tells the writer, not the moment: it is the same whatever
/// the schedule.
func newToken() -> UInt64 {
    UInt64(current.number + 1) << 16 | UInt64(current.op + 1) << 8
}
