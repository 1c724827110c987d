// SPDX-License-Identifier: GPL-2.0-only
// What a fixture can be about: two variants of a family, or one of them and a user's C file.

import ArgumentParser
import FixtureStore
import Foundation
import VariantKit

/// A user's C file, compiled.
struct HandedFile {
    let file: CFile
    let library: UserLibrary

    init(_ path: String) throws {
        let name = URL(filePath: path).lastPathComponent
        guard let file = CFile(name: name, text: try readInput(path)) else {
            throw InputError(
                "\(path): a fixture knows a C file by its name: lower-case letters, digits, '-', '_' and '.', ending in .c"
            )
        }
        self.file = file
        library = try UserVariant(source: path).library
    }
}

/// C files that fixtures are about.  A repository does not bring them: nothing that it holds becomes a program.
struct HandedFileOptions: ParsableArguments {
    @Option(
        name: .customLong("file"), help: "A C file that fixtures are about; it is skipped where it is not given.",
        completion: .file())
    var paths: [String] = []

    func compiled() throws -> [HandedFile] {
        let files = try paths.map { try HandedFile($0) }
        let names = files.map(\.file.name)
        for (number, name) in names.enumerated() where names[..<number].contains(name) {
            throw InputError("two files \(name)")
        }
        return files
    }
}

extension [HandedFile] {
    /// The one that a fixture is about; nil also if it is about none.
    func file(of fixture: Fixture) -> HandedFile? { first { $0.file.name == fixture.file?.name } }

    /// Whether a fixture is about a C file that is not among them.
    func lackFile(of fixture: Fixture) -> Bool { fixture.file != nil && file(of: fixture) == nil }

    /// - Throws: if one of them is none that the fixtures are about.
    func checkUsed(by fixtures: [Fixture]) throws {
        for handed in self where !fixtures.contains(where: { $0.file?.name == handed.file.name }) {
            throw InputError("\(handed.file.name): no fixture here is about such a file")
        }
    }
}

struct FixturePair {
    var family, base, patched: String
    var file: HandedFile?

    /// Reads `base..patched` and compiles the C file in it.
    ///
    /// - Parameter family: where its variants are looked for; nil: everywhere.
    init(_ text: String, in family: Family? = nil) throws {
        let pair = try commandLineCatalog.pair(text, in: family)
        var families: [String] = []
        func name(_ side: NamedPair.Side) throws -> (name: String, file: HandedFile?) {
            switch side {
            case .source(let path):
                let file = try HandedFile(path)
                return (file.file.name, file)
            case .variant(let name):
                let parts = name.split(separator: "/").map(String.init)
                guard parts.count == 2 else { throw InputError("\(text): a fixture is about variants of a family") }
                families.append(parts[0])
                return (parts[1], nil)
            }
        }
        let (base, patched) = (try name(pair.base), try name(pair.patched))
        guard let family = families.first, families.allSatisfy({ $0 == family }) else {
            throw InputError(
                "\(text): a fixture is about two variants of one family, or about one and a C file that stands on it")
        }
        (self.family, self.base, self.patched, file) = (family, base.name, patched.name, base.file ?? patched.file)
        if let file, try commandLineCatalog.family(family).variant(file.file.name) != nil {
            throw InputError("\(file.file.name) is a variant of \(family): call the file otherwise")
        }
    }
}
