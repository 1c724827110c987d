// SPDX-License-Identifier: GPL-2.0-only
// Fields of a state that a patch may change on purpose.  They are few: how many page tables there are, and how the
// pages of files are mapped, which the next fault brings back.  What programs can tell, and anonymous memory, is not
// among them.

import CKernel

/// A set of fields that a comparison leaves out.
public struct ClaimableFields: OptionSet, Sendable {
    public let rawValue: UInt32

    public init(rawValue: UInt32) { self.rawValue = rawValue }

    static let nr_ptes = ClaimableFields(rawValue: 1 << 0)
    /// The addresses that khugepaged has yet to look at.
    static let pte_mapped_thp = ClaimableFields(rawValue: 1 << 1)
    static let file_rss = ClaimableFields(rawValue: 1 << 2)
    static let shmem_rss = ClaimableFields(rawValue: 1 << 3)
    /// Of pages of files only, as all that follow.
    static let pte = ClaimableFields(rawValue: 1 << 4)
    static let pmd = ClaimableFields(rawValue: 1 << 5)
    static let refcount = ClaimableFields(rawValue: 1 << 6)
    static let mapcount = ClaimableFields(rawValue: 1 << 7)
    static let compound_mapcount = ClaimableFields(rawValue: 1 << 8)
    static let nr_file_mapped = ClaimableFields(rawValue: 1 << 9)
    static let nr_shmem_pmdmapped = ClaimableFields(rawValue: 1 << 10)
    static let nr_file_pmdmapped = ClaimableFields(rawValue: 1 << 11)

    /// By the names that a difference of two states gives them.
    private static let named: [(name: String, field: ClaimableFields)] = [
        ("process.nr_ptes", nr_ptes), ("process.pte_mapped_thp", pte_mapped_thp), ("process.file_rss", file_rss),
        ("process.shmem_rss", shmem_rss), ("vma.pte", pte), ("vma.pmd", pmd), ("page.refcount", refcount),
        ("page.mapcount", mapcount), ("page.compound_mapcount", compound_mapcount),
        ("counters.nr_file_mapped", nr_file_mapped), ("counters.nr_shmem_pmdmapped", nr_shmem_pmdmapped),
        ("counters.nr_file_pmdmapped", nr_file_pmdmapped),
    ]

    public static var names: [String] { named.map(\.name) }

    /// Nil if no claim can be about it.
    public init?(named name: String) {
        guard let found = ClaimableFields.named.first(where: { $0.name == name }) else { return nil }
        self = found.field
    }

    /// Of the counters, those that can be claimed.
    static func counter(_ item: Int) -> ClaimableFields {
        switch node_stat_item(UInt32(item)) {
        case NR_FILE_MAPPED: nr_file_mapped
        case NR_SHMEM_PMDMAPPED: nr_shmem_pmdmapped
        case NR_FILE_PMDMAPPED: nr_file_pmdmapped
        default: []
        }
    }
}
