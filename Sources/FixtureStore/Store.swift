// SPDX-License-Identifier: GPL-2.0-only
// A collection of fixtures: the folder Fixtures of a git repository, whichever that is.

import Clibgit2
import Differential
import Glibc

/// The folder of fixtures in a repository: a project's, one of its own, or a bare one.
public final class Store {
    public static let folderName = "Fixtures"

    public let repository: Repository
    /// The folder, from the root of the repository.
    public let prefix: String

    /// Opens the collection that belongs to the folder `path`: the one in it, or in a folder above it.
    public init(at path: String) throws {
        repository = try Repository(at: path)
        prefix = try Store.prefix(repository, path)
    }

    /// Makes a repository of its own for fixtures.
    public init(making path: String, bare: Bool) throws {
        repository = try Repository(making: path, bare: bare)
        prefix = Store.folderName
        if let workTree = repository.workTree { _ = try WorkFolder(workTree, prefix, making: true) }
    }

    private static func prefix(_ repository: Repository, _ path: String) throws -> String {
        guard let workTree = repository.workTree else { return folderName }
        guard let real = realpath(path, nil) else { throw StoreError("cannot open \(path): \(systemError)") }
        defer { free(real) }
        let folder = String(cString: real)
        guard folder == workTree || folder.hasPrefix(workTree + "/") else {
            throw StoreError("\(path) is not in its working tree")
        }
        var parts = folder.dropFirst(workTree.count).split(separator: "/").map(String.init)
        if parts.last == folderName { return parts.joined(separator: "/") }
        while true {
            let prefix = (parts + [folderName]).joined(separator: "/")
            if try WorkFolder(workTree, prefix, making: false) != nil { return prefix }
            guard parts.popLast() != nil else { break }
        }
        throw StoreError(
            "\(path): no folder \(folderName) in this repository; 'mmdiff fixture init' makes a repository for fixtures"
        )
    }

    // MARK: Reading

    /// The collection as it is: in the working tree or, where there is none, at HEAD.
    public func collection() throws -> FixtureCollection {
        guard let workTree = repository.workTree else { return try collection(at: "HEAD") }
        return try FixtureCollection(workTree: workTree, prefix: prefix)
    }

    /// The collection at a revision, read from the object database.
    public func collection(at revision: String) throws -> FixtureCollection {
        if revision == "HEAD", case let branch? = try? repository.branch(), branch.tip == nil {
            return FixtureCollection()
        }
        return try collection(at: repository.commit(revision))
    }

    func collection(at commit: ObjectID) throws -> FixtureCollection {
        try FixtureCollection(repository, TreeFiles(repository, commit: commit, prefix: prefix))
    }

    func path(_ name: FixtureName) -> String { "\(prefix)/\(name.path)" }
}

/// The fixtures that there are in one place at one time.
public struct FixtureCollection {
    /// In the order of their names.
    public private(set) var fixtures: [StoredFixture] = []
    /// What is there and should not be, in words.
    public private(set) var faults: [String] = []

    init() {}

    /// Of a tree.
    init(_ repository: Repository, _ tree: TreeFiles) throws {
        faults = tree.faults
        for file in tree.files where file.name.hasSuffix(FixtureName.fileEnding) && !file.folder.isEmpty {
            let read = { try repository.blob(file.id, limit: FixtureLimits.bytes, name: inOneLine(file.path)) }
            add(file.folder, file.name, file.id, read)
        }
        fixtures.sort { $0.name < $1.name }
    }

