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
            if before > 0 { rest.append(Mapping(base: mapping.base, pages: before, file: mapping.file)) }
            if after > 0 {
                rest.append(
                    Mapping(
                        base: mapping.base.advanced(pages: mapping.pages - after), pages: after, file: mapping.file))
            }
            return rest
        }
    }

    /// Whether the page at an address is mapped.
    func contains(_ address: Argument) -> Bool {
        mappings.contains { mapping in address.pages(from: mapping.base).map { 0..<mapping.pages ~= $0 } ?? false }
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
