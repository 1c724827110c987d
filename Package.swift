// swift-tools-version: 6.1
// SPDX-License-Identifier: GPL-2.0-only
import PackageDescription

/// The model's functions are called across modules in the hot path, so a release build must inline them.
/// Kernel structs show as classes, whose fields Swift would guard against overlapping accesses by one list
/// a thread: fibers share that list, and every access would cost a call.
var modelSettings: [SwiftSetting] = [
    .unsafeFlags(["-enforce-exclusivity=unchecked"]),
    .unsafeFlags(["-cross-module-optimization"], .when(configuration: .release)),
]

/// The second build, whose code calls back for each access to memory: see CRecording.h.  ThreadSanitizer's instrumentation
/// is all it takes from there; a C function that Swift inlines from a header is instrumented by a flag of its own.
let recordsAccesses = Context.environment["MMDIFF_RECORD_ACCESSES"] != nil
let recordingSettings: [CSetting] = recordsAccesses ? [.unsafeFlags(["-fsanitize=thread"])] : []
if recordsAccesses { modelSettings.append(.unsafeFlags(["-sanitize=thread", "-Xcc", "-fsanitize=thread"])) }

let package = Package(
    name: "mmdiff",
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0")
    ],
    targets: [
        .target(name: "CKernel", cSettings: recordingSettings),
        .target(
            name: "CRecording", cSettings: recordsAccesses ? [.define("MMDIFF_RECORD_ACCESSES")] : []),
        .target(name: "CFiber", linkerSettings: [.linkedLibrary("boost_context")]),
        .target(
            name: "Dependence", dependencies: ["CRecording"],
            swiftSettings: [.unsafeFlags(["-enforce-exclusivity=unchecked"])]),
        .target(
            name: "Simulation", dependencies: ["CKernel", "CFiber", "CRecording", "Dependence"],
            swiftSettings: modelSettings),
        .target(name: "KernelModel", dependencies: ["CKernel", "Simulation"], swiftSettings: modelSettings),
        .target(name: "Traces", dependencies: ["CKernel", "KernelModel", "Simulation"]),
        .target(name: "CProcesses", dependencies: ["CKernel"]),
        .target(name: "Processes", dependencies: ["CProcesses"]),
        .target(name: "VariantKit", dependencies: ["CKernel", "Simulation", "KernelModel", "Processes"]),
        .target(
            name: "MunlockSplit",
            dependencies: ["CKernel", "Simulation", "KernelModel", "VariantKit", "CMunlockSplit"],
            path: "Variants/MunlockSplit", exclude: ["C", "README.md", "refactors"],
            resources: [.embedInCode("munlock-split.claims")], swiftSettings: modelSettings),
        .target(
            name: "CMunlockSplit", dependencies: ["CKernel"], path: "Variants/MunlockSplit/C",
            cSettings: recordingSettings),
        .target(
            name: "MlockDrain", dependencies: ["CKernel", "Simulation", "KernelModel", "VariantKit"],
            path: "Variants/MlockDrain", exclude: ["README.md", "refactors"],
            resources: [.embedInCode("mlock-drain.claims")],
            swiftSettings: modelSettings),
        .target(
            name: "RetractPageTables",
            dependencies: ["CKernel", "Simulation", "KernelModel", "VariantKit", "CRetractPageTables"],
            path: "Variants/RetractPageTables", exclude: ["C", "README.md", "refactors"],
            resources: [.embedInCode("retract-page-tables.claims")], swiftSettings: modelSettings),
        .target(
            name: "CRetractPageTables", dependencies: ["CKernel"], path: "Variants/RetractPageTables/C",
            exclude: ["retract_page_tables_new.c", "retract_page_tables_new.c.equivalent"],
            cSettings: recordingSettings),
        .target(
            name: "Differential",
            dependencies: ["CFiber", "CKernel", "Simulation", "KernelModel", "Traces", "VariantKit"],
            swiftSettings: modelSettings),
        .systemLibrary(name: "Clibgit2", pkgConfig: "libgit2", providers: [.apt(["libgit2-dev"])]),
        .target(name: "FixtureStore", dependencies: ["Clibgit2", "Differential", "Traces"]),
        .target(name: "Reports", dependencies: ["Differential", "VariantKit"]),
        .target(name: "CVariantSources"),
        .target(
            name: "CommandLineTool",
            dependencies: [
                "CKernel", "CVariantSources", "Differential", "FixtureStore", "KernelModel", "Processes", "Reports",
                "Simulation", "Traces", "VariantKit",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            plugins: ["SourceDigest"]),
        .plugin(name: "SourceDigest", capability: .buildTool()),
        .executableTarget(
            name: "mmdiff",
            dependencies: ["CommandLineTool", "MlockDrain", "MunlockSplit", "RetractPageTables", "VariantKit"]),
        .executableTarget(
            name: "TestWorker", dependencies: ["KernelModel", "Processes", "Simulation"], path: "Tests/TestWorker"),
        .executableTarget(
            name: "SearchCheck",
            dependencies: [
                "CKernel", "CRecording", "Differential", "KernelModel", "MlockDrain", "MunlockSplit",
                "RetractPageTables",
                "Simulation", "Traces", "VariantKit",
            ],
            path: "Tests/SearchCheck", swiftSettings: modelSettings),
        .testTarget(name: "CommandLineTests", dependencies: ["mmdiff"]),
        .testTarget(
            name: "DifferentialTests",
            dependencies: [
                "CKernel", "Simulation", "KernelModel", "Traces", "VariantKit", "Differential", "MlockDrain",
                "MunlockSplit", "RetractPageTables",
            ]),
        .testTarget(
            name: "FixtureStoreTests", dependencies: ["FixtureStore", "Differential", "KernelModel", "Traces"]),
        .testTarget(name: "KernelModelTests", dependencies: ["CKernel", "Simulation", "KernelModel"]),
        .testTarget(name: "ProcessesTests", dependencies: ["Processes", "TestWorker"]),
        .testTarget(name: "ReportsTests", dependencies: ["Differential", "Reports"]),
        .testTarget(name: "SimulationTests", dependencies: ["CKernel", "CFiber", "Simulation"]),
        .testTarget(name: "StyleTests"),
        .testTarget(
            name: "TracesTests", dependencies: ["Traces", "CKernel", "KernelModel", "Simulation"],
            exclude: ["Broken", "Inputs"]),
        .testTarget(name: "VariantKitTests", dependencies: ["CKernel", "Simulation", "KernelModel", "VariantKit"]),
    ]
)
