// SPDX-License-Identifier: GPL-2.0-only
// Writes a digest of all sources into what is built: two builds with the same one were made of the same sources.

import Foundation
import PackagePlugin

@main struct SourceDigest: BuildToolPlugin {
    func createBuildCommands(context: PluginContext, target: any Target) throws -> [Command] {
        let package = context.package.directoryURL
        let paths = try ["Sources", "Variants"].flatMap { folder in
            try FileManager.default.subpathsOfDirectory(atPath: package.appending(path: folder).path)
                .map { "\(folder)/\($0)" }
        }
        let files = (["Package.swift"] + paths).filter { path in
            var isFolder: ObjCBool = false
            return FileManager.default.fileExists(atPath: package.appending(path: path).path, isDirectory: &isFolder)
                && !isFolder.boolValue
        }.sorted()
        let output = context.pluginWorkDirectoryURL.appending(path: "SourceDigest.swift")
        return [
            .buildCommand(
                displayName: "Digest of the sources", executable: URL(filePath: "/bin/sh"),
                arguments: ["-c", script, "sh", package.path, output.path] + files,
                inputFiles: files.map { package.appending(path: $0) }, outputFiles: [output])
        ]
    }

    /// A digest of the digests: names count, too.
    private let script = """
        set -e; cd "$1"; output=$2; shift 2
        digest=$(sha256sum -- "$@" | sha256sum)
        printf 'let sourceDigest = "%s"\\n' "${digest%% *}" > "$output"
        """
}
