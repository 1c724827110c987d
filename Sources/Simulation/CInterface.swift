// SPDX-License-Identifier: GPL-2.0-only
// The simulation as C code sees it: kernel.simulation points to this table.  Each entry is the function
// of that name; what C adds is only how the caller's name is passed.

import CKernel
import CRecording

/// What C code reaches through `kernel.simulation`.
///
/// The table never changes and lies at one address as long as the process lives.
public nonisolated(unsafe) let simulationOperations: UnsafePointer<simulation_ops> = {
    let table = UnsafeMutablePointer<simulation_ops>.allocate(capacity: 1)
    table.initialize(
        to: simulation_ops(
            yield_point: { yieldPoint($0, $1) },
            spin_lock: { spinLock($0, UInt8($1), $2) },
            spin_trylock: { spinTrylock($0, $1) },
            spin_unlock: { spinUnlock($0, $1) },
            down_read: { downRead($0, $1) },
            down_read_trylock: { downReadTrylock($0, $1) },
            up_read: { upRead($0, $1) },
            down_write: { downWrite($0, $1) },
            down_write_trylock: { downWriteTrylock($0, $1) },
            up_write: { upWrite($0, $1) },
            lock_page: { lockPage(compound_head($0), $1) },
            trylock_page: { trylockPage(compound_head($0), $1) },
            unlock_page: { unlockPage(compound_head($0), $1) },
            wait_on_page_locked: { waitOnPageLocked(compound_head($0), $1) },
            wait_on_page_writeback: { waitOnPageWriteback(compound_head($0), $1) },
            mutex_lock: { mutexLock($0, $1) },
            mutex_unlock: { mutexUnlock($0, $1) },
            local_lock: { localLock($0, $1) },
            local_unlock: { localUnlock($0, $1) },
            rcu_read_lock: { rcu_read_lock() },
            rcu_read_unlock: { rcu_read_unlock() },
            synchronize_rcu: { synchronizeRCU($0) },
            preempt_disable: { preempt_disable() },
            preempt_enable: { preempt_enable() },
            local_irq_disable: { local_irq_disable() },
            local_irq_enable: { local_irq_enable() },
            interrupt_cpus: { interrupt($0, $1) },
            may_change_cpu: { mayChangeCPU($0) },
            might_sleep: { might_sleep($0) },
            kmem_cache_zalloc: { kmem_cache_zalloc(kmem_cache_kind($0)) },
            kmem_cache_free: { kmem_cache_free(kmem_cache_kind($0), $1) },
            kfree_rcu: { kfree_rcu(kmem_cache_kind($0), $1) },
            bug_on: { bug($0, $1) },
            no_page_table: { noPageTable() },
            note_event: { noteEvent(event_kind($0), $1, $2) },
            note_cost: { noteCost(event_kind($0), $1, $2) },
            record_access: { record_access($0, $1, $2) }))
    return UnsafePointer(table)
}()
