// SPDX-License-Identifier: GPL-2.0-only
// A new mm, until kernel/fork.c is modelled: replace this file then.

import CKernel
import Simulation

func mm_init(_ mm: mm_struct) {
    init_rwsem(mm.mmap_lock, LOCK_mmap_lock)
    spin_lock_init(mm.page_table_lock, LOCK_page_table_lock)
    INIT_LIST_HEAD(mm.mmlist)
    (mm.mm_users, mm.mm_count) = (1, 1)
}
