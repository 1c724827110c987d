// SPDX-License-Identifier: GPL-2.0-only
// From the addresses of a real process to the few pages of the model.

/// Maps page numbers of an address space onto few, keeping their order.
///
/// The ends of all ranges that a program uses cut its addresses into pieces.  Each piece that is used gets
/// pages by its size: 1 for up to 63 pages, one more for each factor of 64.  Pieces that are not used get one
/// page, so that neighbours stay apart.  Where that is too much, first the gaps go, then the differences of
/// size, and at last several pieces share a page.
struct AddressScale {
    private var borders: [UInt] = []
    /// The model's page of each border.
    private var pages: [Int] = []

    /// Pages that the scale would take if it could.
    private(set) var wanted = 0
    private var weights: [Weight] = []

    private struct Weight {
        var used: Bool
        var pages: Int
    }

    /// - Parameter ranges: what is used, in pages; none is empty.
    init(_ ranges: [Range<UInt>]) {
        borders = Array(sortedWithoutRepeats(ranges.flatMap { [$0.lowerBound, $0.upperBound] }))
        var depth = Array(repeating: 0, count: borders.count)
        for range in ranges {
            depth[index(of: range.lowerBound)] += 1
            depth[index(of: range.upperBound)] -= 1
        }
        var open = 0
        for (number, border) in borders.dropLast().enumerated() {
            open += depth[number]
            let size = borders[number + 1] - border
            weights.append(Weight(used: open > 0, pages: 1 + (open > 0 ? size.log2 / 6 : 0)))
        }
        wanted = weights.reduce(0) { $0 + $1.pages }
    }

    /// Lays the pieces out in `room` pages from `first` on.
    ///
    /// - Returns: whether each piece has pages of its own.
    mutating func layOut(from first: Int, room: Int) -> Bool {
        let used = weights.filter(\.used)
        var sizes = weights.map(\.pages)
        if wanted > room { sizes = weights.map { $0.used ? $0.pages : 0 } }
        if sizes.reduce(0, +) > room { sizes = weights.map { $0.used ? 1 : 0 } }
        pages = []
        var page = 0
        for number in borders.indices {
            // Too many pieces for one page each: in proportion.
            pages.append(first + (used.count > room ? page * (room - 1) / used.count : page))
            if number < sizes.count { page += sizes[number] }
        }
        return used.count <= room
    }

    /// The model's page of a border of the ranges.
    func page(_ realPage: UInt) -> Int {
        pages[index(of: realPage)]
    }

    private func index(of border: UInt) -> Int {
        var (low, high) = (0, borders.count - 1)
        while low < high {
            let middle = (low + high) / 2
            if borders[middle] < border { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

private func sortedWithoutRepeats(_ numbers: [UInt]) -> [UInt] {
    var result: [UInt] = []
    for number in numbers.sorted() where result.last != number { result.append(number) }
    return result
}

extension UInt {
    fileprivate var log2: Int { UInt.bitWidth - 1 - leadingZeroBitCount }
}
