// SPDX-License-Identifier: GPL-2.0-only
// The difference of two states: as lines for a reader, with what is equal left out, and as the set of
// fields that differ, which tells one kind of difference from another.

import KernelModel

/// What differs between two executions.
public struct StateDifference: Sendable {
    /// A line of the picture: `-` only in the base, `+` only in the patched variant, ` ` both.
    public private(set) var lines: [String] = []
    /// The fields that differ, by names without numbers (`page.flags PG_mlocked`), sorted, each once.
    public private(set) var fields: [String] = []
    /// Which way they differ, sorted, each once: a field may be less here and more there.
    public private(set) var changes: [FieldChange] = []

    public init(_ base: StateNode, _ patched: StateNode) {
        compareChildren(base, patched, depth: 0, kind: "")
        fields = Array(Set(fields)).sorted()
        changes = Array(Set(changes)).sorted {
            ($0.field, $0.before ?? 0, $0.after ?? 0, $0.isMore ? 1 : 0)
                < ($1.field, $1.before ?? 0, $1.after ?? 0, $1.isMore ? 1 : 0)
        }
    }

    private mutating func compareChildren(_ base: StateNode, _ patched: StateNode, depth: Int, kind: String) {
        var equal = 0
        for name in merged(base.children.map(\.name), patched.children.map(\.name)) {
            let old = base.children.first { $0.name == name }
            let new = patched.children.first { $0.name == name }
            if old == new {
                equal += 1
            } else {
                compare(old, new, depth: depth, kind: kind)
            }
        }
        if equal > 0 && depth > 0 { add(" ", depth, "… (\(equal) unchanged)") }
    }

    private mutating func compare(_ old: StateNode?, _ new: StateNode?, depth: Int, kind: String) {
        let node = (old ?? new)!
        if let old, let new, old.value == nil, new.value == nil {
            add(" ", depth, node.name)
            compareChildren(old, new, depth: depth + 1, kind: genericName(node.name))
            return
        }
        note(old, new, kind: kind)
        if let old { show(old, "-", depth) }
        if let new { show(new, "+", depth) }
    }

    private mutating func show(_ node: StateNode, _ mark: String, _ depth: Int) {
        add(mark, depth, node.value.map { "\(node.name): \($0)" } ?? node.name)
        for child in node.children { show(child, mark, depth + 1) }
    }

    private mutating func add(_ mark: String, _ depth: Int, _ text: String) {
        lines.append(mark + " " + String(repeating: "  ", count: depth) + text)
    }

    /// Names the field; of a set of flags, those that differ.
    private mutating func note(_ old: StateNode?, _ new: StateNode?, kind: String) {
        let node = (old ?? new)!
        let name = kind.isEmpty ? genericName(node.name) : kind + "." + genericName(node.name)
        changes.append(FieldChange(field: name, before: old, after: new))
        guard let before = old?.value, let after = new?.value, before.contains("_") || after.contains("_") else {
            fields.append(name)
            return
        }
        let changed = Set(before.split(separator: "|")).symmetricDifference(after.split(separator: "|"))
        for flag in changed.sorted() where flag != "0" { fields.append("\(name) \(flag)") }
    }
}

/// A field that differs, and how.
public struct FieldChange: Hashable, Sendable {
    public let field: String
    /// Whether the patched variant has more of it, or has it alone; less otherwise.
    public let isMore: Bool
    /// Its values, where they are numbers.
    public let before, after: Int?

    init(field: String, before: StateNode?, after: StateNode?) {
        self.field = field
        let (old, new) = (before?.value.flatMap { Int($0) }, after?.value.flatMap { Int($0) })
        (self.before, self.after) = (old, new)
        if let old, let new { isMore = old < new } else { isMore = after != nil }
    }
}

/// `page 3` and `vma 0x8000` are of one kind each.
private func genericName(_ name: String) -> String {
    let words = name.split(separator: " ")
    if words.count >= 2, words[0] == "op" { return String(words.last!) }
    let first = String(words.first ?? "")
    return first.first == "p" && first.dropFirst().allSatisfy(\.isNumber) ? "process" : first
}

/// Both lists in order, each name once.
private func merged(_ a: [String], _ b: [String]) -> [String] {
    var result: [String] = []
    var rest = b[...]
    for name in a {
        if let position = rest.firstIndex(of: name) {
            result += rest[rest.startIndex..<position].filter { !a.contains($0) }
            rest = rest[(position + 1)...]
        }
        result.append(name)
    }
    return result + rest.filter { !a.contains($0) }
}
