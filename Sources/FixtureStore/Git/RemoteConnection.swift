// SPDX-License-Identifier: GPL-2.0-only
// A connection to another repository: a folder, or by ssh, with the keys and the known hosts of the user.

import Clibgit2
import Glibc

/// Another repository, as long as we talk to it.
final class RemoteConnection {
    let place: RemotePlace
    private let remote: OpaquePointer

    /// A branch, or HEAD, over there.
    struct Head {
        var name: String
        var id: ObjectID
        /// What HEAD stands for.
        var symbolicTarget: String?
    }

    init(_ repository: Repository, _ place: RemotePlace, _ direction: git_direction) throws {
        self.place = place
        remote = try made("cannot reach \(place.url)") {
            git_remote_create_anonymous(&$0, repository.raw, place.url)
        }
        var callbacks = SSHKeys.callbacks()
        try checkRemote(git_remote_connect(remote, direction, &callbacks, nil, nil), "cannot reach \(place.url)")
    }

    deinit {
        git_remote_free(remote)
    }

    func heads() throws -> [Head] {
        var heads: UnsafeMutablePointer<UnsafePointer<git_remote_head>?>?
        var count = 0
        try checkRemote(git_remote_ls(&heads, &count, remote), "cannot read what \(place.url) has")
        return (0..<count).compactMap { heads?[$0]?.pointee }.map { head in
            Head(
                name: String(cString: head.name), id: ObjectID(head.oid),
                symbolicTarget: head.symref_target.map { String(cString: $0) })
        }
    }

    func fetch(_ specification: String) throws {
        var options = git_fetch_options()
        git_fetch_options_init(&options, UInt32(GIT_FETCH_OPTIONS_VERSION))
        options.callbacks = SSHKeys.callbacks()
        options.download_tags = GIT_REMOTE_DOWNLOAD_TAGS_NONE
        options.update_fetchhead = 0
        try withStrings([specification]) { list in
            try checkRemote(
                git_remote_fetch(remote, list, &options, "mmdiff fixture fetch"), "cannot fetch from \(place.url)")
        }
    }

    /// The other side moves its reference by compare-and-swap, from what it told when we connected.
    func push(_ specification: String) throws {
        var options = git_push_options()
        git_push_options_init(&options, UInt32(GIT_PUSH_OPTIONS_VERSION))
        options.callbacks = SSHKeys.callbacks()
        // What the other side refuses is an error of this call.
        options.callbacks.push_update_reference = { _, status, _ in
            guard let status else { return 0 }
            git_error_set_str(Int32(GIT_ERROR_NET.rawValue), status)
            return GIT_EUSER.rawValue
        }
        try withStrings([specification]) { list in
            try checkRemote(git_remote_push(remote, list, &options), "cannot push to \(place.url)")
        }
    }

    static func notForward(_ place: String) -> StoreError {
        StoreError("\(place) has commits that are not here: fetch and merge first")
    }

    private func checkRemote(_ code: Int32, _ doing: String) throws {
        switch code {
        case GIT_ECERTIFICATE.rawValue:
            throw StoreError(
                "\(place.url): its host key is not the one in ~/.ssh/known_hosts; connect once with ssh to see it")
        case GIT_EAUTH.rawValue:
            let names = SSHKeys.files.map { "~/.ssh/\($0)" }.joined(separator: ", ")
            throw StoreError("\(place.url): no key that it accepts, neither the agent's nor \(names)")
        case GIT_ENONFASTFORWARD.rawValue: throw RemoteConnection.notForward(place.url)
        default: try check(code, doing)
        }
    }
}

/// Who we are to an ssh server: what the agent has, then the usual files.  Host keys are checked by libgit2, against
/// ~/.ssh/known_hosts; there is no callback here that could accept another one.
private enum SSHKeys {
    static let files = ["id_ed25519", "id_ecdsa", "id_rsa"]

    /// For one connection.
    static func callbacks() -> git_remote_callbacks {
        attempt = 0
        var callbacks = git_remote_callbacks()
        git_remote_init_callbacks(&callbacks, UInt32(GIT_REMOTE_CALLBACKS_VERSION))
        callbacks.credentials = { credential, _, user, allowed, _ in
            let name = user.map { String(cString: $0) } ?? SSHKeys.userName
            // Where the address has no user, that is asked for first.
            if allowed & GIT_CREDENTIAL_USERNAME.rawValue != 0 { return git_credential_username_new(credential, name) }
            guard allowed & GIT_CREDENTIAL_SSH_KEY.rawValue != 0 else { return GIT_EAUTH.rawValue }
            return SSHKeys.offerNext(credential, name)
        }
        return callbacks
    }

    /// As ssh does: this user's name.
    private static var userName: String {
        getpwuid(geteuid()).map { String(cString: $0.pointee.pw_name) } ?? "git"
    }

    /// libgit2 asks again as long as what it got is refused.
    private nonisolated(unsafe) static var attempt = 0

    private static func offerNext(
        _ credential: UnsafeMutablePointer<UnsafeMutablePointer<git_credential>?>?, _ user: String
    ) -> Int32 {
        var offers: [() -> Int32] = []
        if let agent = getenv("SSH_AUTH_SOCK"), agent.pointee != 0 {
            offers.append { git_credential_ssh_key_from_agent(credential, user) }
        }
        let home = getenv("HOME").map { String(cString: $0) } ?? ""
        for name in files {
            let file = "\(home)/.ssh/\(name)"
            guard access(file, R_OK) == 0 else { continue }
            let publicFile = access(file + ".pub", R_OK) == 0 ? file + ".pub" : nil
            offers.append { git_credential_ssh_key_new(credential, user, publicFile, file, nil) }
        }
        defer { attempt += 1 }
        return offers.indices.contains(attempt) ? offers[attempt]() : GIT_EAUTH.rawValue
    }
}

private func withStrings<Result>(_ strings: [String], _ body: (UnsafePointer<git_strarray>) throws -> Result) rethrows
    -> Result
{
    var copies = strings.map { strdup($0) }
    defer { for copy in copies { free(copy) } }
    return try copies.withUnsafeMutableBufferPointer { buffer in
        var array = git_strarray(strings: buffer.baseAddress, count: buffer.count)
        return try body(&array)
    }
}
