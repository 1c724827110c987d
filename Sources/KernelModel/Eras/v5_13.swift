// SPDX-License-Identifier: GPL-2.0-only
// Linux v5.13: mlock by PG_mlocked alone, munlock in batches, one try_to_unmap() for all purposes.

import CKernel

extension Era {
    public static let v5_13 = Era(
        name: "v5.13",
        install: { ops in
            install_rmap(ops)
            install_rmap_count(ops)
            install_rmap_unmap(ops)
            install_page_vma_mapped(ops)
            install_mlock(ops)
            install_mlock_syscalls(ops)
        },
        operations: [
            .mlock, .mlock2, .munlock, .mlockall, .munlockall,
        ])
}
