// SPDX-License-Identifier: GPL-2.0-only
// How much of what a pair changes was run, on each side: changed functions, the yield points in them, and their
// branches, as far as yield points tell them apart.

import CKernel
import Simulation

/// What was counted in the functions that a pair changes.
public struct Coverage: Codable, Equatable, Sendable {
    /// A number for each side.
    public struct Counts: Codable, Equatable, Sendable {
        public var base = 0
        public var patched = 0

        public init(base: Int = 0, patched: Int = 0) {
            (self.base, self.patched) = (base, patched)
        }

        public var isZero: Bool { base == 0 && patched == 0 }

        static func += (a: inout Self, b: Self) {
            a.base += b.base
            a.patched += b.patched
        }
    }

    public struct Function: Codable, Equatable, Sendable {
        public var name: String
        /// Runs that entered it.
        public var runs: Counts
        /// Calls through the table of kernel operations; 0 for a function that is not in it.
        public var calls: Counts
        /// By label.  Those that were passed by no run are known from other traces.
        public var yieldPoints: [YieldPoint]
        public var branches: [Branch]
    }

    public struct YieldPoint: Codable, Equatable, Sendable {
        public var label: String
        public var passed: Counts
    }

    /// From one yield point of a function to the one that the same call passed next in it.
    public struct Branch: Codable, Equatable, Sendable {
        /// nil: it is the first one of the call.
        public var from: String?
        public var to: String
        public var taken: Counts
    }

    /// In the order in which the pair names them.
    public var functions: [Function]
}

extension Coverage {
    /// What this process has counted.
    init(ofProcess: Void) {
        let coverage = scheduler.covered()
        let places = (0..<Int(coverage.pointee.nr_places)).map { place in
            Place(
                number: place + 1, label: yieldPointLabel(Int(coverage_place(coverage, place).pointee)),
                function: Int(coverage_function(coverage, place).pointee))
        }.sorted { $0.label < $1.label }
        functions = markedFunctions.enumerated().map { index, name in
            Function(index, name, places.filter { $0.function == index })
        }
    }

    /// Adds what another worker counted on the same pair.
    public mutating func add(_ other: Coverage) {
        for function in other.functions {
            if let known = functions.firstIndex(where: { $0.name == function.name }) {
                functions[known].add(function)
            } else {
                functions.append(function)
            }
        }
    }
}

/// A yield point of a changed function; its number is the process's.
private struct Place {
    var number: Int
    var label: String
    var function: Int
}

extension Coverage.Counts {
    /// What a counter says on each side.
    fileprivate init(_ counter: (Int) -> UnsafeMutablePointer<u64>) {
        self.init(base: Int(counter(0).pointee), patched: Int(counter(1).pointee))
    }
}

extension Coverage.Function {
    fileprivate init(_ number: Int, _ name: String, _ places: [Place]) {
        let coverage = scheduler.covered()
        self.name = name
        runs = Coverage.Counts { coverage_entered(coverage, $0, number) }
        calls = Coverage.Counts { coverage_calls(coverage, $0, number) }
        yieldPoints = places.map { Coverage.YieldPoint(label: $0.label, passed: Coverage.Counts()) }
        branches = []
        for (index, place) in places.enumerated() {
            append(nil, place, Coverage.Counts { coverage_branch(coverage, $0, 0, place.number) }, index)
            for from in places {
                let taken = Coverage.Counts { coverage_branch(coverage, $0, from.number, place.number) }
                append(from.label, place, taken, index)
            }
        }
    }

    private mutating func append(_ from: String?, _ place: Place, _ taken: Coverage.Counts, _ index: Int) {
        yieldPoints[index].passed += taken
        if !taken.isZero { branches.append(Coverage.Branch(from: from, to: place.label, taken: taken)) }
    }

    fileprivate mutating func add(_ other: Coverage.Function) {
        runs += other.runs
        calls += other.calls
        for point in other.yieldPoints {
            if let known = yieldPoints.firstIndex(where: { $0.label == point.label }) {
                yieldPoints[known].passed += point.passed
            } else {
                yieldPoints.append(point)
            }
        }
        for branch in other.branches {
            if let known = branches.firstIndex(where: { $0.from == branch.from && $0.to == branch.to }) {
                branches[known].taken += branch.taken
            } else {
                branches.append(branch)
            }
        }
        yieldPoints.sort { $0.label < $1.label }
        branches.sort { ($0.to, $0.from ?? "") < ($1.to, $1.from ?? "") }
    }
}
