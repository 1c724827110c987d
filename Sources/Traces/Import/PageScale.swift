// SPDX-License-Identifier: GPL-2.0-only
// From the pages of a real program or file to the few of the model.

/// Base pages of a huge page of the real machine.
let realHugePage: UInt = 512

/// How much of what distinguishes pieces is kept, the least first that is given up.
enum ScaleLevel: CaseIterable {
    /// Gaps have a page, and pieces have pages by their size.
    case whole
    case withoutGaps
    /// Each piece has one page.
    case withoutSizes
    /// Pieces within a huge page share its pages.
    case huge
    /// Several pieces share a page.
    case shared
}

/// Maps page numbers of an address space, or of a file, onto few, keeping their order.
///
/// The ends of all ranges that a program uses cut its addresses into pieces.  Each piece that is used gets pages by
/// its size: 1 for up to 63 pages, one more for each factor of 64.  Pieces that are not used get one page, so that
/// neighbours stay apart.  Pieces of what may be a huge page get together as many pages as a page table has entries,
/// or a multiple, and begin with a table.
struct PageScale {
    private let borders: [UInt]
    private var pieces: [Piece] = []
    /// The model's page of each border.
    private var pages: [Int] = []

    private struct Piece {
        var isUsed: Bool
        var pages: Int
        /// Which huge range it is of.
        var group: Int?
    }

    /// - Parameters:
    ///   - borders: in rising order; all ends of the ranges are among them.
    ///   - huge: parts of these that begin and end with a huge page.
    init(borders: [UInt], used: [Range<UInt>], huge: [Range<UInt>]) {
        self.borders = borders
        var depth = Array(repeating: 0, count: borders.count)
        for range in used where !range.isEmpty {
            depth[index(of: range.lowerBound)] += 1
            depth[index(of: range.upperBound)] -= 1
        }
        let huge = PageSet(huge).ranges
        var open = 0
        var group = 0
        for (number, border) in borders.dropLast().enumerated() {
            open += depth[number]
            let size = borders[number + 1] - border
            let isHuge = huge.contains { $0.contains(border) }
            if border % realHugePage == 0 { group += 1 }
            pieces.append(
                Piece(isUsed: open > 0, pages: 1 + (open > 0 ? size.log2 / 6 : 0), group: isHuge ? group : nil))
        }
    }

    /// Lays the pieces out in `room` pages from `first` on, where a page table has `table` entries.
    ///
    /// - Returns: whether there is room for them.
    mutating func layOut(_ level: ScaleLevel, from first: Int, room: Int, table: Int) -> Bool {
        pages = []
        if level == .shared { return share(from: first, room: room, table: table) }
        var page = first
        var number = 0
        while number < pieces.count {
            guard let group = pieces[number].group else {
                pages.append(page)
                page += size(number, level)
                number += 1
                continue
            }
            let end = pieces[number...].firstIndex { $0.group != group } ?? pieces.count
            page = page.roundedUp(to: table)
            page += layOutGroup(number..<end, at: page, level, table)
            number = end
        }
        pages.append(page)
        return page <= first + room
    }

    /// - Returns: the pages that a huge range takes.
    private mutating func layOutGroup(_ members: Range<Int>, at start: Int, _ level: ScaleLevel, _ table: Int) -> Int {
        let together = members.reduce(0) { $0 + max(size($1, level), 1) }
        guard level != .huge || together <= table else {
            for number in 0..<members.count { pages.append(start + number * table / members.count) }
            return table
        }
        var page = start
        for member in members {
            pages.append(page)
            page += max(size(member, level), 1)
        }
        return together.roundedUp(to: table)
    }

    private func size(_ piece: Int, _ level: ScaleLevel) -> Int {
        switch level {
        case .whole: pieces[piece].pages
        case .withoutGaps: pieces[piece].isUsed ? pieces[piece].pages : 0
        default: pieces[piece].isUsed ? 1 : 0
        }
    }

    /// Whole tables for huge ranges and for what lies between them, and within these in proportion.
    ///
    /// - Returns: whether there are enough tables.
    private mutating func share(from first: Int, room: Int, table: Int) -> Bool {
        var runs: [Range<Int>] = []
        for number in pieces.indices {
            if let last = runs.last, pieces[last.lowerBound].group == pieces[number].group {
                runs[runs.count - 1] = last.lowerBound..<number + 1
            } else {
                runs.append(number..<number + 1)
            }
        }
        let between = runs.filter { pieces[$0.lowerBound].group == nil }
        var spare = room / table - runs.count
        guard spare >= 0 else {
            share(pieces.indices, from: first, room: room - 1)
            pages.append(first + room - 1)
            return false
        }
        var page = first
        for run in runs {
            var tables = 1
            if let longest = between.map(\.count).max(), run.count == longest, between.contains(run) {
                (tables, spare) = (1 + spare, 0)
            }
            let own = min(tables * table, first + room - page)
            share(run, from: page, room: run == runs.last ? own - 1 : own)
            page += own
        }
        pages.append(min(page, first + room - 1))
        return true
    }

    private mutating func share(_ run: Range<Int>, from first: Int, room: Int) {
        let used = run.count { pieces[$0].isUsed }
        var page = 0
        for number in run {
            pages.append(first + (used > room ? page * room / used : page))
            if pieces[number].isUsed { page += 1 }
        }
    }

    /// Whether several pieces share a page.
    var isShared: Bool {
        zip(pieces, zip(pages, pages.dropFirst())).contains { $0.isUsed && $1.0 == $1.1 }
    }

    /// The model's page of a border.
    func page(_ realPage: UInt) -> Int {
        pages.isEmpty ? 0 : pages[index(of: realPage)]
    }

    private func index(of border: UInt) -> Int {
        var (low, high) = (0, borders.count - 1)
        while low < high {
            let middle = (low + high) / 2
            if borders[middle] < border { low = middle + 1 } else { high = middle }
        }
        return max(low, 0)
    }
}

extension Int {
    func roundedUp(to multiple: Int) -> Int {
        (self + multiple - 1) / multiple * multiple
    }
}

extension UInt {
    fileprivate var log2: Int { UInt.bitWidth - 1 - leadingZeroBitCount }
}

extension Range<UInt> {
    /// The huge pages within.
    var hugePages: Range<UInt>? {
        let start = (lowerBound + realHugePage - 1) / realHugePage * realHugePage
        let end = upperBound / realHugePage * realHugePage
        return start < end ? start..<end : nil
    }
}
