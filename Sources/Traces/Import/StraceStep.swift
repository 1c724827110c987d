// SPDX-License-Identifier: GPL-2.0-only
// A step of an imported program before it is scaled: it speaks of the real addresses and files.

import KernelModel

/// A step with the addresses, lengths and files of the log.
struct RealStep {
    var operation: Operation
    var arguments: [RealArgument]
    /// Whose addresses these are: a process has new ones after execve().
    var image: Int
    /// In the set-up: the process that does it.
    var process = 0
    var kind: Kind
    /// Where the log has it; nil: it is not in the log.
    var line: Int?
    var note: String?
    /// Pages that must stay apart from the others for the step to mean the same.
    var apart: Range<UInt>?

    enum Kind {
        /// Only makes or changes mappings.
        case mapping
        case other
        /// An access that strace cannot see; the first that goes if there is too much.
        case touch
        case fork
    }

    /// The part of a file that the step names, in pages; empty where it is about the file or about its end.
    var fileRange: (file: Int, pages: Range<UInt>)? {
        var file: Int?
        var start: UInt = 0
        var count: UInt?
        for argument in arguments {
            switch argument {
            case .file(let known?): file = known
            case .offset(let page, let known?): (file, start, count) = (known, page, count ?? 1)
            case .filePages(let pages, _): count = pages
            case .fileSize(let page, let known): (file, start) = (known, page)
            case .length(let address, let bytes): count = pageRange(address, bytes).map { UInt($0.count) }
            default: break
            }
        }
        guard let file, start < UInt.max / 2, count ?? 0 < UInt.max / 2 else { return nil }
        return (file, start..<start + (count ?? 0))
    }

    /// The part of a file that the step may change or be changed by.
    var fileReach: (file: Int, pages: Range<UInt>)? {
        guard let (file, pages) = fileRange else { return nil }
        return (file, pages.isEmpty ? pages.lowerBound..<UInt.max / 2 : pages)
    }

    /// Real pages that the step uses: those of its lengths, and single ones.  An access to a new mapping cuts
    /// nothing off: it is at the mapping's start.
    var ranges: [Range<UInt>] {
        guard kind != .touch else { return [] }
        return [apart].compactMap { $0 }
            + arguments.compactMap { argument in
                switch argument {
                case .address(let address) where !hasLength(from: address): address.page..<address.page + 1
                case .length(let start, let bytes): pageRange(start, bytes)
                default: nil
                }
            }
    }

    private func hasLength(from address: UInt) -> Bool {
        arguments.contains { argument in
            guard case .length(address, let bytes) = argument else { return false }
            return pageRange(address, bytes) != nil
        }
    }
}

enum RealArgument {
    case value(Int)
    case address(UInt)
    /// So many bytes from an address.
    case length(from: UInt, bytes: UInt)
    /// An index into the files; nil: none.
    case file(Int?)
    /// An offset in pages into a file.
    case offset(UInt, file: Int?)
    /// So many pages of a file behind an offset.
    case filePages(UInt, file: Int)
    /// A file's size in pages.
    case fileSize(UInt, file: Int)
    /// A node of the machine.
    case node(UInt)
    /// The first page of user space, and its size.
    case wholeStart, wholeLength
}

/// The pages that a range of bytes touches; nil if it is empty or wraps.
func pageRange(_ start: UInt, _ bytes: UInt) -> Range<UInt>? {
    let (end, overflow) = start.addingReportingOverflow(bytes)
    guard bytes > 0, !overflow, end <= UInt(Int.max) else { return nil }
    return start.page..<(end - 1).page + 1
}

extension UInt {
    var page: UInt { self / UInt(pageSize) }
}

/// A set of pages.
struct PageSet {
    /// In rising order, without overlaps.
    private(set) var ranges: [Range<UInt>] = []

    init(_ ranges: [Range<UInt>] = []) {
        for range in ranges { insert(range) }
    }

    mutating func insert(_ range: Range<UInt>) {
        guard !range.isEmpty else { return }
        remove(range)
        ranges.insert(range, at: ranges.firstIndex { $0.lowerBound > range.lowerBound } ?? ranges.count)
    }

    func overlaps(_ range: Range<UInt>) -> Bool {
        ranges.contains { $0.overlaps(range) }
    }

    func covers(_ range: Range<UInt>) -> Bool {
        missing(from: range).isEmpty
    }

    mutating func remove(_ range: Range<UInt>) {
        ranges = ranges.flatMap { old -> [Range<UInt>] in
            guard old.overlaps(range) else { return [old] }
            return [
                old.lowerBound..<max(old.lowerBound, range.lowerBound),
                min(old.upperBound, range.upperBound)..<old.upperBound,
            ].filter { !$0.isEmpty }
        }
    }

    /// The parts of a range that are not in the set.
    func missing(from range: Range<UInt>) -> [Range<UInt>] {
        var missing: [Range<UInt>] = []
        var start = range.lowerBound
        for known in ranges where known.overlaps(range) {
            if known.lowerBound > start { missing.append(start..<known.lowerBound) }
            start = max(start, known.upperBound)
        }
        if start < range.upperBound { missing.append(start..<range.upperBound) }
        return missing
    }
}
