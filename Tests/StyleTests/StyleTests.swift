// SPDX-License-Identifier: GPL-2.0-only
import Foundation
import Testing

/// What every file must keep to and no compiler checks.
@Suite struct StyleTests {
    /// A source file, by its path in the project.
    struct SourceFile {
        let path: String
        let lines: [Substring]
    }

    private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    private static func files(in folders: String..., ending endings: Set<String>) -> [SourceFile] {
        folders.flatMap { folder in
            let paths = FileManager.default.enumerator(atPath: root.appending(path: folder).path)
            return (paths?.compactMap { $0 as? String } ?? []).sorted().compactMap { path -> SourceFile? in
                let url = root.appending(path: folder).appending(path: path)
                guard endings.contains(url.pathExtension), let text = try? String(contentsOf: url, encoding: .utf8)
                else { return nil }
                return SourceFile(
                    path: "\(folder)/\(path)", lines: text.split(separator: "\n", omittingEmptySubsequences: false))
            }
        }
    }

    private let sources = files(in: "Sources", "Variants", "Tests", ending: ["swift", "c", "h"])
    /// What runs on fibers.
    private let model = files(in: "Sources/KernelModel", "Variants", ending: ["swift"])

    @Test func thereAreSources() {
        #expect(sources.count > 100 && model.count > 50)
    }

    @Test func filesBeginWithTheirLicence() {
        for file in sources {
            let first = file.lines.first ?? ""
            let line = first.hasPrefix("/*") ? first.dropFirst(3).dropLast(3) : first.dropFirst(3)
            #expect(line == "SPDX-License-Identifier: GPL-2.0-only", "\(file.path)")
        }
    }

    @Test func filesAreShort() {
        for file in sources { #expect(file.lines.count <= 501, "\(file.path)") }
    }

    @Test func noLineEndsInBlanks() {
        expectNone(sources, "a blank at the end") { $0.last == " " || $0.last == "\t" }
        // Texts that tests parse have tabs in them.
        expectNone(sources.filter { $0.path.hasSuffix(".swift") && !$0.path.hasPrefix("Tests") }, "a tab") {
            $0.contains("\t")
        }
    }

    /// Swift may pass a temporary for `&x.pointee` or `&page.flags`, while another task changes the original: only
    /// locals, which no other task sees, are passed by reference.
    @Test func nothingOfTheMachineIsPassedByReference() {
        expectNone(model, "a reference to what is not a local") {
            $0.contains(/[ (,\[]&[A-Za-z_]\w*[.(\[]/) && !isComment($0)
        }
    }

    /// The model is deterministic and small: no hash tables, no Foundation.
    @Test func theModelUsesNoHashTables() {
        expectNone(model.filter { !$0.path.contains("/State/") }, "Foundation, Dictionary or Set") {
            $0 == "import Foundation" || $0.contains("Dictionary<") || $0.contains("Set<")
        }
    }

    /// A fixture says with which variants it was recorded, so their texts are in the executable.
    @Test func allVariantsAreEmbedded() throws {
        let list = try #require(Self.files(in: "Sources/CVariantSources", ending: ["c"]).first).lines
        let embedded = list.filter { $0.hasPrefix("#embed") }.compactMap { $0.split(separator: "\"").last }
        let listed = list.filter { $0.hasPrefix("\tSOURCE(") }.map { "../../Variants/" + $0.split(separator: "\"")[1] }
        // Refactors are no variants of the executable; they are compiled like a user's file.
        let files = Self.files(in: "Variants", ending: ["swift", "c", "h"]).map { "../../" + $0.path }
            .filter { !$0.contains("/refactors/") }.sorted()
        #expect(embedded.map(String.init) == files && listed == files)
    }

    @Test func noTraceOfHowItWasWritten() {
        // In two halves, so that this file has none of them.
        let words = ["ses" + "sion", "/wo" + "rk/", "issue" + " #", "help" + "er \"", "T" + "ODO", "FIX" + "ME"]
        for word in words { expectNone(sources, word) { $0.contains(word) } }
    }

    private func expectNone(_ files: [SourceFile], _ what: String, _ isWrong: (Substring) -> Bool) {
        for file in files {
            for (number, line) in file.lines.enumerated() where isWrong(line) {
                Issue.record("\(file.path):\(number + 1): \(what)")
            }
        }
    }
}

private func isComment(_ line: Substring) -> Bool {
    line.drop { $0 == " " }.hasPrefix("//")
}
