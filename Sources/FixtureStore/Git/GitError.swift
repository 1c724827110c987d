// SPDX-License-Identifier: GPL-2.0-only
// What can go wrong with a repository: always one line.

import Clibgit2

public struct StoreError: Error, Equatable, Sendable, CustomStringConvertible {
    public let description: String

    public init(_ description: String) {
        self.description = inOneLine(description)
    }
}

/// What a repository refused.
public protocol RepositoryError: Error {}

/// A call of libgit2 that failed.
struct GitError: RepositoryError, CustomStringConvertible {
    let code: Int32
    let description: String

    init(_ code: Int32, _ doing: String) {
        self.code = code
        let message = git_error_last().flatMap { $0.pointee.message }.map { String(cString: $0) }
        description = inOneLine(doing + ": " + (message ?? "error \(code) of libgit2"))
    }

    var isNotFound: Bool { code == GIT_ENOTFOUND.rawValue }
    /// Another process holds a lock file, or one that died left it behind.
    var isLocked: Bool { code == GIT_ELOCKED.rawValue }
}

/// Throws if a call of libgit2 failed.
///
/// - Parameter doing: what it was to do, in words.
@discardableResult
func check(_ code: Int32, _ doing: @autoclosure () -> String) throws -> Int32 {
    guard code < 0 else { return code }
    throw GitError(code, doing())
}

/// Calls something that gives an object of libgit2.
func made(_ doing: @autoclosure () -> String, _ call: (inout OpaquePointer?) -> Int32) throws -> OpaquePointer {
    var object: OpaquePointer?
    try check(call(&object), doing())
    return object!
}

/// The name of an object.
public struct ObjectID: Equatable, Hashable, Sendable, CustomStringConvertible {
    var raw: git_oid

    init(_ raw: git_oid) {
        self.raw = raw
    }

    public static func == (a: Self, b: Self) -> Bool {
        withUnsafePointer(to: a.raw) { a in withUnsafePointer(to: b.raw) { git_oid_equal(a, $0) != 0 } }
    }

    public func hash(into hasher: inout Hasher) {
        withUnsafeBytes(of: raw) { hasher.combine(bytes: $0) }
    }

    public var description: String {
        var text = [CChar](repeating: 0, count: Int(GIT_OID_HEXSZ) + 1)
        return withUnsafePointer(to: raw) { String(cString: git_oid_tostr(&text, text.count, $0)) }
    }

    /// As people write it.
    public var short: String { String(description.prefix(12)) }
}
