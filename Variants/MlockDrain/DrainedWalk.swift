// SPDX-License-Identifier: GPL-2.0-only
// drained.walk: what the changelog of b74355078b65 tells of: one drain of this CPU's mlock batch at the upper level,
// at the end of rmap_walk(), for all the vmas of the page at once.  No page table lock is held there, so the task may have
// moved to another CPU since it munlocked the page.
//
// Modelled: mm/rmap.c, rmap_walk(), and the three functions of undrained.
// Left out: rmap_walk_locked(), which only splits of huge pages use; their munlocks are not kept in a batch.

import CKernel
import KernelModel
import Simulation

/// mm/rmap.c, rmap_walk().
private func rmap_walk(_ page: page, _ rwc: UnsafeMutablePointer<rmap_walk_control>) {
    KernelModel.rmap_walk(page, rwc)
    ops.mlock_page_drain(Int32(smp_processor_id()))
}

func installDrainedWalk(_ ops: kernel_ops) {
    installUndrained(ops)
    ops.rmap_walk = rmap_walk
}
