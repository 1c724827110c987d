// SPDX-License-Identifier: GPL-2.0-only
// A user's C file on one side of a fixture's pair.  The fixture knows it by its name and by a digest of its text,
// and never holds the text: what a repository brings must not become a program that runs here.

/// A C file that a fixture is about.
public struct CFile: Equatable, Sendable, CustomStringConvertible {
    /// `mine.c`.
    public let name: String
    /// The first digits of SHA-256 of its text.
    public let digest: String

    /// nil if no variant can be called like that.
    public init?(name: String, digest: String) {
        guard name.hasSuffix(".c"), FixtureName.isPlain(name), FixtureName.isDigest(digest) else { return nil }
        (self.name, self.digest) = (name, digest)
    }

    /// nil if no variant can be called like that.
    public init?(name: String, text: [UInt8]) {
        self.init(name: name, digest: shortDigest(text))
    }

    /// As in a fixture.
    public var description: String { "\(name) \(digest)" }
}

extension Fixture {
    /// The variant that its C file stands on; nil if there is no file.
    public var standsOn: String? { file.map { $0.name == base ? patched : base } }

    /// The variants of the family that something is expected of.
    public var familyVariants: [String] { variants.filter { $0 != file?.name } }
}
