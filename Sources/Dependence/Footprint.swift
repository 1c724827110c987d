// SPDX-License-Identifier: GPL-2.0-only
// What a step read and wrote: what tells whether two steps may change places.
//
// Searches keep their books here, in a module that is never built to record its own accesses, and of which nothing may
// be inlined where they are recorded.

import CRecording

/// What a step read and wrote.
public struct Footprint: Equatable {
    /// By words of eight bytes, ascending: the word's number, the bytes read, the bytes written.
    private(set) var accesses: [UInt64] = []
    public private(set) var task: Int
    /// It ended the run, so all that others had done by then, and had not, was part of what came of it.
    public private(set) var endsRun = false

    /// The recording of a step of `task`.
    @inline(never)
    public init(of task: Int, endsRun: Bool) {
        self.task = task
        self.endsRun = endsRun
        let count = recorded_count()
        accesses.reserveCapacity(count)
        for access in UnsafeBufferPointer(start: recorded_accesses(), count: count) {
            accesses.append(UInt64(access.word) << 16 | UInt64(access.read) << 8 | UInt64(access.written))
        }
        accesses.sort()
    }

    /// Whether one of two steps writes what the other reads or writes: then their order may matter.
    @inline(never)
    public func conflicts(with other: Footprint) -> Bool {
        if endsRun || other.endsRun { return true }
        var (i, j) = (0, 0)
        while i < accesses.count && j < other.accesses.count {
            let (a, b) = (accesses[i], other.accesses[j])
            if a >> 16 == b >> 16 {
                if a & (b | b >> 8) & 0xff != 0 || b & (a >> 8) & 0xff != 0 { return true }
                i += 1
                j += 1
            } else if a < b {
                i += 1
            } else {
                j += 1
            }
        }
        return false
    }

    /// What it does that another one does not; nil if there is nothing.
    @inline(never)
    public func exceeding(_ other: Footprint) -> Footprint? {
        var more = self
        more.endsRun = endsRun && !other.endsRun
        more.accesses.removeAll(keepingCapacity: true)
        var j = 0
        for access in accesses {
            while j < other.accesses.count && other.accesses[j] >> 16 < access >> 16 { j += 1 }
            let known = j < other.accesses.count && other.accesses[j] >> 16 == access >> 16 ? other.accesses[j] : 0
            let bytes = access & ~known & 0xffff
            if bytes != 0 { more.accesses.append(access & ~0xffff | bytes) }
        }
        return more.endsRun || !more.accesses.isEmpty ? more : nil
    }

    /// Adds what the same step did in another case of it, or in its beginning.
    @inline(never)
    public mutating func formUnion(_ other: Footprint) {
        endsRun = endsRun || other.endsRun
        var union: [UInt64] = []
        union.reserveCapacity(accesses.count + other.accesses.count)
        var (i, j) = (0, 0)
        while i < accesses.count || j < other.accesses.count {
            let a = i < accesses.count ? accesses[i] : UInt64.max
            let b = j < other.accesses.count ? other.accesses[j] : UInt64.max
            if a >> 16 == b >> 16 {
                union.append(a | b)
                i += 1
                j += 1
            } else if a < b {
                union.append(a)
                i += 1
            } else {
                union.append(b)
                j += 1
            }
        }
        accesses = union
    }
}
