// SPDX-License-Identifier: GPL-2.0-only
// The parent's side of worker processes: starts them, collects what they send, and finds out where one
// that crashed or hangs stood.

import CProcesses
import Foundation

/// Where a worker's simulation stood when it crashed or was stopped.
public struct WorkerPlace: Codable, Equatable, Sendable {
    /// What it worked on, in its own words; empty if it had not begun.
    public var activity: String
    /// The task that ran and its op, by number; nil if none had started.
    public var task: Int?
    public var op: Int?
    /// The last yield point that the task passed, `function:label`.
    public var yieldPoint: String

    public init(activity: String, task: Int?, op: Int?, yieldPoint: String) {
        self.activity = activity
        self.task = task
        self.op = op
        self.yieldPoint = yieldPoint
    }
}

/// How a worker ended.
public enum WorkerEnd: Equatable, Sendable {
    /// Its job is done.
    case done
    /// It could not do its job, and says why.
    case failed(String)
    /// A signal ended it; also what it wrote to its error stream last.
    case crashed(signal: Int32, WorkerPlace, String)
    /// It made no progress for too long.
    case hung(WorkerPlace)
}

/// Runs jobs, each in a worker process of its own.
public struct WorkerPool {
    /// The program and arguments that start a worker.
    public var command: [String]
    /// How many run at once.
    public var width: Int
    /// How long a worker may go without progress, in seconds.
    public var patience: Double

    public init(command: [String] = ["/proc/self/exe", "worker"], width: Int = 1, patience: Double = 10) {
        self.command = command
        self.width = width
        self.patience = patience
    }

    /// Runs all `jobs`.
    ///
    /// - Parameter receive: called with the number of a job and a result that it sent, in the order of
    ///   each worker's sending.
    /// - Returns: how each worker ended, in the order of the jobs.
    public func run<Job: Encodable, Result: Decodable>(
        _ jobs: [Job], receive: (Int, Result) throws -> Void
    ) throws -> [WorkerEnd] {
        // A worker that dies before it has read its job must not take the parent with it.
        signal(SIGPIPE, SIG_IGN)
        var ends = [WorkerEnd?](repeating: nil, count: jobs.count)
        var running: [RunningWorker] = []
        var next = 0
        while next < jobs.count || !running.isEmpty {
            while running.count < max(width, 1) && next < jobs.count {
                running.append(try RunningWorker(number: next, command, job: JSONEncoder().encode(jobs[next])))
                next += 1
            }
            waitForAny(of: running)
            for worker in running {
                let alive = worker.pump()
                for line in worker.takeLines() {
                    try receive(worker.number, JSONDecoder().decode(Result.self, from: Data(line)))
                }
                if !alive {
                    ends[worker.number] = worker.finish()
                } else if worker.secondsWithoutProgress > patience {
                    ends[worker.number] = worker.stop()
                }
            }
            running.removeAll { ends[$0.number] != nil }
        }
        return ends.map { $0! }
    }

    private func waitForAny(of workers: [RunningWorker]) {
        var polled = workers.flatMap(\.polled)
        poll(&polled, nfds_t(polled.count), 100)
    }
}

/// A worker that has not ended yet.
private final class RunningWorker {
    let number: Int
    private let process: ChildProcess
    private let page: UnsafeMutablePointer<worker_page>
    private var unsent: Data
    private var received: [UInt8] = []
    private var complaints: [UInt8] = []
    private var outputIsOpen = true
    private var errorsAreOpen = true
    private var lastProgress: UInt32 = 0
    private var lastChange = monotonicSeconds()

    init(number: Int, _ command: [String], job: Data) throws {
        self.number = number
        var descriptor: Int32 = -1
        guard let page = worker_page_create(&descriptor) else { throw ProcessError("cannot share a page", errno) }
        defer { close(descriptor) }
        self.page = page
        process = try ChildProcess(command[0], Array(command.dropFirst()), shared: descriptor)
        unsent = job
    }

    deinit {
        worker_page_unmap(page)
    }

    var polled: [pollfd] {
        [
            pollfd(fd: outputIsOpen ? process.output : -1, events: Int16(POLLIN), revents: 0),
            pollfd(fd: errorsAreOpen ? process.errors : -1, events: Int16(POLLIN), revents: 0),
            pollfd(fd: process.input, events: Int16(POLLOUT), revents: 0),
        ]
    }

    /// Moves data to and from the worker, as far as possible without waiting.
    ///
    /// - Returns: false once it has closed its streams.
    func pump() -> Bool {
        sendJob()
        if outputIsOpen { outputIsOpen = readAvailable(process.output, into: &received) }
        if errorsAreOpen { errorsAreOpen = readAvailable(process.errors, into: &complaints) }
        return outputIsOpen || errorsAreOpen
    }

    private func sendJob() {
        guard process.input >= 0 else { return }
        let count = unsent.withUnsafeBytes { write(process.input, $0.baseAddress, $0.count) }
        if count > 0 { unsent.removeFirst(count) }
        if unsent.isEmpty || (count < 0 && errno != EAGAIN && errno != EINTR) { process.closeInput() }
    }

    /// The complete lines that have come in.
    func takeLines() -> [ArraySlice<UInt8>] {
        guard let last = received.lastIndex(of: UInt8(ascii: "\n")) else { return [] }
        defer { received.removeFirst(last + 1) }
        return received[...last].split(separator: UInt8(ascii: "\n"))
    }

    var secondsWithoutProgress: Double {
        if page.pointee.progress != lastProgress {
            lastProgress = page.pointee.progress
            lastChange = monotonicSeconds()
        }
        return monotonicSeconds() - lastChange
    }

    /// The worker has closed its streams.
    func finish() -> WorkerEnd {
        switch process.wait() {
        case .exited(status: 0): .done
        case .exited: .failed(complaint)
        case .killed(let signal): .crashed(signal: signal, place, complaint)
        }
    }

    /// Asks a worker that hangs for its place, and ends it.
    func stop() -> WorkerEnd {
        kill(process.id, WORKER_REPORT_SIGNAL)
        let deadline = monotonicSeconds() + 1
        while pump() && monotonicSeconds() < deadline { usleep(1000) }
        kill(process.id, SIGKILL)
        _ = process.wait()
        return .hung(place)
    }

    private var place: WorkerPlace {
        let task = Int(page.pointee.task)
        let op = Int(page.pointee.op)
        return WorkerPlace(
            activity: String(cString: worker_page_activity(page)), task: task < 0 ? nil : task,
            op: op < 0 ? nil : op, yieldPoint: String(cString: worker_page_yield_point(page)))
    }

    private var complaint: String {
        String(decoding: complaints, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    }
}

private func monotonicSeconds() -> Double {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return Double(now.tv_sec) + Double(now.tv_nsec) * 1e-9
}
