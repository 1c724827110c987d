// SPDX-License-Identifier: GPL-2.0-only
// The family mlock-drain: its variants, the pairs to compare, what differs on purpose.

import CKernel
import VariantKit

private let changedFunctions = ["try_to_unmap_one", "try_to_migrate_one", "remove_migration_pte", "rmap_walk"]

private func variant(_ name: String, _ summary: String, install: @escaping @Sendable (kernel_ops) -> Void) -> Variant {
    Variant(name: name, era: "v5.18-rc1", summary: summary, changedFunctions: changedFunctions, install: install)
}

private let changelog =
    "migration of a VM_LOCKED page tends to fail, because when the old page is unmapped, it is put on the mlock pagevec"
    + " with raised refcount, which then fails the freeze"

/// What an attempt to migrate costs, where fewer attempts are needed: it unmaps the page and maps it again.
private let fewerAttempts =
    ["mmu_notifier_range_start", "mmu_notifier_range_end", "tlb_flush"].map { Claim(.events, $0, .lost, changelog) }
    + ["lock", "pte_visit", "vma_visit"].map { Claim(.cost, $0, .either, changelog) }

/// A drain of each vma's munlock takes locks that one drain of all does not.
private let drainInsideTheWalk = [
    Claim(
        .cost, "lock", .either,
        "a local mlock_page_drain() at the upper rmap_walk() level - which would have nicely"
            + " batched all the munlocks of that page")
]

public let mlockDrain = Family(
    name: "mlock-drain",
    title: "mm/munlock: page migration needs mlock pagevec drained",
    variants: [
        variant("undrained", "v5.18-rc1 without the patch's three drains", install: installUndrained),
        variant(
            "drained.walk", "one drain at the end of rmap_walk(), the author's first idea", install: installDrainedWalk),
        variant("drained", "b74355078b65, as released", install: installDrained),
    ],
    pairs: [
        Pair("undrained", "drained", claims: fewerAttempts),
        Pair("drained.walk", "drained", claims: drainInsideTheWalk),
    ],
    weights: [
        "mlock": 3, "mlock2": 2, "mlockall": 2, "compact": 4, "change_prot_numa": 4, "pin": 3, "khugepaged": 4,
        "madvise": 2,
        "madvise MADV_HUGEPAGE": 6,
    ])
