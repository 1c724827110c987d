// SPDX-License-Identifier: GPL-2.0-only
// Starting other programs, with pipes to their standard streams.

import Glibc

/// A program could not be started.
public struct ProcessError: Error, CustomStringConvertible {
    public var description: String

    init(_ doing: String, _ error: Int32) {
        description = "\(doing): \(String(cString: strerror(error)))"
    }
}

/// How a process ended.
public enum ProcessEnd: Equatable, Sendable {
    case exited(status: Int32)
    case killed(signal: Int32)
}

/// A running program.  Its streams are pipes, non-blocking on this side.
public final class ChildProcess {
    public let id: pid_t
    /// What it reads; closed by `closeInput()`.
    public private(set) var input: Int32
    /// What it writes.
    public let output: Int32
    public let errors: Int32
    private var end: ProcessEnd?

    /// Starts `executable`, a path.
    ///
    /// - Parameters:
    ///   - environment: variables set for it on top of this process's own.
    ///   - shared: a file that it gets as descriptor 3.
    public init(
        _ executable: String, _ arguments: [String], environment: [String: String] = [:], shared: Int32? = nil
    ) throws {
        let (childInput, input) = try makePipe()
        let (output, childOutput) = try makePipe()
        let (errors, childErrors) = try makePipe()
        defer { for descriptor in [childInput, childOutput, childErrors] { close(descriptor) } }

        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, childInput, 0)
        posix_spawn_file_actions_adddup2(&actions, childOutput, 1)
        posix_spawn_file_actions_adddup2(&actions, childErrors, 2)
        if let shared { posix_spawn_file_actions_adddup2(&actions, shared, 3) }

        var attributes = plainSignals()
        defer { posix_spawnattr_destroy(&attributes) }

        var id = pid_t()
        let error = withCStrings([executable] + arguments) { arguments in
            withCStrings(mergedEnvironment(environment)) { environment in
                posix_spawn(&id, executable, &actions, &attributes, arguments, environment)
            }
        }
        guard error == 0 else {
            for descriptor in [input, output, errors] { close(descriptor) }
            throw ProcessError("cannot start \(executable)", error)
        }
        (self.id, self.input, self.output, self.errors) = (id, input, output, errors)
        for descriptor in [input, output, errors] {
            _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
        }
    }

    deinit {
        closeInput()
        close(output)
        close(errors)
        if end == nil {
            kill(id, SIGKILL)
            _ = wait()
        }
    }

    public func closeInput() {
        if input >= 0 { close(input) }
        input = -1
    }

    /// Waits for the end of the process.
    public func wait() -> ProcessEnd {
        if let end { return end }
        var status: Int32 = 0
        while waitpid(id, &status, 0) < 0 && errno == EINTR {}
        let signal = status & 0x7f
        let end: ProcessEnd = signal == 0 ? .exited(status: status >> 8 & 0xff) : .killed(signal: signal)
        self.end = end
        return end
    }
}

/// No signal blocked, and a broken pipe as deadly as usual, whatever the thread that starts it has set.
private func plainSignals() -> posix_spawnattr_t {
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    var signals = sigset_t()
    sigemptyset(&signals)
    posix_spawnattr_setsigmask(&attributes, &signals)
    sigaddset(&signals, SIGPIPE)
    posix_spawnattr_setsigdefault(&attributes, &signals)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
    return attributes
}

/// Runs a program that reads nothing to its end.
///
/// - Returns: how it ended, and all that it wrote to its standard output and error streams.
public func runTool(
    _ executable: String, _ arguments: [String], environment: [String: String] = [:]
) throws -> (end: ProcessEnd, output: String) {
    let process = try ChildProcess(executable, arguments, environment: environment)
    process.closeInput()
    var text: [UInt8] = []
    var open: Set<Int32> = [process.output, process.errors]
    while !open.isEmpty {
        var polled = [process.output, process.errors].map {
            pollfd(fd: open.contains($0) ? $0 : -1, events: Int16(POLLIN), revents: 0)
        }
        poll(&polled, nfds_t(polled.count), -1)
        for ready in polled where ready.revents != 0 {
            if !readAvailable(ready.fd, into: &text) { open.remove(ready.fd) }
        }
    }
    return (process.wait(), String(decoding: text, as: UTF8.self))
}

/// The path of program `name`: on PATH or, for what comes with a Swift toolchain, next to `swift`.
public func findTool(_ name: String) -> String? {
    if name.contains("/") { return access(name, X_OK) == 0 ? name : nil }
    for folder in searchPath() where access("\(folder)/\(name)", X_OK) == 0 { return "\(folder)/\(name)" }
    guard name != "swift", let swift = findTool("swift"), let resolved = realpath(swift, nil) else { return nil }
    defer { free(resolved) }
    let path = String(cString: resolved)
    let sibling = path[..<path.lastIndex(of: "/")!] + "/" + name
    return access(String(sibling), X_OK) == 0 ? String(sibling) : nil
}

private func searchPath() -> [Substring] {
    guard let path = getenv("PATH") else { return [] }
    return String(cString: path).split(separator: ":")
}

/// Reads what there is.
///
/// - Returns: false at the end of the stream.
func readAvailable(_ descriptor: Int32, into text: inout [UInt8]) -> Bool {
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
        let count = read(descriptor, &buffer, buffer.count)
        if count > 0 {
            text.append(contentsOf: buffer[..<count])
        } else if count == 0 {
            return false
        } else if errno != EINTR {
            return errno == EAGAIN
        }
    }
}

/// - Returns: the end to read from and the end to write to.
private func makePipe() throws -> (Int32, Int32) {
    var ends: [Int32] = [0, 0]
    guard pipe(&ends) == 0 else { throw ProcessError("cannot make a pipe", errno) }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    return (ends[0], ends[1])
}

private func mergedEnvironment(_ changes: [String: String]) -> [String] {
    var result = changes.map { "\($0.key)=\($0.value)" }.sorted()
    var variable = environ
    while let text = variable.pointee {
        let assignment = String(cString: text)
        if changes[String(assignment.prefix { $0 != "=" })] == nil { result.append(assignment) }
        variable += 1
    }
    return result
}

/// Calls `body` with a null-terminated array of C strings.
private func withCStrings<Result>(
    _ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Result
) -> Result {
    let copies = strings.map { strdup($0) }
    defer { for copy in copies { free(copy) } }
    return body(copies + [nil])
}
