// SPDX-License-Identifier: GPL-2.0-only
// mm/migrate.c of Linux v6.5, where it differs from v5.18-rc1: pages of huge ones that were split are given back
// when memory is short.
//
// Left out: the batches of v6.3 (migrate_pages_batch()), which unmap many pages before they flush and move them: each
// page goes its way alone, as MIGRATE_SYNC still does page by page when a batch fails.

import CKernel

func install_migrate_v6_5(_ ops: kernel_ops) {
    ops.migrate_pages = { from, nid, mode, reason in
        migrate_pages(from, nid, mode, reason, givesBackSplitPages: true)
    }
}
