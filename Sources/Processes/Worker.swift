// SPDX-License-Identifier: GPL-2.0-only
// The worker's side of a worker process: it reads its job, simulates, and sends what it found.

import CProcesses
import Foundation

/// A process that does one job for its parent.
public struct Worker {
    private let page: UnsafeMutablePointer<worker_page>

    /// Reads the job from the standard input, does it and ends.
    ///
    /// An error that `body` throws reaches the parent in words.  A crash is noted with its place.
    public static func main<Job: Decodable>(_ body: (Worker, Job) throws -> Void) -> Never {
        guard let page = worker_page_attach(3) else {
            complain("a worker is started by mmdiff itself, with a page to share")
            exit(2)
        }
        do {
            let input = FileHandle.standardInput.readDataToEndOfFile()
            try body(Worker(page: page), JSONDecoder().decode(Job.self, from: input))
            exit(0)
        } catch {
            complain("\(error)")
            exit(1)
        }
    }

    /// Sends one result.
    public func send(_ result: some Encodable) throws {
        try FileHandle.standardOutput.write(contentsOf: JSONEncoder().encode(result) + [UInt8(ascii: "\n")])
    }

    /// Says what it works on, for the report of a crash, and that all is well.
    public func begin(_ activity: String) {
        worker_page_describe(page, activity)
        progress()
    }

    /// Says that all is well.
    @inline(__always)
    public func progress() {
        page.pointee.progress &+= 1
    }

    private static func complain(_ text: String) {
        FileHandle.standardError.write(Data((text + "\n").utf8))
    }
}
