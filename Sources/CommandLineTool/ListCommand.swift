// SPDX-License-Identifier: GPL-2.0-only
// mmdiff list: what there is to compare, and the words of traces.

import ArgumentParser
import KernelModel
import VariantKit

struct ListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List families, variants, pairs, eras, operations and invariants.")

    @Argument(help: "What to list: \(Section.allCases.map(\.rawValue).joined(separator: ", ")).")
    var sections: [Section] = []

    @OptionGroup var output: OutputOptions

    enum Section: String, CaseIterable, ExpressibleByArgument {
        case families, eras, ops, invariants
    }

    func run() throws {
        let chosen = sections.isEmpty ? Section.allCases : sections
        var listing = Listing()
        if chosen.contains(.families) { listing.families = commandLineCatalog.families.map(ListedFamily.init) }
        if chosen.contains(.eras) { listing.eras = Era.all.map(\.name) }
        if chosen.contains(.ops) { listing.ops = Era.all.map(ListedOperations.init) }
        if chosen.contains(.invariants) { listing.invariants = invariants.map(ListedInvariant.init) }
        try output.print(listing) { listing.text }
    }
}

private struct Listing: Encodable {
    var families: [ListedFamily]?
    var eras: [String]?
    var ops: [ListedOperations]?
    var invariants: [ListedInvariant]?

    var text: String {
        var parts: [String] = []
        if let families { parts += families.map(\.text) }
        if let eras { parts.append("eras\n" + table(eras.map { [$0] }, indent: 2)) }
        if let ops { parts += ops.map(\.text) }
        if let invariants {
            parts.append("invariants\n" + table(invariants.map { [$0.name, $0.rule] }, indent: 2))
        }
        return parts.joined(separator: "\n\n")
    }
}

private struct ListedFamily: Encodable {
    var name: String
    var title: String
    var variants: [ListedVariant]
    var pairs: [ListedPair]

    init(_ family: Family) {
        name = family.name
        title = family.title
        variants = family.variants.map(ListedVariant.init)
        pairs = family.pairs.map { ListedPair($0, family) }
    }

    var text: String {
        let claims = pairs.flatMap { pair in pair.claims.map { "    \($0): \"\($0.sentence)\"" } }
        return """
            family \(name): \(title)
              variants
            \(table(variants.map { [$0.name, $0.era, $0.summary] }, indent: 4))
              pairs
            \(table(pairs.map { [$0.name, $0.claims.isEmpty ? "" : "\($0.claims.count) claims"] }, indent: 4))
            """ + (claims.isEmpty ? "" : "\n  claims\n" + claims.joined(separator: "\n"))
    }
}

private struct ListedVariant: Encodable {
    var name: String
    var era: String
    var summary: String
    var changedFunctions: [String]

    init(_ variant: Variant) {
        name = variant.name
        era = variant.era
        summary = variant.summary
        changedFunctions = variant.changedFunctions
    }
}

private struct ListedPair: Encodable {
    var name: String
    var claims: [Claim]

    init(_ pair: Pair, _ family: Family) {
        name = "\(pair.base)..\(pair.patched)"
        claims = family.claims(base: pair.base, patched: pair.patched)
    }
}

private struct ListedOperations: Encodable {
    var era: String
    var operations: [ListedOperation]

    init(_ era: Era) {
        self.era = era.name
        operations = era.operations.map(ListedOperation.init)
    }

    var text: String {
        "ops of \(era)\n" + table(operations.map { [$0.actor, $0.call] }, indent: 2)
    }
}

private struct ListedOperation: Encodable {
    var name: String
    var actor: String
    var parameters: [String]
    var systemCall: String?

    init(_ operation: KernelModel.Operation) {
        name = operation.name
        actor = operation.actor.rawValue
        parameters = operation.parameters.map(\.name)
        systemCall = operation.systemCall
    }

    var call: String { "\(name)(\(parameters.joined(separator: ", ")))" }
}

private struct ListedInvariant: Encodable {
    var name: String
    var rule: String

    init(_ invariant: Invariant) {
        name = invariant.name
        rule = invariant.rule
    }
}
