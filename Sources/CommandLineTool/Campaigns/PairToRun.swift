// SPDX-License-Identifier: GPL-2.0-only
// A pair as the command line names it.

import Differential
import VariantKit

/// A pair to run, with the names that it has on the command line.
struct PairToRun {
    var base: String
    var patched: String
    var family: String?
    var compiled: CompiledPair
    /// What may differ on purpose: what its family says, if nothing else is said.
    var claims: [Claim]

    var name: String { "\(base)..\(patched)" }

    /// Reads `base..patched` and compiles the C files that it names.
    init(_ text: String, in family: Family? = nil) throws {
        let named = try commandLineCatalog.pair(text, in: family)
        base = named.base.shortName
        patched = named.patched.shortName
        self.family = family?.name ?? named.family
        compiled = try named.compiled()
        claims = try self.family.map(commandLineCatalog.family)?.claims(base: base, patched: patched) ?? []
    }

    /// The side that shows a difference, as `mmdiff replay` takes it.
    func side(_ direction: Finding.Direction) -> String? {
        switch direction {
        case .new: patched + standing(compiled.patched, compiled.base, base)
        case .lost: base + standing(compiled.base, compiled.patched, patched)
        case .both: nil
        }
    }

    /// What a C file stands on.
    private func standing(_ side: CompiledPair.Side, _ other: CompiledPair.Side, _ name: String) -> String {
        if case .library = side, case .variant = other { " --on \(name)" } else { "" }
    }
}

extension NamedPair {
    /// The family that a side of it is of.
    fileprivate var family: String? {
        for side in [patched, base] {
            if case .variant(let name) = side, let slash = name.firstIndex(of: "/") { return String(name[..<slash]) }
        }
        return nil
    }
}

extension NamedPair.Side {
    /// Its name in its family, or the path of its file.
    fileprivate var shortName: String {
        switch self {
        case .variant(let name): name.split(separator: "/").last.map(String.init) ?? name
        case .source(let path): path
        }
    }
}
