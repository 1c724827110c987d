// SPDX-License-Identifier: GPL-2.0-only
// The family retract-page-tables: its variants, the pairs to compare, what differs on purpose.

import CKernel
import VariantKit

private let changedFunctions = ["retract_page_tables"]

private func variant(_ name: String, _ summary: String, install: @escaping @Sendable (kernel_ops) -> Void) -> Variant {
    Variant(name: name, era: "v6.5", summary: summary, changedFunctions: changedFunctions, install: install)
}

public let retractPageTables = Family(
    name: "retract-page-tables",
    title: "mm/khugepaged: retract_page_tables() without mmap or vma lock",
    variants: [
        variant("old", "before the patch", install: { _ in }),
        variant("new.v1", "as first posted", install: { _ in }),
        variant("new", "1d65b771bc08, v6.6", install: { _ in }),
    ],
    pairs: [
        Pair("old", "new"),
        Pair("new.v1", "new"),
    ],
    weights: [
        "khugepaged": 4, "madvise": 3, "mremap": 3, "munmap": 2, "truncate": 2, "fork": 2, "exit": 2,
        "uffd_register": 2,
        "uffd_writeprotect": 2,
    ])
