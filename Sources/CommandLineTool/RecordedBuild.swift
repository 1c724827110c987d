// SPDX-License-Identifier: GPL-2.0-only
// The second build of mmdiff, whose code records what it reads and writes: workers of reduced and stateful searches run
// it.  It lies beside this executable, where `make explore-build` puts it.

import Foundation
import Processes
import Simulation

/// Which build of mmdiff this is.
struct BuildIdentity: Codable, Equatable {
    /// A digest of what it was made of; `Plugins/SourceDigest` writes it.
    var sources: String
    var recordsAccesses: Bool

    static let own = BuildIdentity(sources: sourceDigest, recordsAccesses: Simulation.recordsAccesses)
}

/// The executable to start workers of, for a search that needs to know every access.
///
/// - Throws: if there is none that was made from the same sources.
func recordedBuild(for need: String) throws -> String {
    if recordsAccesses { return "/proc/self/exe" }
    let own = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath()
    let path = own.deletingLastPathComponent().appending(path: recordedBuildName).path
    let needed = "\(need) needs the build that records accesses"
    guard FileManager.default.isExecutableFile(atPath: path) else {
        throw InputError("\(needed): no \(path); `make explore-build` makes it")
    }
    // One that is too old to be asked gives no answer.
    let identity = try? runJob(.identity, by: path) as BuildIdentity
    guard identity == BuildIdentity(sources: sourceDigest, recordsAccesses: true) else {
        throw InputError("\(needed), of the same sources: \(path) is not; `make explore-build` makes it anew")
    }
    return path
}

private let recordedBuildName = "mmdiff-recorded"
