// SPDX-License-Identifier: GPL-2.0-only
// Sections in which a CPU belongs to one task: preemption off, interrupts off.  Tasks of other CPUs go
// on; an interprocessor interrupt waits until its targets take interrupts again.

import CKernel

public func preempt_disable() {
    let task = kernel.current
    task.preempt_count += 1
    claimCPU(task)
}

public func preempt_enable() {
    let task = kernel.current
    task.preempt_count -= 1
    releaseCPU(task)
    readerMayHaveLeft(task)
}

public func local_irq_disable() {
    let task = kernel.current
    task.irq_disable_count += 1
    kernel.cpu(Int(task.cpu)).irqs_off = task.number + 1
    claimCPU(task)
}

public func local_irq_enable() {
    let task = kernel.current
    task.irq_disable_count -= 1
    if task.irq_disable_count == 0 { kernel.cpu(Int(task.cpu)).irqs_off = 0 }
    releaseCPU(task)
    readerMayHaveLeft(task)
}

@inline(__always)
private func claimCPU(_ task: task_struct) {
    kernel.cpu(Int(task.cpu)).preempt_off = task.number + 1
}

@inline(__always)
private func releaseCPU(_ task: task_struct) {
    if task.preempt_count == 0 && task.irq_disable_count == 0 { kernel.cpu(Int(task.cpu)).preempt_off = 0 }
}

/// Moves the current task to CPU `cpu`, where it goes on once nobody keeps preemption off there.
public func moveToCPU(_ cpu: Int, _ function: StaticString = #function) {
    let task = kernel.current
    might_sleep(function.cString)
    yieldPoint(function.cString, moveLabel.cString)
    task.cpu = UInt8(cpu)
    if kernel.cpu(cpu).preempt_off != 0 { sleep(WAIT_CPU, nil) }
}

private let moveLabel: StaticString = "cpu"

/// The CPU the current task runs on.  Stable only while preemption is off.
public func smp_processor_id() -> Int {
    Int(kernel.current.cpu)
}

/// Interrupts the CPUs in `mask` and waits until each of them has taken the interrupt
/// (smp_call_function_many() with wait).  What the handler does is the caller's next step.
public func interruptCPUs(_ mask: UInt, _ function: StaticString = #function) {
    interrupt(mask, function.cString)
}

func interrupt(_ mask: UInt, _ function: UnsafePointer<CChar>) {
    yieldPoint(function, interruptLabel.cString)
    if !interruptsOn(mask, except: kernel.current) { sleep(WAIT_IPI, nil, mask) }
}

private let interruptLabel: StaticString = "ipi"

func interruptsOn(_ mask: UInt, except task: task_struct) -> Bool {
    for cpu in 0..<Int(kernel.nr_cpus) where mask & 1 << UInt(cpu) != 0 {
        let holder = kernel.cpu(cpu).irqs_off
        if holder != 0 && holder != task.number + 1 { return false }
    }
    return true
}
