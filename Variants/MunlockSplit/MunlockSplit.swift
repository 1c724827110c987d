// SPDX-License-Identifier: GPL-2.0-only
// The family munlock-split: its variants and the pairs to compare.

import CKernel
import CMunlockSplit
import VariantKit

private let changedFunctions = ["__munlock_isolated_page", "try_to_munlock", "page_mlock", "page_mlock_one"]

private func variant(_ name: String, _ summary: String, install: @escaping @Sendable (kernel_ops) -> Void) -> Variant {
    Variant(name: name, era: "v5.13", summary: summary, changedFunctions: changedFunctions, install: install)
}

public let munlockSplit = Family(
    name: "munlock-split",
    title: "mm/rmap: split try_to_munlock from try_to_unmap",
    variants: [
        variant("try_to_munlock", "v5.13, before the patch", install: { _ in }),
        variant("page_mlock.posted", "as posted on 24 May 2021", install: { installPosted($0) }),
        variant("page_mlock.posted.c", "as posted, in C", install: { install_page_mlock_posted($0) }),
        variant("page_mlock.merged", "cd62734ca60d, v5.14-rc1", install: { installMerged($0) }),
        variant("page_mlock.fixed", "after 023e1a8dd502, d9770fcc1c0c and efdb6720b44b", install: { installFixed($0) }),
    ],
    pairs: [
        Pair("try_to_munlock", "page_mlock.posted"),
        Pair("page_mlock.posted", "page_mlock.merged"),
        Pair("try_to_munlock", "page_mlock.merged"),
        Pair("try_to_munlock", "page_mlock.fixed"),
        Pair("page_mlock.posted", "page_mlock.posted.c"),
    ],
    claims: PackageResources.munlock_split_claims,
    weights: ["register_device": 3, "mlock": 3, "munlock": 4, "mlockall": 2, "munlockall": 3, "exit": 2, "munmap": 2])
