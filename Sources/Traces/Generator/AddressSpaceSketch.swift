// SPDX-License-Identifier: GPL-2.0-only
// What a process has mapped, as far as a generator needs to know: which addresses are worth aiming at.

import KernelModel

let pageSize = 0x1000

/// The mappings of a process.
struct AddressSpaceSketch: Equatable, Sendable {
    var mappings: [Mapping] = []

    struct Mapping: Equatable, Sendable {
        /// A number, or a result where the kernel chose.
        var base: Argument
        var pages: Int
        var file: Int?
        var isReadable = true
        var isWritable = true
        var isShared = false
        /// Pages from the first one on that lie within the file.
        var usablePages: Int

        init(
            base: Argument, pages: Int, file: Int? = nil, isReadable: Bool = true, isWritable: Bool = true,
            isShared: Bool = false, usablePages: Int? = nil
        ) {
            self.base = base
            self.pages = pages
            self.file = file
            self.isReadable = isReadable
            self.isWritable = isWritable
            self.isShared = isShared
            self.usablePages = min(usablePages ?? pages, pages)
        }

        /// Whether the page at an address is one of its own.
        func contains(_ address: Argument) -> Bool {
            address.pages(from: base).map { 0..<pages ~= $0 } ?? false
        }

        /// A part of it.
        func part(from page: Int, pages: Int) -> Mapping {
            Mapping(
                base: base.advanced(pages: page), pages: pages, file: file, isReadable: isReadable,
                isWritable: isWritable, isShared: isShared, usablePages: max(usablePages - page, 0))
        }
    }

    /// Pages pinned for a device.
    var pinned: [Argument] = []
    /// What a userfaultfd watches.
    var watched: [Watch] = []

    struct Watch: Equatable, Sendable {
        var base: Argument
        var pages: Int
        /// By name.
        var modes: [String]
    }

    mutating func map(_ mapping: Mapping) {
        unmap(mapping.base, pages: mapping.pages)
        mappings.append(mapping)
    }

    /// Takes a range out of all mappings whose distance from it is known.
    mutating func unmap(_ base: Argument, pages: Int) {
        mappings = mappings.flatMap { mapping -> [Mapping] in
            guard let start = base.pages(from: mapping.base) else { return [mapping] }
            let before = min(max(start, 0), mapping.pages)
            let after = min(max(mapping.pages - (start + pages), 0), mapping.pages)
            guard before + after < mapping.pages else { return [mapping] }
            var rest: [Mapping] = []
            if before > 0 { rest.append(mapping.part(from: 0, pages: before)) }
            if after > 0 { rest.append(mapping.part(from: mapping.pages - after, pages: after)) }
            return rest
        }
    }
}

extension Argument {
    func advanced(bytes: Int) -> Argument {
        switch self {
        case .value(let value): .value(value &+ bytes)
        case .result(let number, let offset): .result(number, offset: offset &+ bytes)
        }
    }

    func advanced(pages: Int) -> Argument {
        advanced(bytes: pages * pageSize)
    }

    /// How many whole pages it lies behind another address, where that is known.
    func pages(from other: Argument) -> Int? {
        switch (self, other) {
        case (.value(let a), .value(let b)): (a &- b) >> 12
        case (.result(let m, let a), .result(let n, let b)) where m == n: (a &- b) >> 12
        default: nil
        }
    }
}
