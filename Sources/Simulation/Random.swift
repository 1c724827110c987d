// SPDX-License-Identifier: GPL-2.0-only
// Random numbers that are the same on every machine: SplitMix64, with its own bounded mapping.

/// A SplitMix64 generator (Steele, Lea and Flood, OOPSLA 2014).
///
/// `Int.random(in:using:)` is not used anywhere: how it maps words to a range is not specified.
public struct Random {
    public private(set) var state: UInt64

    public init(seed: UInt64) {
        state = seed
    }

    public mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        return mix(state)
    }

    /// A number from 0 up to, but not including, `bound`, by the multiply-high mapping.
    public mutating func below(_ bound: Int) -> Int {
        Int(next().multipliedFullWidth(by: UInt64(bound)).high)
    }

    /// True once in `n` times.
    public mutating func oneIn(_ n: Int) -> Bool {
        below(n) == 0
    }

    public mutating func pick<Element>(_ choices: [Element]) -> Element {
        choices[below(choices.count)]
    }

    /// An index into `weights`, each as likely as its weight says.
    public mutating func weighted(_ weights: [Int]) -> Int {
        var draw = below(weights.reduce(0, +))
        for (index, weight) in weights.enumerated() {
            draw -= weight
            if draw < 0 { return index }
        }
        return weights.count - 1
    }
}

/// The finalizer of SplitMix64: each bit of the input changes half of the output's.
@inlinable @inline(__always)
public func mix(_ value: UInt64) -> UInt64 {
    var z = value
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
}
