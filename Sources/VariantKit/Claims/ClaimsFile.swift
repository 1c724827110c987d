// SPDX-License-Identifier: GPL-2.0-only
// A claims file: what each pair of a family changes on purpose.  The language is described in docs/VARIANTS.md.

/// The claims of a family's pairs.
public struct ClaimsFile: Equatable, Sendable {
    /// Claims that some pairs share.
    public struct Section: Equatable, Sendable {
        /// Those it is about, as `base..patched`; none: whatever is compared.
        public var pairs: [String]
        public var claims: [Claim]
    }

    public var sections: [Section]

    public init(sections: [Section] = []) {
        self.sections = sections
    }

    /// What is claimed of a pair.
    public func claims(base: String, patched: String) -> [Claim] {
        sections.filter { $0.pairs.isEmpty || $0.pairs.contains("\(base)..\(patched)") }.flatMap(\.claims)
    }

    /// Parses a file.
    ///
    /// - Parameters:
    ///   - file: its name, for errors.
    ///   - pairs: the pairs that it may name; nil: any.
    public init(parsing bytes: [UInt8], file: String, pairs: [String]? = nil) throws(ClaimsError) {
        var parser = ClaimsParser(bytes, file: file, pairs: pairs)
        sections = try parser.sections()
    }
}

/// `file:line:column: error: what was wrong; what was expected`.
public struct ClaimsError: Error, Equatable, Sendable, CustomStringConvertible {
    public let file: String
    /// From 1; columns count bytes.
    public let line: Int
    public let column: Int
    public let problem: String
    public let expected: String

    public var description: String {
        "\(file):\(line):\(column): error: \(problem); expected \(expected)"
    }
}
