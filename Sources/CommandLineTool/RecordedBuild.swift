// SPDX-License-Identifier: GPL-2.0-only
// The second build of mmdiff, whose code records what it reads and writes: workers of reduced and stateful searches run
// it.  It lies beside this executable, where `make explore-build` puts it.

import Foundation
import Simulation

/// The executable to start workers of, for a search that needs to know every access.
///
/// - Throws: if there is none that was made from the same source.
func recordedBuild(for need: String) throws -> String {
    if recordsAccesses { return "/proc/self/exe" }
    let own = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath()
    let path = own.deletingLastPathComponent().appending(path: recordedBuildName).path
    guard FileManager.default.isExecutableFile(atPath: path) else {
        throw InputError("\(need) needs the build that records accesses: no \(path); `make explore-build` makes it")
    }
    return path
}

private let recordedBuildName = "mmdiff-recorded"
