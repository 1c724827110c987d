// SPDX-License-Identifier: GPL-2.0-only
// One commit from edits to the reference: objects first, the reference last.

import Clibgit2

/// What a commit is made of.
struct Proposal {
    var edits: [Edit]
    var message: String
    /// Parents besides the branch's tip.
    var otherParents: [ObjectID] = []
    /// A commit that is there already, to which the branch is moved instead of making one.
    var existing: ObjectID?
}

/// Commits to the branch that HEAD names.
struct Committer {
    let repository: Repository

    /// Other programs that commit all the time can win this often, no more.
    private static let attempts = 100

    /// - Parameter propose: called with the branch's tip, and again if it has moved meanwhile; nil: nothing to do.
    /// - Returns: the new tip; nil if there was nothing to do.
    func commit(_ propose: (ObjectID?) throws -> Proposal?) throws -> ObjectID? {
        let turn = try WriteTurn(repository)
        for _ in 0..<Committer.attempts {
            try repository.checkNothingIsUnderWay()
            let branch = try repository.branch()
            guard let proposal = try propose(branch.tip) else { return nil }
            let commit = try proposal.existing ?? write(proposal, branch.tip)
            if try move(branch, to: commit, proposal, turn) { return commit }
        }
        throw StoreError("the branch moves all the time: \(Committer.attempts) attempts to commit failed")
    }

    private func write(_ proposal: Proposal, _ tip: ObjectID?) throws -> ObjectID {
        _ = try Signature(repository)
        let writer = try ObjectWriter(repository, files: proposal.edits.count)
        let tree = try writer.tree(tip, proposal.edits)
        let parents = [tip].compactMap { $0 } + proposal.otherParents
        let commit = try writer.commit(tree, parents: parents, message: proposal.message)
        try writer.finish()
        return commit
    }

    /// Moves the branch, and the working tree and the index with it.
    ///
    /// - Returns: false if the branch is not where it was any more.
    private func move(_ branch: Repository.Branch, to commit: ObjectID, _ proposal: Proposal, _ turn: WriteTurn) throws
        -> Bool
    {
        try turn.note(Leftovers.reference(branch.name, commit))
        // In git's order: the index, then the reference.
        let index = try repository.workTree == nil ? nil : IndexUpdate(repository, turn)
        let reference = try ReferenceMove(repository, branch.name)
        guard try reference.isStill(branch.tip) else { return false }
        let message = String(proposal.message.prefix { $0 != "\n" })
        guard let index, let workTree = repository.workTree else {
            try reference.move(to: commit, saying: message)
            return true
        }
        // Nobody can switch branches while the index is locked.
        guard try repository.branch() == branch else { return false }
        let files = WorkTreeUpdate(workTree)
        do {
            try checkUnchanged(proposal.edits, workTree, branch.tip, index)
            try files.prepare(proposal.edits)
            try files.finish()
            try enter(proposal.edits, commit, files, index)
            try index.write()
            try reference.move(to: commit, saying: message)
        } catch {
            files.takeBack()
            throw error
        }
        try index.finish()
        return true
    }

    /// Whether what the edits would replace is what was committed: somebody's unfinished work is not touched.
    private func checkUnchanged(_ edits: [Edit], _ workTree: String, _ tip: ObjectID?, _ index: IndexUpdate) throws {
        for edit in edits {
            let committed = try tip.flatMap { try repository.entry(edit.path, at: $0)?.id }
            let new = edit.content.map(hashed)
            let found = try WorkTreeUpdate.content(workTree, edit.path).map(hashed)
            guard found == committed || found == new else {
                throw StoreError("\(edit.path) has changes that are not committed")
            }
            let entry = index.entry(edit.path)
            guard entry == committed || entry == new else {
                throw StoreError("\(edit.path) is staged with other content than is committed")
            }
        }
    }

    private func enter(_ edits: [Edit], _ commit: ObjectID, _ files: WorkTreeUpdate, _ index: IndexUpdate) throws {
        for edit in edits { try index.set(edit.path, edit.content.map(hashed), files.status(edit.path)) }
    }

    private func hashed(_ content: [UInt8]) -> ObjectID {
        var id = git_oid()
        git_odb_hash(&id, content, content.count, GIT_OBJECT_BLOB)
        return ObjectID(id)
    }
}
