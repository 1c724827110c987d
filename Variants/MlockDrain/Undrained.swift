// SPDX-License-Identifier: GPL-2.0-only
// undrained: v5.18-rc1 without the three drains of b74355078b65: after page_remove_rmap() in mm/rmap.c,
// try_to_unmap_one() and try_to_migrate_one(), and in mm/migrate.c, remove_migration_pte().  What is munlocked or
// mlocked there stays in this CPU's batch, which holds a reference to the page, until the batch is full or drained for
// another reason.
//
// Left out: nothing.  The rest of the munlock series is in place, as it was when the patch was written.

import CKernel
import KernelModel

func installUndrained(_ ops: kernel_ops) {
    ops.try_to_unmap_one = { try_to_unmap_one($0, $1, $2, $3, drained: false) }
    ops.try_to_migrate_one = { try_to_migrate_one($0, $1, $2, $3, drained: false) }
    ops.remove_migration_pte = { remove_migration_pte($0, $1, $2, $3, drained: false) }
}