    /// Of a working tree.
    init(workTree: String, prefix: String) throws {
        guard try WorkFolder(workTree, prefix, making: false) != nil else { return }
        for family in entries(of: "\(workTree)/\(prefix)") {
            var status = stat()
            guard lstat("\(workTree)/\(prefix)/\(family)", &status) == 0, status.st_mode & S_IFMT != S_IFREG else {
                continue
            }
            guard FixtureName.isPlain(family) else {
                faults.append("\(inOneLine(family)): no name of a family")
                continue
            }
            let folder: WorkFolder
            do {
                folder = try WorkFolder(workTree, "\(prefix)/\(family)", making: false)!
            } catch let error as StoreError {
                faults.append(error.description)
                continue
            }
            for file in entries(of: "\(workTree)/\(prefix)/\(family)") where file.hasSuffix(FixtureName.fileEnding) {
                add(family, file, nil) {
                    guard let bytes = try readFile(folder.descriptor, file, limit: FixtureLimits.bytes) else {
                        throw StoreError("\(family)/\(file) is gone")
                    }
                    return bytes
                }
            }
        }
        fixtures.sort { $0.name < $1.name }
    }

    private mutating func add(_ family: String, _ file: String, _ id: ObjectID?, _ read: @escaping () throws -> [UInt8])
    {
        if let name = FixtureName(family: family, file: file) {
            fixtures.append(StoredFixture(name: name, id: id, read: read))
        } else if file.hasPrefix(".") {
            // A file in preparation, or an editor's.
            return
        } else {
            do {
                // A trace that nothing is expected of may lie beside fixtures.
                if try Fixture.isFixture(read()) { faults.append("\(family)/\(inOneLine(file)): no name of a fixture") }
            } catch {
                faults.append("\(family)/\(inOneLine(file)): \(error)")
            }
        }
    }

    /// The fixture of that name, or the only one whose name begins or ends like that.
    public func fixture(_ text: String) throws -> StoredFixture {
        var exact = text.hasSuffix(FixtureName.fileEnding) ? String(text.dropLast(FixtureName.fileEnding.count)) : text
        if exact.hasPrefix(Store.folderName + "/") { exact.removeFirst(Store.folderName.count + 1) }
        if let fixture = fixtures.first(where: { $0.name.description == exact }) { return fixture }
        let matches = fixtures.filter {
            let name = $0.name.description
            return !exact.isEmpty
                && (name.hasPrefix(exact) || name.hasSuffix(exact) || $0.name.digest.hasPrefix(exact)
                    || name.split(separator: "/")[1].hasPrefix(exact))
        }
        guard let match = matches.first else { throw StoreError("no fixture \(text)") }
        guard matches.count == 1 else {
            let names = matches.prefix(4).map(\.name.description).joined(separator: ", ")
            throw StoreError("\(text) is the name of \(matches.count) fixtures: \(names)")
        }
        return match
    }

    public subscript(digest: String) -> StoredFixture? { fixtures.first { $0.name.digest == digest } }
}

/// A fixture that has not been read yet.
public struct StoredFixture {
    public let name: FixtureName
    /// Where it comes from the object database.
    let id: ObjectID?
    let read: () throws -> [UInt8]

    /// Its bytes.
    public func bytes() throws -> [UInt8] { try read() }

    /// - Throws: `TraceError` where it is none, `StoreError` where its name is another's.
    public func fixture() throws -> Fixture {
        let fixture = try Fixture(parsing: read(), file: name.path)
        guard fixture.family == name.family, fixture.digest == name.digest else {
            throw StoreError("\(name.path): its content is that of \(fixture.name)")
        }
        return fixture
    }
}

extension StoredFixture {
    /// What a fixture says of itself before its trace, which is not looked at.
    public struct Head: Sendable {
        public var shows, pair: String
        public var verdict: Verdict
    }

    public func head() throws -> Head { try Fixture.head(of: read(), file: name.path) }
}

extension Store {
    /// Those of `fixtures` that are not the same at a revision.
    public func changed(_ fixtures: [StoredFixture], since revision: String) throws -> [StoredFixture] {
        let old = try collection(at: revision)
        let known = Dictionary(old.fixtures.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        return try fixtures.filter { fixture in
            guard let before = known[fixture.name] else { return true }
            if let id = fixture.id, id == before.id { return false }
            return try fixture.bytes() != before.bytes()
        }
    }
}
