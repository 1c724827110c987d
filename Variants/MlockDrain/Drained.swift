// SPDX-License-Identifier: GPL-2.0-only
// drained: commit b74355078b65 ("mm/munlock: page migration needs mlock pagevec drained", v5.18-rc1).
//
// Modelled: mm/rmap.c, try_to_unmap_one() and try_to_migrate_one(); mm/migrate.c, remove_migration_pte().  These are the
// functions of the era, which has the patch; each has a parameter that says whether it drains, because a variant that
// differs in two lines of two hundred is read best as these two lines.
// Left out: nothing of the patch.

import CKernel
import KernelModel

func installDrained(_ ops: kernel_ops) {
    ops.try_to_unmap_one = { try_to_unmap_one($0, $1, $2, $3, drained: true) }
    ops.try_to_migrate_one = { try_to_migrate_one($0, $1, $2, $3, drained: true) }
    ops.remove_migration_pte = { remove_migration_pte($0, $1, $2, $3, drained: true) }
}
