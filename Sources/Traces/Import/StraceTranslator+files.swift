// SPDX-License-Identifier: GPL-2.0-only
// Calls on files that some process maps; others are of no interest here.

import KernelModel

extension StraceTranslator {
    mutating func fileAccess(_ call: StraceLog.Call, _ space: Int) throws(TraceError) -> [RealStep]? {
        let arguments = StraceArguments(log, call)
        try arguments.require(1)
        guard let operation = Self.operation(for: call, vocabulary), let descriptor = try arguments.descriptor(0) else {
            return nil
        }
        guard let file = files.known(fileKey(descriptor, space)) else { return drop(call.name, .unmappedFile) }
        var real: [RealArgument] = [.file(file)]
        switch call.name {
        case "pread64", "pwrite64":
            try arguments.require(4)
            real.append(.offset(try arguments.number(3, "an offset").page, file: file))
        case "ftruncate", "ftruncate64":
            try arguments.require(2)
            real.append(.fileSize(try roundedUp(arguments.number(1, "a size")), file: file))
        case "fallocate":
            try arguments.require(4)
            let start = try arguments.number(2, "an offset")
            let length = try arguments.number(3, "a length")
            guard call.mentions("FALLOC_FL_PUNCH_HOLE"), let pages = pageRange(start, length) else {
                return drop("fallocate() that punches no hole", .noCounterpart)
            }
            real += [.offset(pages.lowerBound, file: file), .filePages(UInt(pages.count), file: file)]
        default: break
        }
        guard real.count == operation.parameters.count else { return nil }
        return [step(call, operation, real, space)]
    }

    private func roundedUp(_ bytes: UInt) -> UInt {
        bytes.page + (bytes % UInt(pageSize) == 0 ? 0 : 1)
    }
}

/// The files of a log.
struct StraceFiles {
    /// A file that is mapped.
    struct RealFile {
        var key: String
        var name: String?
        var isShared: Bool
    }

    /// What is mapped.
    enum Source: Equatable {
        /// Zeros, for one process alone.
        case zero
        case file(Int)
        case device

        var file: Int? {
            if case .file(let number) = self { number } else { nil }
        }
    }

    private var all: [RealFile] = []
    /// Of System V shared memory, in bytes, by its key; for look-ups only.
    var sizes: [String: UInt] = [:]
    /// By a descriptor's key: the process that it stands for, and what is pinned through it; for look-ups only.
    var processes: [String: Int] = [:]
    var pinned: [String: [UInt]] = [:]
    /// For look-ups only.
    private var numbers: [String: Int] = [:]

    var count: Int { all.count }
    var indices: Range<Int> { all.indices }

    subscript(number: Int) -> RealFile { all[number] }

    mutating func number(_ key: String, name: String?, isShared: Bool) -> Int {
        if let known = numbers[key] { return known }
        numbers[key] = all.count
        all.append(RealFile(key: key, name: name, isShared: isShared))
        return all.count - 1
    }

    func known(_ key: String) -> Int? { numbers[key] }

    static func isSharedMemory(_ name: String?) -> Bool {
        ["/dev/shm/", "/memfd:", "memfd:", "/SYSV"].contains { name?.hasPrefix($0) ?? false }
    }

    /// Memory of a device or of the kernel: it has no pages that the model could have.
    static func isDevice(_ name: String?) -> Bool {
        guard let name else { return false }
        return name.hasPrefix("anon_inode:") || name.hasPrefix("/dev/") && !isSharedMemory(name)
    }
}
