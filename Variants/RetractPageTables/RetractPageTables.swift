// SPDX-License-Identifier: GPL-2.0-only
// The family retract-page-tables: its variants and the pairs to compare.

import CKernel
import CRetractPageTables
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
        variant("new.v1", "as first posted on 28 May 2023", install: { installNewV1($0) }),
        variant("new", "1d65b771bc08, v6.6", install: { installNew($0) }),
        variant("new.c", "the same in C", install: { install_retract_page_tables_new($0) }),
    ],
    pairs: [
        Pair("old", "new"),
        Pair("new.v1", "new"),
        Pair("new", "new.c"),
    ],
    claims: PackageResources.retract_page_tables_claims,
    weights: [
        "madvise": 4, "madvise MADV_COLLAPSE": 24, "khugepaged": 3, "mmap MAP_POPULATE": 4, "uffd_register": 3,
        "uffd_copy": 3, "uffd_writeprotect": 5, "sva_bind_device": 4, "mremap": 2,
    ],
    focused: true)
