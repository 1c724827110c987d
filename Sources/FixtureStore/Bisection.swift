// SPDX-License-Identifier: GPL-2.0-only
// Which commit of a range changed what is expected of a fixture.  As git bisect does it, without a working
// tree: each commit is asked for the fixture itself.

/// A bisection's result.
public struct BisectionResult: Sendable {
    /// The first commit that has what the range's end has, or is not like its beginning any more.
    public var commit: CommitLine
    public var before, after: Fixture?
    /// How many commits were looked at.
    public var looks: Int
    public var name: FixtureName
}

extension Store {
    /// - Parameters:
    ///   - good: a revision at which the fixture is as it was.
    ///   - bad: a later one at which it is not.
    /// - Returns: nil if it is the same at both.
    public func bisect(_ name: FixtureName, good: String, bad: String) throws -> BisectionResult? {
        let (first, last) = (try repository.commit(good), try repository.commit(bad))
        let old = try version(name, at: first)
        guard try version(name, at: last) != old else { return nil }
        // Every commit that the end has and the beginning has not, each before its parents.
        var suspects = try commits(from: last, without: [first])
        guard !suspects.isEmpty else { throw StoreError("\(good)..\(bad) holds no commit") }
        var looks = 0
        while suspects.count > 1 {
            let graph = try AncestorCounts(suspects) { try parents(of: $0) }
            let middle = graph.middle
            looks += 1
            if try version(name, at: suspects[middle]) != old {
                suspects = graph.ancestors(of: middle)
            } else {
                let cleared = Set(graph.ancestors(of: middle))
                suspects.removeAll { cleared.contains($0) }
            }
        }
        let commit = suspects[0]
        let before = try parents(of: commit).first.flatMap { try version(name, at: $0).fixture }
        return BisectionResult(
            commit: try line(of: commit), before: before ?? old.fixture, after: try version(name, at: commit).fixture,
            looks: looks, name: name)
    }

    /// What counts of a fixture: that it is there, and what is expected.
    private struct Version: Equatable {
        var fixture: Fixture?
        /// What is there and cannot be read.
        var unreadable: ObjectID?

        static func == (a: Self, b: Self) -> Bool {
            a.fixture?.verdict == b.fixture?.verdict && a.fixture?.outcomes == b.fixture?.outcomes
                && a.unreadable == b.unreadable
        }
    }

    private func version(_ name: FixtureName, at commit: ObjectID) throws -> Version {
        guard let id = try blob(name.path, at: commit) else { return Version() }
        let bytes = try repository.blob(id, limit: FixtureLimits.bytes, name: name.path)
        guard let fixture = try? Fixture(parsing: bytes, file: name.path) else { return Version(unreadable: id) }
        return Version(fixture: fixture)
    }
}

/// For each commit of a set, how many of the set it comes from, itself included.
private struct AncestorCounts {
    private let commits: [ObjectID]
    /// One bit a commit.
    private var sets: [[UInt64]]

    /// - Parameter commits: each before its parents.
    init(_ commits: [ObjectID], parents: (ObjectID) throws -> [ObjectID]) throws {
        self.commits = commits
        let words = (commits.count + 63) / 64
        sets = Array(repeating: Array(repeating: 0, count: words), count: commits.count)
        let numbers = Dictionary(uniqueKeysWithValues: commits.enumerated().map { ($0.element, $0.offset) })
        for number in commits.indices.reversed() {
            var set = [UInt64](repeating: 0, count: words)
            set[number / 64] |= 1 << UInt64(number % 64)
            for parent in try parents(commits[number]) {
                guard let other = numbers[parent] else { continue }
                for word in 0..<words { set[word] |= sets[other][word] }
            }
            sets[number] = set
        }
    }

    /// The commit that halves the set best; never the whole of it.
    var middle: Int {
        let counts = sets.map { $0.reduce(0) { $0 + $1.nonzeroBitCount } }
        return commits.indices.filter { counts[$0] < commits.count }
            .max { min(counts[$0], commits.count - counts[$0]) < min(counts[$1], commits.count - counts[$1]) }!
    }

    /// The commit and those of the set that it comes from, each before its parents.
    func ancestors(of number: Int) -> [ObjectID] {
        commits.indices.filter { sets[number][$0 / 64] >> UInt64($0 % 64) & 1 != 0 }.map { commits[$0] }
    }
}
