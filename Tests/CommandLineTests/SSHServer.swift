// SPDX-License-Identifier: GPL-2.0-only
import Foundation
import Testing

/// An ssh server on this machine, for this user alone, and the keys for it.
final class SSHServer {
    let port: UInt16
    private let daemon: Daemon
    private let folder: FixtureFolder
    /// Where the client's key is; not where ssh looks for keys by itself.
    let key: String
    private let agent: (daemon: Daemon, socket: String)?

    static let reason = "needs sshd, ssh-keygen and ssh-agent, and a folder /run/sshd if it runs as root"
    static var isPossible: Bool {
        let root = geteuid() == 0
        return ["sshd", "ssh-keygen", "ssh-agent", "ssh-add"].allSatisfy { tool($0) != nil }
            && (!root || FileManager.default.fileExists(atPath: "/run/sshd") || mkdir("/run/sshd", 0o755) == 0)
    }

    static func tool(_ name: String) -> String? {
        ["/usr/sbin/", "/usr/bin/", "/usr/local/sbin/", "/usr/local/bin/"].map { $0 + name }
            .first { FileManager.default.isExecutableFile(atPath: $0) }
    }

    /// - Parameter agent: start an agent that has the key.
    init(_ folder: FixtureFolder, agent: Bool = false) throws {
        self.folder = folder
        let keys = folder.path + "/keys"
        try FileManager.default.createDirectory(atPath: keys, withIntermediateDirectories: true)
        for name in ["host", "client"] {
            let made = try runProgram(
                SSHServer.tool("ssh-keygen")!, ["-q", "-t", "ed25519", "-N", "", "-f", "\(keys)/\(name)"], [:])
            try #require(made.status == 0, "\(made.errors)")
        }
        key = keys + "/client"
        try FileManager.default.copyItem(atPath: keys + "/client.pub", toPath: keys + "/authorized")
        port = try freePort()
        let configuration = """
            Port \(port)
            ListenAddress 127.0.0.1
            HostKey \(keys)/host
            AuthorizedKeysFile \(keys)/authorized
            PidFile none
            UsePAM no
            StrictModes no
            PasswordAuthentication no
            KbdInteractiveAuthentication no
            PermitRootLogin prohibit-password

            """
        let file = try folder.write("keys/sshd_config", configuration)
        daemon = try Daemon(
            "'\(SSHServer.tool("sshd")!)' -D -E '\(keys)/log' -f '\(file)'", pidFile: keys + "/sshd.pid")
        if agent {
            let socket = keys + "/agent"
            let command = "'\(SSHServer.tool("ssh-agent")!)' -D -a '\(socket)'"
            self.agent = (try Daemon(command, pidFile: keys + "/agent.pid"), socket)
        } else {
            self.agent = nil
        }
        try #require(waitFor { canConnect(to: port) }, "sshd does not start: \((try? folder.read("keys/log")) ?? "")")
        guard let agent = self.agent else { return }
        try #require(waitFor { FileManager.default.fileExists(atPath: agent.socket) }, "ssh-agent does not start")
        let added = try runProgram(SSHServer.tool("ssh-add")!, ["-q", key], ["SSH_AUTH_SOCK": agent.socket])
        try #require(added.status == 0, "\(added.errors)")
    }

    /// What a client has in its environment.
    var environment: [String: String] {
        folder.environment.merging(["SSH_AUTH_SOCK": agent?.socket ?? ""]) { $1 }
    }

    /// Puts the key where ssh looks for it.
    func installKey() throws {
        try FileManager.default.createDirectory(
            atPath: folder.path + "/.ssh", withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        try FileManager.default.copyItem(atPath: key, toPath: folder.path + "/.ssh/id_ed25519")
        try FileManager.default.copyItem(atPath: key + ".pub", toPath: folder.path + "/.ssh/id_ed25519.pub")
    }

    /// Enters a host key, the server's if none is given, among those that the client knows.
    func introduce(key file: String = "keys/host.pub") throws {
        try folder.write(".ssh/known_hosts", "[127.0.0.1]:\(port) \(folder.read(file))")
    }

    func url(_ store: String, user: Bool = true) -> String {
        "ssh://\(user ? NSUserName() + "@" : "")127.0.0.1:\(port)\(folder.path)/\(store)"
    }

    var log: String { (try? folder.read("keys/log")) ?? "" }
}

/// A program that runs until it is killed.  There is a shell above it, since Foundation takes a process that closes
/// all its files, as sshd does, for one that has ended, and waits for it.
private final class Daemon {
    private let shell = Process()
    private let pidFile: String

    init(_ command: String, pidFile: String) throws {
        self.pidFile = pidFile
        shell.executableURL = URL(filePath: "/bin/sh")
        shell.arguments = ["-c", "\(command) & echo $! > '\(pidFile)'; wait"]
        shell.standardInput = FileHandle.nullDevice
        shell.standardOutput = FileHandle.nullDevice
        try shell.run()
    }

    /// Other signals, that of a child's end too, are blocked in what a test runner starts.
    deinit {
        let text = (try? String(contentsOfFile: pidFile, encoding: .utf8)) ?? ""
        if let process = pid_t(text.trimmingCharacters(in: .newlines)) { kill(process, SIGKILL) }
        kill(shell.processIdentifier, SIGKILL)
        shell.waitUntilExit()
    }
}

private func waitFor(_ condition: () -> Bool) -> Bool {
    for _ in 0..<200 {
        if condition() { return true }
        usleep(25_000)
    }
    return false
}

private func withAddress<Result>(_ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    let size = socklen_t(MemoryLayout<sockaddr_in>.size)
    return withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, size) }
    }
}

private func canConnect(to port: UInt16) -> Bool {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    return withAddress(port) { connect(descriptor, $0, $1) } == 0
}

private func freePort() throws -> UInt16 {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    try #require(withAddress(0) { bind(descriptor, $0, $1) } == 0)
    var address = sockaddr_in()
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let named = withUnsafeMutablePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &size) }
    }
    try #require(named == 0)
    return UInt16(bigEndian: address.sin_port)
}
