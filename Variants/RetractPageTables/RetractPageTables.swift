// SPDX-License-Identifier: GPL-2.0-only
// The family retract-page-tables: its variants, the pairs to compare, what differs on purpose.

import CKernel
import CRetractPageTables
import VariantKit

private let changedFunctions = ["retract_page_tables"]

private func variant(_ name: String, _ summary: String, install: @escaping @Sendable (kernel_ops) -> Void) -> Variant {
    Variant(name: name, era: "v6.5", summary: summary, changedFunctions: changedFunctions, install: install)
}

/// "Simplify shmem and file THP collapse's retract_page_tables(), and relax its locking: to improve its success rate
/// and to lessen impact on others."
private let successRate = "relax its locking: to improve its success rate and to lessen impact on others"

/// What a collapse by khugepaged ended as, although it had replaced the pages, for its own mapping's sake.
private let resultsOfTarget = [
    SCAN_FAIL, SCAN_PMD_NULL, SCAN_PMD_NONE, SCAN_PMD_MAPPED, SCAN_PTE_UFFD_WP, SCAN_PTE_MAPPED_HUGEPAGE,
    SCAN_PAGE_ANON, SCAN_ANY_PROCESS, SCAN_VMA_CHECK,
]

private let noResult =
    "since it will be successful in retracting all of the page tables expected of it, no need to track and return a"
    + " result code itself"

private let oldToNew =
    [
        // A vma whose mmap_lock is busy, and with MADV_COLLAPSE every mapping of the range, loses its page table now, ...
        Claim(.state, "process.nr_ptes", .lost, successRate),
        // ... and does not have to wait for khugepaged.
        Claim(
            .state, "process.pte_mapped_thp", .lost,
            "it will be successful in retracting all of the page tables expected of it"),
        // The target's pmd may be empty: MADV_COLLAPSE then failed although there was a huge page, which it maps now.
        Claim(
            result: "madvise", -Int(EINVAL), becomes: 0,
            "leave that part of the work to madvise_collapse() calling collapse_pte_mapped_thp() afterwards"),
        Claim(.events, "mmu_notifier_range_start", .new, successRate),
        Claim(.events, "mmu_notifier_range_end", .new, successRate),
        Claim(.events, "tlb_flush", .new, successRate),
        // i_mmap_rwsem is taken for read; no mmap_lock and no lock of the vma, but those of pmd and page table; and
        // MADV_COLLAPSE comes again for the pmd.
        Claim(
            .cost, "lock", .either,
            "It needs i_mmap_lock_read(mapping) for traversing the vma interval tree, but it does not need"
                + " i_mmap_lock_write() for that ... retract_page_tables() just needs to use those same spinlocks"),
    ] + resultsOfTarget.map { Claim(result: "khugepaged", Int($0), becomes: Int(SCAN_SUCCEED), noResult) }

/// From the list of changes of v2, the posting in between.
private let firstPostingToNew =
    ["mmu_notifier_range_start", "mmu_notifier_range_end"].map {
        Claim(.events, $0, .new, "bring back mmu_notifier calls for PMD, per JannH and Jason")
    } + [Claim(.cost, "lock", .either, "repeat checks under ptl because UFFD, per PeterX and JannH")]

public let retractPageTables = Family(
    name: "retract-page-tables",
    title: "mm/khugepaged: retract_page_tables() without mmap or vma lock",
    variants: [
        variant("old", "before the patch", install: { _ in }),
        variant("new.v1", "as first posted on 28 May 2023", install: { installNewV1($0) }),
        variant("new", "1d65b771bc08, v6.6", install: { installNew($0) }),
        variant("new.c", "the same in C", install: { install_retract_page_tables_new($0) }),
    ],
    pairs: [
        Pair("old", "new", claims: oldToNew),
        Pair("new.v1", "new", claims: firstPostingToNew),
        Pair("new", "new.c"),
    ],
    weights: [
        "madvise": 4, "madvise MADV_COLLAPSE": 24, "khugepaged": 3, "mmap MAP_POPULATE": 4, "uffd_register": 3,
        "uffd_copy": 3, "uffd_writeprotect": 5, "sva_bind_device": 4, "mremap": 2,
    ],
    focused: true)
