// SPDX-License-Identifier: GPL-2.0-only
// mm/huge_memory.c of Linux v6.5, where the split of a huge page differs from v5.18-rc1: some mappings stay.

import CKernel

func install_huge_memory_split_v6_5(_ ops: kernel_ops) {
    ops.unmap_page = unmap_folio
}
