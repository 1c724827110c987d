// SPDX-License-Identifier: GPL-2.0-only
// The state of a machine as a tree of named values, for reports and for the difference of two states.

import CKernel

/// A named value or a named group of them.
public struct StateNode: Sendable, Equatable {
    public let name: String
    public var value: String?
    public var children: [StateNode] = []
}

/// Builds the tree.
public struct StateTree: StateVisitor {
    private var open: [StateNode] = [StateNode(name: "machine")]

    public init() {}

    public var root: StateNode { open[0] }

    public mutating func enter(_ kind: StaticString, _ key: UInt64) {
        open.append(StateNode(name: StateTree.title("\(kind)", key)))
    }

    public mutating func leave() {
        let node = open.removeLast()
        open[open.count - 1].children.append(node)
    }

    public mutating func field(_ name: StaticString, _ value: UInt64, _ format: StateFormat) {
        open[open.count - 1].children.append(StateNode(name: "\(name)", value: describe(value, format)))
    }

    /// A field that is not of the machine's state: what a call returned, how often something happened.
    public mutating func field(_ name: String, _ value: String) {
        open[open.count - 1].children.append(StateNode(name: name, value: value))
    }

    private static func title(_ kind: String, _ key: UInt64) -> String {
        switch kind {
        case "vma", "pte", "pmd", "entry", "pte_mapped_thp": return "\(kind) \(hex(key))"
        case "results of t": return "\(kind)\(key)"
        case "process": return "p\(key)"
        case "file": return "f\(key)"
        case "counters", "events": return kind
        default: return "\(kind) \(key)"
        }
    }
}

func hex(_ value: UInt64) -> String {
    "0x" + String(value, radix: 16)
}

private func describe(_ value: UInt64, _ format: StateFormat) -> String {
    switch format {
    case .number: return String(Int64(bitPattern: value))
    case .address, .token: return hex(value)
    case .page: return "page \(value)"
    case .vmFlags: return names(of: value, in: vmFlagNames)
    case .pageFlags: return names(of: value, in: pageFlagNames)
    case .pteFlags: return names(of: value, in: pteFlagNames)
    case .pteMarker: return names(of: value, in: pteMarkerNames)
    case .lru: return lruNames[Int(value)]
    }
}

private func names(of value: UInt64, in table: [(UInt64, String)]) -> String {
    var rest = value
    var parts: [String] = []
    for (bits, name) in table where rest & bits == bits {
        parts.append(name)
        rest &= ~bits
    }
    if rest != 0 { parts.append(hex(rest)) }
    return parts.isEmpty ? "0" : parts.joined(separator: "|")
}

private let lruNames = ["inactive_anon", "active_anon", "inactive_file", "active_file", "unevictable", "none"]

private let pageFlagNames: [(UInt64, String)] = [
    "locked", "referenced", "uptodate", "dirty", "lru", "active", "workingset", "error", "reserved", "private",
    "writeback", "head", "mappedtodisk", "reclaim", "swapbacked", "unevictable", "mlocked", "swapcache",
    "double_map", "anon_exclusive",
].enumerated().map { (1 << UInt64($0.offset), "PG_" + $0.element) }

private let pteFlagNames: [(UInt64, String)] = [
    (UInt64(_PAGE_PRESENT), "present"), (UInt64(_PAGE_RW), "write"), (UInt64(_PAGE_USER), "user"),
    (UInt64(_PAGE_ACCESSED), "young"), (UInt64(_PAGE_DIRTY), "dirty"), (UInt64(_PAGE_PSE), "huge"),
    (UInt64(_PAGE_PROTNONE), "protnone"), (UInt64(_PAGE_SOFT_DIRTY), "soft_dirty"),
    (UInt64(_PAGE_UFFD_WP), "uffd_wp"),
]

private let pteMarkerNames: [(UInt64, String)] = [(UInt64(PTE_MARKER_UFFD_WP), "uffd_wp")]

private let vmFlagNames: [(UInt64, String)] = [
    (UInt64(VM_READ), "VM_READ"), (UInt64(VM_WRITE), "VM_WRITE"), (UInt64(VM_EXEC), "VM_EXEC"),
    (UInt64(VM_SHARED), "VM_SHARED"), (UInt64(VM_MAYREAD), "VM_MAYREAD"), (UInt64(VM_MAYWRITE), "VM_MAYWRITE"),
    (UInt64(VM_MAYEXEC), "VM_MAYEXEC"), (UInt64(VM_MAYSHARE), "VM_MAYSHARE"), (UInt64(VM_LOCKED), "VM_LOCKED"),
    (UInt64(VM_IO), "VM_IO"), (UInt64(VM_LOCKONFAULT), "VM_LOCKONFAULT"), (UInt64(VM_DONTCOPY), "VM_DONTCOPY"),
    (UInt64(VM_ACCOUNT), "VM_ACCOUNT"), (UInt64(VM_HUGEPAGE), "VM_HUGEPAGE"),
    (UInt64(VM_NOHUGEPAGE), "VM_NOHUGEPAGE"), (UInt64(VM_UFFD_WP), "VM_UFFD_WP"),
    (UInt64(VM_UFFD_MISSING), "VM_UFFD_MISSING"), (UInt64(VM_UFFD_MINOR), "VM_UFFD_MINOR"),
    (UInt64(VM_WIPEONFORK), "VM_WIPEONFORK"),
    (UInt64(VM_SEQ_READ), "VM_SEQ_READ"), (UInt64(VM_RAND_READ), "VM_RAND_READ"),
    (UInt64(VM_DONTDUMP), "VM_DONTDUMP"), (UInt64(VM_SOFTDIRTY), "VM_SOFTDIRTY"),
]
