// SPDX-License-Identifier: GPL-2.0-only
// The family mlock-drain: its variants and the pairs to compare.

import CKernel
import VariantKit

private let changedFunctions = ["try_to_unmap_one", "try_to_migrate_one", "remove_migration_pte", "rmap_walk"]

private func variant(_ name: String, _ summary: String, install: @escaping @Sendable (kernel_ops) -> Void) -> Variant {
    Variant(name: name, era: "v5.18-rc1", summary: summary, changedFunctions: changedFunctions, install: install)
}

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
        Pair("undrained", "drained"),
        Pair("drained.walk", "drained"),
    ],
    claims: PackageResources.mlock_drain_claims,
    weights: [
        "mlock": 3, "mlock2": 2, "mlockall": 2, "compact": 4, "change_prot_numa": 4, "pin": 3, "khugepaged": 4,
        "madvise": 2,
        "madvise MADV_HUGEPAGE": 6,
    ])
