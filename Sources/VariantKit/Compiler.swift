// SPDX-License-Identifier: GPL-2.0-only
// The C compiler that user variants are built with.

import Glibc
import Processes

/// A C compiler: `CC` of the environment, or clang, or whatever `cc` is.
public struct Compiler {
    public var path: String
    /// What follows the program in `CC`.
    public var arguments: [String]

    public static func find() -> Compiler? {
        if let chosen = getenv("CC") {
            let words = String(cString: chosen).split(separator: " ").map(String.init)
            if let name = words.first {
                return findTool(name).map { Compiler(path: $0, arguments: Array(words.dropFirst())) }
            }
        }
        for name in ["clang", "cc", "gcc"] {
            if let path = findTool(name) { return Compiler(path: path, arguments: []) }
        }
        return nil
    }

    /// Compiles and links a small variant.
    ///
    /// - Throws: an error that says what does not work.
    public func check() throws {
        let folder = try TemporaryFolder()
        try writeKernelHeaders(to: folder)
        try folder.write("#include <mmdiff.h>\nvoid put_page(struct page *page) { (void)page; }\n", to: "variant.c")
        let object = folder.path + "/variant.o"
        _ = try compile(folder.path + "/variant.c", to: object, headers: folder.path)
        try link(object, to: folder.path + "/variant.so", folder: folder, "variant.c")
    }

    /// As the kernel is compiled where that bears on meaning, and with an error for every call or
    /// assignment whose types do not fit.
    private static let options = [
        "-DMMDIFF_PLUGIN", "-std=gnu11", "-O1", "-g", "-fPIC", "-fno-common", "-fno-strict-aliasing", "-fwrapv",
        "-fno-delete-null-pointer-checks", "-fdiagnostics-color=never", "-Wall", "-Wno-unused-function",
        "-Werror=implicit-function-declaration", "-Werror=incompatible-pointer-types", "-Werror=int-conversion",
        "-Werror=return-type",
    ]

    /// Compiles `source` into the object file `object`.
    ///
    /// - Returns: warnings.
    func compile(_ source: String, to object: String, headers: String, recorded: Bool = false) throws -> String {
        let instrumented = recorded ? ["-fsanitize=thread"] : []
        let result = try run(Compiler.options + instrumented + ["-isystem", headers, "-c", "-o", object, source])
        guard result.end == .exited(status: 0) else {
            throw UserVariantError.compilation(of: source, result.output)
        }
        return result.output
    }

    /// Links `object` with what stands for all functions it does not define itself: they call through the
    /// table of the kernel that runs.
    func link(
        _ object: String, to library: String, folder: TemporaryFolder, _ source: String, recorded: Bool = false
    ) throws {
        try folder.write(Compiler.stubs + (recorded ? Compiler.recordingStubs : ""), to: "stubs.c")
        let result = try run(
            Compiler.options + [
                "-isystem", folder.path, "-shared", "-Wl,-z,defs", "-Wl,-Bsymbolic", "-o", library, object,
                folder.path + "/stubs.c",
            ])
        guard result.end == .exited(status: 0) else {
            throw UserVariantError.doesNotCompile(source, result.output)
        }
    }

    private static let stubs = """
        #include <mmdiff.h>
        struct kernel_state **mmdiff_kernel;
        #define OP(type, name, parameters, arguments) \\
            __attribute__((weak)) type name parameters { return kernel->ops->name arguments; }
        KERNEL_OPS(OP)
        """

    /// The callbacks of the sanitizer's instrumentation, for those that C code makes: the host has the recording.
    private static let recordingStubs = """

        #define RECORD(size, writes) kernel->simulation->record_access(address, size, writes)
        #define ACCESS(size) \\
            void __tsan_read##size(void *address) { RECORD(size, false); } \\
            void __tsan_write##size(void *address) { RECORD(size, true); } \\
            void __tsan_read_write##size(void *address) { RECORD(size, false); RECORD(size, true); } \\
            void __tsan_unaligned_read##size(void *address) { RECORD(size, false); } \\
            void __tsan_unaligned_write##size(void *address) { RECORD(size, true); } \\
            void __tsan_unaligned_read_write##size(void *address) { __tsan_read_write##size(address); } \\
            void __tsan_volatile_read##size(void *address) { RECORD(size, false); } \\
            void __tsan_volatile_write##size(void *address) { RECORD(size, true); }
        ACCESS(1) ACCESS(2) ACCESS(4) ACCESS(8) ACCESS(16)
        void __tsan_init(void) {}
        void __tsan_func_entry(void *caller) { (void)caller; }
        void __tsan_func_exit(void) {}
        void __tsan_read_range(void *address, unsigned long size) { RECORD(size, false); }
        void __tsan_write_range(void *address, unsigned long size) { RECORD(size, true); }
        void *__tsan_memset(void *address, int byte, unsigned long size)
        {
            RECORD(size, true);
            return __builtin_memset(address, byte, size);
        }
        void *__tsan_memcpy(void *address, void *from, unsigned long size)
        {
            RECORD(size, true);
            kernel->simulation->record_access(from, size, false);
            return __builtin_memcpy(address, from, size);
        }
        void *__tsan_memmove(void *address, void *from, unsigned long size)
        {
            RECORD(size, true);
            kernel->simulation->record_access(from, size, false);
            return __builtin_memmove(address, from, size);
        }
        """

    private func run(_ options: [String]) throws -> (end: ProcessEnd, output: String) {
        try runTool(path, arguments + options, environment: ["LC_ALL": "C"])
    }
}
