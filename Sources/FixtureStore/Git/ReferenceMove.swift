// SPDX-License-Identifier: GPL-2.0-only
// Moving a reference, by compare-and-swap: the last step of whatever is written.

import Clibgit2
import Glibc

/// A reference that this process has locked.
final class ReferenceMove {
    private let repository: Repository
    private let transaction: OpaquePointer
    private let name: String

    /// A lock is held for milliseconds; one that stays this long, in milliseconds, was left behind.
    private static let patience = 10_000

    /// Locks the reference.
    init(_ repository: Repository, _ name: String) throws {
        self.repository = repository
        self.name = name
        transaction = try made("cannot lock \(name)") { git_transaction_new(&$0, repository.raw) }
        for waited in 0... {
            let code = git_transaction_lock_ref(transaction, name)
            if code == 0 { return }
            let error = GitError(code, "cannot lock \(name)")
            guard error.isLocked, waited < ReferenceMove.patience else {
                guard error.isLocked else { throw error }
                throw StoreError(
                    "\(repository.commonFolder)\(name).lock: another program holds it; remove the file if none runs")
            }
            usleep(1_000)
        }
    }

    /// Releases the lock; also when a lock was not to be had.
    deinit {
        git_transaction_free(transaction)
    }

    /// Whether the reference still is what it was when the new commit was made.
    func isStill(_ expected: ObjectID?) throws -> Bool {
        try repository.target(of: name) == expected
    }

    /// - Parameter signature: who moves it; nil: whom the repository knows.
    func move(to target: ObjectID, saying message: String, as signature: Signature? = nil) throws {
        var id = target.raw
        let signature = try signature ?? Signature(repository)
        try check(
            git_transaction_set_target(transaction, name, &id, signature.raw, message), "cannot move \(name)")
        try check(git_transaction_commit(transaction), "cannot move \(name)")
    }
}
