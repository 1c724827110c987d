// SPDX-License-Identifier: GPL-2.0-only
// mmdiff fixture verify: whether everything that was found still shows.

import ArgumentParser
import FixtureStore

struct FixtureVerifyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Run all fixtures and compare what comes of them with what is expected.",
        discussion: """
            A fixture that the file Fixtures/allowlist names may deviate as long as its entry says; entries that are \
            stale are told. Exit status: 0 all hold, 1 one deviates, 2 one cannot be read, 125 there is none.
            """)

    @Argument(help: "Which fixtures, by name; all if none is named.")
    var names: [String] = []

    @Option(help: "The fixtures as they were at this revision.")
    var at: String?

    @Option(help: "Only those that are new or other than at this revision.")
    var since: String?

    @Flag(help: "Accept a schedule whose places have moved, and say where they are now.")
    var tolerant = false

    @Flag(help: "Print KTAP, as kernel tests do.")
    var ktap = false

    @OptionGroup var files: HandedFileOptions
    @OptionGroup var workers: WorkerOptions

    @Option(help: "The day on which the allowlist is read, YYYY-MM-DD.")
    var today: DayOption?

    @OptionGroup var store: StoreOptions
    @OptionGroup var output: OutputOptions

    /// Whether what is not seen is not there.
    private var wholeCollection: Bool { names.isEmpty && since == nil }

    func run() throws {
        let store = try store.open()
        let collection = try at.map(store.collection(at:)) ?? store.collection()
        var chosen = try names.isEmpty ? collection.fixtures : names.map(collection.fixture)
        if let since { chosen = try store.changed(chosen, since: since) }
        var results = try Verifier(jobs: workers.jobs, tolerant: tolerant, files: files.compiled()).verify(chosen)
        if names.isEmpty {
            results += collection.faults.map { Verification(name: $0, family: "", result: .broken) }
        }
        let stale = try results.allow(store.allowlist(at: at), on: today?.day ?? currentDay()).filter { _ in
            wholeCollection
        }
        let report = VerificationReport(results)
        if ktap { print(report.ktap) } else { try output.print(results) { report.text } }
        for line in stale { complain("mmdiff: stale: \(line)") }
        if report.count(.broken) > 0 { throw ExitStatus.badInput }
        if report.count(.deviates) > 0 { throw ExitStatus.difference }
        if results.isEmpty && since == nil { throw ExitStatus.cannotTell }
    }
}

struct DayOption: ExpressibleByArgument {
    var day: Day

    init?(argument: String) {
        guard let day = Day(argument) else { return nil }
        self.day = day
    }
}

/// Verifications as text.
struct VerificationReport {
    private let results: [Verification]

    init(_ results: [Verification]) {
        self.results = results
    }

    func count(_ result: Verification.Result) -> Int { results.count { $0.result == result } }

    var text: String {
        let lines = results.flatMap { item in
            [item.result.rawValue.padded(9) + item.name] + item.details.map { "         \($0)" }
        }
        let counts: [(Verification.Result, String)] = [
            (.ok, "ok"), (.drifted, "drifted"), (.known, "known"), (.deviates, "deviating"), (.broken, "broken"),
        ]
        let words = counts.filter { count($0.0) > 0 }.map { "\(count($0.0)) \($0.1)" }
        let total = results.count == 1 ? "1 fixture" : "\(results.count) fixtures"
        return (lines + [([total] + words).joined(separator: ", ")]).joined(separator: "\n")
    }

    /// https://docs.kernel.org/dev-tools/ktap.html: one test a family, with one for each of its fixtures.
    var ktap: String {
        var lines = ["KTAP version 1"]
        var families: [String] = []
        for item in results where !families.contains(item.family) { families.append(item.family) }
        lines.append("1..\(families.count)")
        for (number, family) in families.enumerated() {
            let own = results.filter { $0.family == family }
            lines += ["  KTAP version 1", "  1..\(own.count)"]
            for (number, item) in own.enumerated() {
                lines += item.details.map { "  # \($0)" }
                let name = item.name.replacing("#", with: "")
                let known = item.result == .known ? " # SKIP known" : ""
                lines.append("  \(item.holds ? "ok" : "not ok") \(number + 1) \(name)\(known)")
            }
            let title = family.isEmpty ? "files" : family
            lines.append("\(own.allSatisfy(\.holds) ? "ok" : "not ok") \(number + 1) \(title)")
        }
        return lines.joined(separator: "\n")
    }
}

extension Verification {
    var holds: Bool { [.ok, .drifted, .known].contains(result) }
}

extension String {
    fileprivate func padded(_ width: Int) -> String {
        self + String(repeating: " ", count: max(1, width - count))
    }
}
