// SPDX-License-Identifier: GPL-2.0-only
// A variant that a user wrote in C: compiled against CKernel into a shared library, which the process
// that simulates then loads.

import CKernel
import Glibc
import Processes

/// A user's C file, compiled.
public struct UserVariant {
    /// What a process needs to load it.
    public let library: UserLibrary
    /// What the compiler had to say.
    public let warnings: String

    /// Compiles the file at `source`.
    ///
    /// - Parameter recorded: with calls to the host for each access to memory: see CRecording.h.
    /// - Throws: `UserVariantError`.
    public init(source: String, recorded: Bool = false) throws {
        guard access(source, R_OK) == 0 else {
            throw UserVariantError.unreadable(source, String(cString: strerror(errno)))
        }
        guard let compiler = Compiler.find() else { throw UserVariantError.noCompiler(source) }
        let folder = try TemporaryFolder()
        try writeKernelHeaders(to: folder)
        let object = folder.path + "/variant.o"
        let library = folder.path + "/variant.so"

        warnings = try compiler.compile(source, to: object, headers: folder.path, recorded: recorded)
        let functions = try UserVariant.checkedFunctions(of: object, source)
        try compiler.link(object, to: library, folder: folder, source, recorded: recorded)
        self.library = UserLibrary(source: source, path: library, replacedFunctions: functions)
    }

    /// The kernel operations that `object` replaces.
    private static func checkedFunctions(of object: String, _ source: String) throws -> [String] {
        guard let file = ObjectFile(path: object) else {
            throw UserVariantError.doesNotLoad(source, "the compiler made no 64-bit ELF object")
        }
        guard file.writableVariables.isEmpty else { throw UserVariantError.hasData(source, file.writableVariables) }
        let replaced = kernelOperations.filter(Set(file.functions).contains)
        guard !replaced.isEmpty else { throw UserVariantError.replacesNothing(source, file.functions) }
        return replaced
    }
}

/// A compiled user variant as another process gets it.
public struct UserLibrary: Codable, Sendable {
    /// The C file, for messages.
    public var source: String
    public var path: String
    public var replacedFunctions: [String]

    /// Loads the library into this process, for as long as it lives: names of yield points point into it.
    ///
    /// - Returns: a function that enters what the library replaces in a table.
    public func load() throws -> @Sendable (kernel_ops) -> Void {
        guard let handle = dlopen(path, RTLD_NOW | RTLD_LOCAL) else {
            throw UserVariantError.doesNotLoad(source, String(cString: dlerror()))
        }
        guard let machine = dlsym(handle, "mmdiff_kernel") else {
            throw UserVariantError.doesNotLoad(source, "it was not linked by mmdiff")
        }
        plugin_attach(machine)
        let replaced = try replacedFunctions.map { name -> (slot: Int, address: UInt) in
            guard let slot = kernelOperations.firstIndex(of: name), let function = dlsym(handle, name) else {
                throw UserVariantError.doesNotLoad(source, "it has no \(name)")
            }
            return (slot, UInt(bitPattern: function))
        }
        return { operations in
            let slots = unsafeBitCast(operations, to: UnsafeMutablePointer<UnsafeMutableRawPointer?>.self)
            for (slot, address) in replaced { slots[slot] = UnsafeMutableRawPointer(bitPattern: address) }
        }
    }

    /// The variant that is `base` with the library's functions instead.
    public func variant(on base: Variant) throws -> Variant {
        let enter = try load()
        return Variant(
            name: source, era: base.era,
            summary: "\(base.name) with \(replacedFunctions.joined(separator: ", ")) from \(source).",
            changedFunctions: replacedFunctions
        ) { operations in
            base.install(operations)
            enter(operations)
        }
    }
}

/// The names of all kernel operations, in the order of the table.
public let kernelOperations: [String] = (0..<UInt32(NR_KERNEL_OPS.rawValue)).map {
    String(cString: kernel_op_name($0)!)
}

/// How a kernel operation is declared in C.
func prototype(of operation: String) -> String? {
    guard let slot = kernelOperations.firstIndex(of: operation) else { return nil }
    let text = String(cString: kernel_op_prototype(UInt32(slot))!)
    return text.split(separator: " ").filter { $0 != "_Nullable" }.joined(separator: " ")
        .replacing("*_Nullable ", with: "*").replacing(" * ", with: " *")
}

func writeKernelHeaders(to folder: TemporaryFolder) throws {
    try folder.makeFolder("ckernel")
    var number: UInt32 = 0
    while true {
        let header = kernel_header(number)
        guard header.name.pointee != 0 else { return }
        try folder.write(String(cString: header.text), to: String(cString: header.name))
        number += 1
    }
}
