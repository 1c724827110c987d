// SPDX-License-Identifier: GPL-2.0-only
// What a patch brings to mmdiff: its variants, which of them to compare, and what may differ on purpose.

/// The variants of one patch: before, as posted, as merged, as later fixed.
public struct Family: Sendable {
    /// How it is called on the command line: `munlock-split`.
    public var name: String
    /// What the patch does, in a line.
    public var title: String
    /// In the order of history.
    public var variants: [Variant]
    /// What `mmdiff run` compares.
    public var pairs: [Pair]
    /// What differs on purpose.
    public var claims: ClaimsFile
    /// How often the generator draws an operation here, where that differs from the operation's own weight.
    public var weights: [String: Int]
    /// Whether schedules preempt in changed functions above all: for a patch whose windows are narrow.
    public var focused: Bool

    /// - Parameter claims: the text of its claims file, `<name>.claims`, which must be right.
    public init(
        name: String, title: String, variants: [Variant], pairs: [Pair], claims: [UInt8] = [],
        weights: [String: Int] = [:], focused: Bool = false
    ) {
        self.name = name
        self.title = title
        self.variants = variants
        self.pairs = pairs
        do {
            self.claims = try ClaimsFile(
                parsing: claims, file: "\(name).claims", pairs: pairs.map { "\($0.base)..\($0.patched)" })
        } catch {
            fatalError("\(error)")
        }
        self.weights = weights
        self.focused = focused
    }

    public func variant(_ name: String) -> Variant? {
        variants.first { $0.name == name }
    }

    /// What may differ on purpose between two of its variants.
    public func claims(base: String, patched: String) -> [Claim] {
        claims.claims(base: base, patched: patched)
    }
}

/// Two variants of a family to compare, by name.
public struct Pair: Sendable {
    public var base: String
    public var patched: String

    public init(_ base: String, _ patched: String) {
        self.base = base
        self.patched = patched
    }
}
