// SPDX-License-Identifier: GPL-2.0-only
// One line on a terminal that says how far a run has come.

import Foundation

/// Rewrites its line a few times a second; where nobody watches, it says nothing.
final class ProgressLine {
    private let start = ContinuousClock.now
    private var last: ContinuousClock.Instant?
    private let isWatched = isatty(2) != 0
    /// How long all of it may take, in seconds; nil: no limit.
    private let limit: Double?

    init(limit: Double?) {
        self.limit = limit
    }

    func show(_ parts: [PartOfPair]) {
        let now = ContinuousClock.now
        guard isWatched, last.map({ now - $0 > .milliseconds(200) }) ?? true else { return }
        last = now
        let seconds = Double((now - start).components.seconds)
        let schedules = parts.reduce(0) { $0 + $1.progress.schedules }
        var text = "\(parts.reduce(0) { $0 + $1.progress.traces }) traces, \(schedules) schedules, "
        text += "\(parts.reduce(0) { $0 + $1.progress.differences }) differences"
        if seconds >= 1 { text += ", \(Int(Double(schedules) / seconds)) a second" }
        if let limit { text += ", \(max(0, Int(limit - seconds))) s left" }
        write("\r\u{1b}[K" + text)
    }

    func clear() {
        if isWatched && last != nil { write("\r\u{1b}[K") }
    }

    private func write(_ text: String) {
        FileHandle.standardError.write(Data(text.utf8))
    }
}
