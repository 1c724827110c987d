// SPDX-License-Identifier: GPL-2.0-only
// On which CPU a task runs: a choice of the schedule, wherever the kernel could be preempted.  It matters only
// before an access to what a CPU has of its own, so that is where the choice is: at a yield point of its own, whose
// decision is not who goes on, but where.  Preemption off, interrupts off, migrate_disable(): no choice.  Nor is there
// one in eras whose tables do not ask for it (`RULE_CPU_MOVES`).

import CKernel

/// A place from where the current task may go on on another CPU; to be followed by an access to what the CPU has of
/// its own.  Its yield point is called `function:cpu`.
@inline(__always)
public func may_change_cpu(_ function: StaticString = #function) {
    if kernel.cpu_moves != 0 { mayChangeCPU(function.cString) }
}

@usableFromInline
func mayChangeCPU(_ function: UnsafePointer<CChar>) {
    let task = kernel.current
    guard kernel.cpu_moves != 0, kernel.interleaving != 0, kernel.nr_cpus > 1, task.preempt_count == 0,
        task.irq_disable_count == 0, task.migration_disabled == 0
    else { return }
    pass(yieldPointNumber(function, cpuLabel.cString), task)
    scheduler.nr_cpu_choices += 1
    let cpu = decideCPU(task)
    if cpu != Int(task.cpu) { move(task, to: cpu) }
}

/// Keeps the current task on its CPU, though it may be preempted there.
public func migrate_disable() {
    kernel.current.migration_disabled += 1
}

public func migrate_enable() {
    kernel.current.migration_disabled -= 1
}

private let cpuLabel: StaticString = "cpu"

private func move(_ task: task_struct, to cpu: Int) {
    if scheduler.recording != 0 { recordDecision(task, task.number, false, cpu: cpu) }
    kernel.schedule = mix(kernel.schedule ^ UInt64(task.steps) << 24 ^ UInt64(task.number) << 8 ^ UInt64(cpu) << 56)
    task.cpu = UInt8(cpu)
    if scheduler.logging != 0 { appendLog(LOG_MOVE) }
    if kernel.cpu(cpu).preempt_off != 0 { sleep(WAIT_CPU, nil) }
}

/// Where `task` goes on.
private func decideCPU(_ task: task_struct) -> Int {
    switch strategy_kind(UInt32(scheduler.strategy)) {
    case STRATEGY_RANDOM, STRATEGY_PCT, STRATEGY_POS, STRATEGY_DELAY: return decideCPURandomly(task)
    case STRATEGY_REPLAY: return decideCPUAsRecorded(task)
    case STRATEGY_EXTERNAL: return decideCPUOutside(task)
    default: return Int(task.cpu)
    }
}

private func decideCPURandomly(_ task: task_struct) -> Int {
    let key = placeKey(task)
    if UInt32(truncatingIfNeeded: key) >= scheduler.move_threshold { return Int(task.cpu) }
    return Int(rendezvous(otherCPUs(task), key: key))
}

private func decideCPUAsRecorded(_ task: task_struct) -> Int {
    for index in 0..<Int(scheduler.nr_replay) {
        let recorded = scheduler.replayed(index).pointee
        if isPlace(of: recorded, task), recorded.cpu != 0, recorded.cpu <= kernel.nr_cpus {
            return Int(recorded.cpu) - 1
        }
    }
    return Int(task.cpu)
}

/// The explorer lets the task go on once it has chosen for it.
private func decideCPUOutside(_ task: task_struct) -> Int {
    task.choosing_cpu = task.cpu + 1
    leaveToMain(task)
    let cpu = Int(task.choosing_cpu) - 1
    task.choosing_cpu = 0
    return cpu
}

/// A mask of the CPUs that `task` does not run on.
@inline(__always)
func otherCPUs(_ task: task_struct) -> UInt32 {
    (1 << UInt32(kernel.nr_cpus) - 1) & ~(1 << UInt32(task.cpu))
}
