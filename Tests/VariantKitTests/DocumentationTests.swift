// SPDX-License-Identifier: GPL-2.0-only
import Foundation
import Processes
import Testing

@testable import VariantKit

/// The examples in docs/VARIANTS.md, as they stand there.
@Suite struct DocumentationTests {
    private let folder: URL

    init() throws {
        folder = URL(filePath: try TemporaryFolder().path)
    }

    @Test func exampleInCIsAVariant() throws {
        let file = try write(codeBlock("c"), to: "mine.c")
        let variant = try UserVariant(source: file)
        #expect(variant.warnings == "")
        #expect(variant.library.replacedFunctions == ["page_mlock_one"])
        _ = try variant.library.load()
    }

    @Test func exampleInSwiftCompiles() throws {
        let file = try write(codeBlock("swift"), to: "Example.swift")
        let products = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
        let compiler = try #require(findTool("swiftc"))
        let headers = ["CKernel", "CFiber", "CProcesses", "CRecording"].map {
            root.appending(path: "Sources/\($0)/include").path
        }
        let maps = ["CFiber", "CProcesses", "CRecording"].map {
            products.appending(path: "\($0).build/module.modulemap").path
        }
        let result = try runTool(
            compiler,
            ["-typecheck", "-swift-version", "6", "-I", products.appending(path: "Modules").path, file]
                + headers.flatMap { ["-I", $0] } + maps.flatMap { ["-Xcc", "-fmodule-map-file=\($0)"] })
        #expect(result.end == .exited(status: 0), "\(result.output)")
    }

    private let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../..").standardized

    /// The first block of the page that is written in `language`.
    private func codeBlock(_ language: String) throws -> String {
        let page = try String(contentsOf: root.appending(path: "docs/VARIANTS.md"), encoding: .utf8)
        let start = try #require(page.range(of: "```\(language)\n"))
        let end = try #require(page.range(of: "\n```", range: start.upperBound..<page.endIndex))
        return String(page[start.upperBound..<end.lowerBound]) + "\n"
    }

    private func write(_ text: String, to name: String) throws -> String {
        let file = folder.appending(path: name)
        try text.write(to: file, atomically: true, encoding: .utf8)
        return file.path
    }
}
