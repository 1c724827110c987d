// SPDX-License-Identifier: GPL-2.0-only
// The traces of findings as files, for `mmdiff replay` and `mmdiff run --from`.

import Differential
import Foundation

/// A folder that findings leave their traces in; made when there is a first one.
struct TraceFiles {
    var folder: String

    /// Writes the trace.
    ///
    /// - Returns: the file's path.
    func write(_ finding: Finding, family: String?, pair: String) throws -> String {
        let ending = finding.verdict == .deadlock ? finding.verdict.rawValue : nil
        let name = [family, pair, finding.key, ending].compactMap { $0 }.map(fileName).joined(separator: "-")
        let path = "\(folder)/\(shortened(name)).trace"
        do {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            try finding.trace.write(toFile: path, atomically: true, encoding: .utf8)
        } catch {
            throw InputError("cannot write \(path): \(error.localizedDescription)")
        }
        return path
    }

    /// The text with everything that is awkward in the name of a file replaced.
    private func fileName(_ text: String) -> String {
        let plain = text.map { $0.isASCII && ($0.isLetter || $0.isNumber || "._".contains($0)) ? $0 : "-" }
        return String(plain)
    }

    /// A long name keeps its beginning, and a hash of all of it.
    private func shortened(_ name: String) -> String {
        let most = 120
        guard name.count > most else { return name }
        let hash = name.utf8.reduce(UInt64(0xcbf2_9ce4_8422_2325)) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        return name.prefix(most) + "-" + String(hash, radix: 16)
    }
}
