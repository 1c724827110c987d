// SPDX-License-Identifier: GPL-2.0-only
// What an ELF object file says about the C file it was compiled from: which functions it defines, and
// whether it keeps data of its own.

import Glibc

/// The symbols of a 64-bit little-endian ELF file.
struct ObjectFile {
    /// Functions with external linkage.
    private(set) var functions: [String] = []
    /// Variables in writable memory, static ones included.
    private(set) var writableVariables: [String] = []

    private let bytes: [UInt8]

    init?(path: String) {
        guard let file = fopen(path, "r") else { return nil }
        defer { fclose(file) }
        fseek(file, 0, SEEK_END)
        var bytes = [UInt8](repeating: 0, count: ftell(file))
        rewind(file)
        guard fread(&bytes, 1, bytes.count, file) == bytes.count, bytes.starts(with: [0x7f, 0x45, 0x4c, 0x46, 2, 1])
        else { return nil }
        self.bytes = bytes
        readSymbols()
    }

    private mutating func readSymbols() {
        let sections = readSections()
        for table in sections where table.type == SHT_SYMTAB {
            let names = sections[Int(table.link)].offset
            for entry in stride(from: table.offset, to: table.offset + table.size, by: 24) {
                let name = string(at: names + Int(load(UInt32.self, entry)))
                let info = bytes[entry + 4]
                let section = Int(load(UInt16.self, entry + 6))
                guard section > 0 && section < sections.count else { continue }
                if info & 0xf == STT_FUNC && info >> 4 != STB_LOCAL {
                    functions.append(name)
                } else if (info & 0xf == STT_OBJECT || info & 0xf == STT_TLS) && sections[section].holdsVariables {
                    writableVariables.append(name)
                }
            }
        }
    }

    private func readSections() -> [Section] {
        let start = Int(load(UInt64.self, 0x28))
        let size = Int(load(UInt16.self, 0x3a))
        let count = Int(load(UInt16.self, 0x3c))
        var sections = (0..<count).map { number in
            let header = start + number * size
            return Section(
                nameOffset: Int(load(UInt32.self, header)), type: load(UInt32.self, header + 4),
                flags: load(UInt64.self, header + 8), offset: Int(load(UInt64.self, header + 24)),
                size: Int(load(UInt64.self, header + 32)), link: load(UInt32.self, header + 40))
        }
        let names = sections[Int(load(UInt16.self, 0x3e))].offset
        for number in sections.indices { sections[number].name = string(at: names + sections[number].nameOffset) }
        return sections
    }

    private struct Section {
        var nameOffset: Int
        var name = ""
        var type: UInt32
        var flags: UInt64
        var offset: Int
        var size: Int
        var link: UInt32

        /// Constants that only the loader writes to lie in .data.rel.ro.
        var holdsVariables: Bool {
            flags & UInt64(SHF_WRITE) != 0 && !name.hasPrefix(".data.rel.ro")
        }
    }

    private func load<Value: FixedWidthInteger>(_ type: Value.Type, _ offset: Int) -> Value {
        bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: type) }
    }

    private func string(at offset: Int) -> String {
        String(decoding: bytes[offset...].prefix { $0 != 0 }, as: UTF8.self)
    }
}

private let SHT_SYMTAB: UInt32 = 2
private let SHF_WRITE = 1
private let STB_LOCAL: UInt8 = 0
private let STT_OBJECT: UInt8 = 1
private let STT_FUNC: UInt8 = 2
private let STT_TLS: UInt8 = 6
