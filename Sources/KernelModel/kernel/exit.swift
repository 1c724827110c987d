// SPDX-License-Identifier: GPL-2.0-only
// kernel/exit.c of Linux v5.13: what the end of a process means for its mm.
//
// A process is a reference to its mm (its threads together hold it), and each thread that is in the kernel
// holds one more.  When the process is killed, threads in user space are gone at once; one in the kernel
// goes on until it returns, and the last of them takes the address space down.
// Left out: everything but the mm.

import CKernel
import Simulation

/// The current task, a thread of the process of `mm`, enters the kernel for a step of its program.
public func enterKernel(_ mm: mm_struct) {
    current.mm = mm
    mm.mm_users += 1
}

/// It returns to user space, if the process was not killed meanwhile.
public func returnToUser() {
    // A signal of the OOM killer has done its work: the call gave up.
    current.fatal_signal = false
    current.interrupted = false
    guard let mm = current.mm else { return }
    if mm.live { mm.mm_users -= 1 } else { exit_mm(mm) }
}

/// Linux v5.13, kernel/exit.c, exit_mm(), of one thread.
private func exit_mm(_ mm: mm_struct) {
    current.mm = nil
    ops.mmput(mm)
}

/// Kills the process, the current thread included, which exits when it returns.
/// Linux v5.13, kernel/exit.c, do_group_exit().
func do_group_exit() {
    let mm = current.mm!
    yield_point("signal")
    // Another thread was faster.
    if !mm.live { return }
    mm.live = false
    interruptWaits(of: mm)
    mm.mm_users -= 1
}
