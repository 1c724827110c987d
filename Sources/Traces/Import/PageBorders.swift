// SPDX-License-Identifier: GPL-2.0-only
// Where a program's addresses and files are cut: a cut in a mapping is one in its file, and in all other mappings of
// that, and where pages are moved to.

/// An address space or a file, as an index; what it is only its owner knows.
typealias PageLine = Int

struct PageBorders {
    /// The same pages in two lines: a mapping and its file, or what is moved and where it was.
    struct Link {
        var line: PageLine
        var range: Range<UInt>
        var other: PageLine
        var otherStart: UInt

        /// A range of one line in the other.
        func across(_ pages: Range<UInt>) -> Range<UInt>? {
            let common = pages.clamped(to: range)
            guard !common.isEmpty else { return nil }
            let start = otherStart + (common.lowerBound - range.lowerBound)
            return start..<start + UInt(common.count)
        }

        var reversed: Link {
            Link(
                line: other, range: otherStart..<otherStart + UInt(range.count), other: line,
                otherStart: range.lowerBound)
        }
    }

    private var known: [Set<UInt>]
    private var open: [(line: PageLine, border: UInt)] = []
    /// By line.
    private var links: [[Link]]
    private var count = 0

    /// Beyond what any program needs that fits; whoever has more shares pages anyway.
    private static let most = 8192

    init(lines: Int) {
        known = Array(repeating: [], count: lines)
        links = Array(repeating: [], count: lines)
    }

    mutating func cut(_ line: PageLine, _ range: Range<UInt>) {
        for border in [range.lowerBound, range.upperBound] { cut(line, at: border) }
    }

    private mutating func cut(_ line: PageLine, at border: UInt) {
        guard known[line].insert(border).inserted else { return }
        count += 1
        if count < Self.most { open.append((line, border)) }
    }

    mutating func link(_ link: Link) {
        links[link.line].append(link)
        links[link.other].append(link.reversed)
    }

    /// Carries all cuts over all links.
    mutating func close() {
        while let (line, border) = open.popLast() {
            for link in links[line] where link.range.lowerBound < border && border < link.range.upperBound {
                cut(link.other, at: link.otherStart + (border - link.range.lowerBound))
            }
        }
    }

    /// In rising order.
    func borders(_ line: PageLine) -> [UInt] {
        known[line].sorted()
    }

    /// Where else the pages of a range are, itself included: each line and range once.
    func everywhere(_ line: PageLine, _ range: Range<UInt>) -> [(line: PageLine, range: Range<UInt>)] {
        var found = [(line, range)]
        var next = 0
        while next < found.count && found.count < 256 {
            let (line, range) = found[next]
            next += 1
            for link in links[line] {
                guard let across = link.across(range),
                    !found.contains(where: { $0.0 == link.other && $0.1 == across })
                else { continue }
                found.append((link.other, across))
            }
        }
        return found
    }
}
