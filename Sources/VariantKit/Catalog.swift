// SPDX-License-Identifier: GPL-2.0-only
// All variants by name, and what `base..patched` on a command line means.

import KernelModel

/// The families and eras that this executable knows.
public struct Catalog {
    public var families: [Family]
    /// Each era as a variant that replaces nothing; its name is the era's.
    public var eras: [Variant]

    public init(families: [Family], eras: [Era] = Era.all) {
        self.families = families
        self.eras = eras.map {
            Variant(
                name: $0.name, era: $0.name, summary: "Linux \($0.name) as it was.", changedFunctions: [],
                install: { _ in })
        }
    }

    public func family(_ name: String) throws -> Family {
        if let family = families.first(where: { $0.name == name }) { return family }
        throw NameError.unknown("family", name, known: families.map(\.name))
    }

    /// The variant of that name: of `family` if one is given, else of any; `family/variant` says which.
    public func variant(_ name: String, in family: Family? = nil) throws -> Variant {
        try find(name, family).variant
    }

    private func find(_ name: String, _ family: Family?) throws -> (qualifiedName: String, variant: Variant) {
        if let era = eras.first(where: { $0.name == name }) { return (name, era) }
        let searched = family.map { [$0] } ?? families
        let matches = searched.flatMap { family in
            family.variants.map { ("\(family.name)/\($0.name)", $0) }.filter { $0 == name || $1.name == name }
        }
        if matches.count > 1 { throw NameError.ambiguous(name, matches.map(\.0)) }
        guard let match = matches.first else {
            let known = searched.flatMap { $0.variants.map(\.name) } + eras.map(\.name)
            throw NameError.unknown("variant", name, known: known)
        }
        return match
    }

    /// Reads `base..patched`, where each side is a variant's name or the path of a C file.
    public func pair(_ text: String, in family: Family? = nil) throws -> NamedPair {
        let splits = text.indices.compactMap { index -> (base: String, patched: String)? in
            guard text[index...].hasPrefix("..") else { return nil }
            let (base, patched) = (text[..<index], text[text.index(index, offsetBy: 2)...])
            return base.isEmpty || patched.isEmpty ? nil : (String(base), String(patched))
        }
        guard let first = splits.first else { throw NameError.noPair(text) }
        // Names and paths have dots in them: the split is the one that makes sense on both sides.
        let split = splits.first { isSide($0.base, family) && isSide($0.patched, family) } ?? first
        let pair = NamedPair(base: try side(split.base, family), patched: try side(split.patched, family))
        if case .variant(let base) = pair.base, case .variant(let patched) = pair.patched {
            let (base, patched) = (try variant(base), try variant(patched))
            guard base.era == patched.era else {
                throw NameError.twoEras(base.name, base.era, patched.name, patched.era)
            }
        }
        return pair
    }

    /// The era of the variants in a pair; nil for two files, which have none of their own.
    public func era(of pair: CompiledPair) throws -> String? {
        for case .variant(let name) in [pair.base, pair.patched] { return try variant(name).era }
        return nil
    }

    private func isSide(_ text: String, _ family: Family?) -> Bool {
        (try? side(text, family)) != nil
    }

    private func side(_ text: String, _ family: Family?) throws -> NamedPair.Side {
        do {
            return .variant(try find(text, family).qualifiedName)
        } catch NameError.unknown where text.hasSuffix(".c") {
            return .source(text)
        }
    }

    /// The two variants of a pair, in the process that is to run them.  A user's file stands on the other
    /// side of its pair, so that the two differ in what the file replaces and in nothing else.
    ///
    /// - Parameter era: what two files that are compared stand on.
    public func load(_ pair: CompiledPair, era: String) throws -> (base: Variant, patched: Variant) {
        switch (pair.base, pair.patched) {
        case (.variant(let base), .variant(let patched)):
            return (try variant(base), try variant(patched))
        case (.variant(let base), .library(let library)):
            let base = try variant(base)
            return (base, try library.variant(on: base))
        case (.library(let library), .variant(let patched)):
            let patched = try variant(patched)
            return (try library.variant(on: patched), patched)
        case (.library(let first), .library(let second)):
            let era = try variant(era)
            return (try first.variant(on: era), try second.variant(on: era))
        }
    }
}

/// Two sides to compare, as they were named.
public struct NamedPair: Equatable, Sendable {
    public enum Side: Equatable, Sendable {
        /// `family/variant`, or an era.
        case variant(String)
        /// A user's C file.
        case source(String)
    }

    public var base: Side
    public var patched: Side

    /// Compiles the user's files.
    ///
    /// - Throws: `UserVariantError`.
    ///
    /// - Parameter recorded: for the build of mmdiff that records accesses.
    public func compiled(recorded: Bool = false) throws -> CompiledPair {
        CompiledPair(
            base: try NamedPair.compiled(base, recorded), patched: try NamedPair.compiled(patched, recorded))
    }

    private static func compiled(_ side: Side, _ recorded: Bool) throws -> CompiledPair.Side {
        switch side {
        case .variant(let name): .variant(name)
        case .source(let path): .library(try UserVariant(source: path, recorded: recorded).library)
        }
    }
}

/// Two sides as a worker process gets them.
public struct CompiledPair: Codable, Sendable {
    public enum Side: Codable, Sendable {
        case variant(String)
        case library(UserLibrary)
    }

    public var base: Side
    public var patched: Side
}

/// A name on the command line that stands for nothing.
public enum NameError: Error, Equatable {
    case unknown(String, String, known: [String])
    case ambiguous(String, [String])
    case noPair(String)
    case twoEras(String, String, String, String)
}

extension NameError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .unknown(let kind, let name, let known):
            let guess = closest(to: name, in: known).map { "; did you mean \($0)?" } ?? "."
            return "no \(kind) \(name)\(guess) Known: \(known.joined(separator: ", "))"
        case .ambiguous(let name, let matches):
            return "\(name) is the name of \(matches.count) variants: \(matches.joined(separator: ", "))"
        case .noPair(let text):
            return "\(text) is no pair; expected BASE..PATCHED, each a variant's name or a C file"
        case .twoEras(let base, let baseEra, let patched, let patchedEra):
            return "\(base) is of \(baseEra), \(patched) of \(patchedEra): a pair is of one era"
        }
    }
}
