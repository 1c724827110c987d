// SPDX-License-Identifier: GPL-2.0-only
// mm/khugepaged.c of Linux v5.13, as far as others call it.  The era has no khugepaged (it is as if nobody had
// started it): no mm registers with it.  From v5.18-rc1 on: Eras/v5_18/khugepaged*.swift.

import CKernel

func install_khugepaged(_ ops: kernel_ops) {
    ops.khugepaged_enter = { _, _ in 0 }
    ops.khugepaged_enter_vma_merge = { _, _ in 0 }
    ops.khugepaged_fork = { _, _ in 0 }
    ops.khugepaged_exit = { _ in }
    ops.madvise_collapse = { _, _, _, _ in -Int(EINVAL) }
    ops.shmem_mmap = { _, _ in }
}
