// SPDX-License-Identifier: GPL-2.0-only
// The scheduler: which task runs from one yield point to the next.  Decisions are taken where the task
// stands, on its own fiber, and fibers switch to each other directly; only an explorer's decisions go
// back to the main context.

import CFiber
import CKernel
import CRecording

// MARK: - Yield points

/// A named place where another task may run: before an access by which tasks can see each other.
///
/// - Parameters:
///   - label: what is accessed, in the kernel's words (`vm_flags`).
///   - function: the kernel function, filled in by the compiler.
@inline(__always)
public func yield_point(_ label: StaticString, _ function: StaticString = #function) {
    yieldPoint(function.cString, label.cString)
}

/// The same for code that C calls, and for kernel operations that carry their caller's name.
@inline(__always)
public func yieldPoint(_ function: UnsafePointer<CChar>, _ label: UnsafePointer<CChar>) {
    guard kernel.interleaving != 0 else {
        countQuietStep()
        return
    }
    reschedule(yieldPointNumber(function, label))
}

/// Yield points a machine may pass in its set-up and its last drain: a thousand times what they need.  Kernel
/// code that loops for ever there is stopped, too.
private let quietStepLimit: UInt32 = 1_000_000

@inline(__always)
private func countQuietStep() {
    kernel.quiet_steps += 1
    if kernel.quiet_steps > quietStepLimit { endRun(RUN_STEP_LIMIT) }
}

/// The current task stands at yield point `point`: goes on with it, or with another one.
@inline(never)
func reschedule(_ point: Int) {
    let task = kernel.current
    pass(point, task)
    let next = decide(task, forced: false)
    if next != task.number { switchTask(from: task, to: next, forced: false) }
}

/// Counts that `task` stands at yield point `point`.
@inline(__always)
func pass(_ point: Int, _ task: task_struct) {
    task.yield_point = UInt16(point)
    task.steps += 1
    kernel.steps += 1
    if kernel.steps > kernel.step_limit { endRun(RUN_STEP_LIMIT) }
    countOccurrence(task, point)
    let changed = scheduler.name(point).pointee.changed
    if changed != 0 { noteReached(Int(changed), task) }
    if scheduler.logging != 0 { appendLog(LOG_STEP) }
}

/// How often `task` has passed `point` in its current op, 255 at most.
@inline(__always)
private func countOccurrence(_ task: task_struct, _ point: Int) {
    let slot = task.occurrence(point)
    let op = task.op << 8
    if slot.pointee & 0xff00 != op {
        slot.pointee = op | 1
    } else if slot.pointee & 0xff != 0xff {
        slot.pointee += 1
    }
}

// MARK: - Waiting

/// Puts the current task to sleep until what it waits for has come about.  The condition must be false now.
@inline(never)
func sleep(_ kind: wait_kind, _ object: UnsafeMutableRawPointer?, _ value: UInt = 0) {
    let task = kernel.current
    task.wait_kind = UInt8(kind.rawValue)
    task.wait_object = object
    task.wait_value = value
    task.state = UInt8(TASK_WAITING.rawValue)
    leaveForced(task)
    task.state = UInt8(TASK_RUNNABLE.rawValue)
    task.wait_kind = UInt8(WAIT_NONE.rawValue)
    task.wait_object = nil
}

/// Another task must run, or nothing can.
private func leaveForced(_ task: task_struct) {
    if kernel.interleaving == 0 {
        if interruptWaits(of: nil) { return }
        endRun(RUN_DEADLOCK)
    }
    var next = decide(task, forced: true)
    if next == task.number {
        if !interruptWaits(of: nil) { endRun(nothingCanRun()) }
        next = decide(task, forced: true)
        if next == task.number {
            if isRunnable(task) { return }
            endRun(nothingCanRun())
        }
    }
    switchTask(from: task, to: next, forced: true)
}

/// Nobody can go on, as an explorer has found: whoever waits for user space is interrupted, or the run is over.
///
/// - Returns: whether it goes on.
func endStandstill() -> Bool {
    if interruptWaits(of: nil) { return true }
    kernel.run_end = UInt8(nothingCanRun().rawValue)
    return false
}

/// A run in which nobody can go on is complete if all that is left waits for processes never forked.
private func nothingCanRun() -> run_end {
    for number in 0...Int(kernel.nr_tasks) {
        let task = kernel.task(number)
        if task.state == UInt8(TASK_WAITING.rawValue) && task.wait_kind != UInt8(WAIT_PROCESS.rawValue) {
            return RUN_DEADLOCK
        }
    }
    return RUN_COMPLETE
}

/// Whether `task` could take the next step.
@inline(__always)
public func isRunnable(_ task: task_struct) -> Bool {
    if task.state == UInt8(TASK_DONE.rawValue) { return false }
    let holder = kernel.cpu(Int(task.cpu)).preempt_off
    if holder != 0 && holder != task.number + 1 { return false }
    return task.state == UInt8(TASK_RUNNABLE.rawValue) || conditionHolds(task)
}

/// A mask of the tasks that could take the next step.
@inline(__always)
public func runnableTasks() -> UInt32 {
    var mask: UInt32 = 0
    for number in 0..<Int(kernel.nr_tasks) where isRunnable(kernel.task(number)) { mask |= 1 << UInt32(number) }
    return mask
}

func conditionHolds(_ task: task_struct) -> Bool {
    let object = task.wait_object
    switch wait_kind(UInt32(task.wait_kind)) {
    case WAIT_SPINLOCK: return unsafeBitCast(object!, to: spinlock_t.self).owner == 0
    case WAIT_MUTEX: return unsafeBitCast(object!, to: mutex.self).owner == 0
    case WAIT_RWSEM_READ: return readerMayEnter(unsafeBitCast(object!, to: rw_semaphore.self), task.wait_ticket)
    case WAIT_RWSEM_WRITE: return writerMayEnter(unsafeBitCast(object!, to: rw_semaphore.self))
    case WAIT_PAGE_LOCK: return !PageLocked(unsafeBitCast(object!, to: page.self))
    case WAIT_PAGE_WRITEBACK: return !PageWriteback(unsafeBitCast(object!, to: page.self))
    case WAIT_PTE_CHANGE: return object!.assumingMemoryBound(to: UInt.self).pointee != task.wait_value
    case WAIT_INTERRUPTIBLE:
        return task.interrupted || object!.assumingMemoryBound(to: UInt.self).pointee != task.wait_value
    case WAIT_WORD: return object!.assumingMemoryBound(to: UInt.self).pointee == task.wait_value
    case WAIT_LOCAL_LOCK: return unsafeBitCast(object!, to: local_lock_t.self).owner == 0
    case WAIT_IPI: return interruptsOn(task.wait_value, except: task)
    case WAIT_RCU: return !anyReader(UInt32(task.wait_value))
    case WAIT_PROCESS: return kernel.mm_slot(Int(task.wait_value)).pointee?.live ?? false
    default: return true
    }
}

/// Waits until process `number` has been forked.
public func waitForProcess(_ number: Int) {
    if kernel.mm_slot(number).pointee?.live ?? false { return }
    sleep(WAIT_PROCESS, nil, UInt(number))
}

/// Waits while the word still has the value that the current task saw in it: for what the kernel does by
/// waiting on a queue, or by trying again.
public func waitForChange(
    of word: UnsafeMutablePointer<UInt>, from value: UInt, _ label: StaticString, _ function: StaticString = #function
) {
    yieldPoint(function.cString, label.cString)
    if word.pointee == value { sleep(WAIT_PTE_CHANGE, word, value) }
}

// MARK: - Switching

/// Leaves `task` for task number `next`; returns when somebody comes back.
private func switchTask(from task: task_struct, to next: UInt8, forced: Bool) {
    if scheduler.strategy == UInt8(STRATEGY_EXTERNAL.rawValue) {
        leaveToMain(task)
        return
    }
    if scheduler.recording != 0 { recordDecision(task, next, forced) }
    kernel.context_switches += 1
    kernel.schedule = mix(kernel.schedule ^ UInt64(task.steps) << 24 ^ UInt64(task.number) << 8 ^ UInt64(next))
    let target = kernel.task(Int(next))
    kernel.current = target
    arrive(jump_fcontext(target.context!, unsafeBitCast(task, to: UnsafeMutableRawPointer.self)))
}

/// The first thing a task or the main context does when it is resumed: keeps the context of who left.
@inline(__always)
private func arrive(_ transfer: transfer_t) {
    if let left = transfer.data {
        unsafeBitCast(left, to: task_struct.self).context = transfer.fctx
    } else {
        scheduler.main_context = transfer.fctx
    }
}

func leaveToMain(_ task: task_struct) {
    arrive(jump_fcontext(scheduler.main_context!, unsafeBitCast(task, to: UnsafeMutableRawPointer.self)))
}

/// Keeps that `task` is left, where it stands, for task number `next`; or, where that is the task itself, that it
/// moves to CPU `cpu` and goes on.
@inline(never)
func recordDecision(_ task: task_struct, _ next: UInt8, _ forced: Bool, cpu: Int? = nil) {
    guard Int32(scheduler.nr_decisions) < MAX_DECISIONS else { return }
    scheduler.decision(Int(scheduler.nr_decisions)).pointee = decision(
        task: task.number, next: next, op: task.op, yield_point: task.yield_point,
        occurrence: task.occurrence(Int(task.yield_point)).pointee & 0xff, forced: forced ? 1 : 0,
        cpu: cpu.map { UInt8($0) + 1 } ?? 0)
    scheduler.nr_decisions += 1
}

// MARK: - Runs

/// Ends the run from within a task.  The fibers are abandoned where they stand: they hold nothing but
/// pointers into the arena.
@inline(never)
func endRun(_ end: run_end) -> Never {
    kernel.run_end = UInt8(end.rawValue)
    leaveToMain(kernel.current)
    fatalError("an abandoned fiber was resumed")
}

/// The body of each fiber: the ops of its task, one after the other.
private let taskEntry: @convention(c) (transfer_t) -> Void = { transfer in
    arrive(transfer)
    let task = kernel.current
    while scheduler.run_op!(task, UInt32(task.op)) {
        task.op += 1
        recording_forget_reads()
    }
    // What is decided here has a name of its own, not that of the last place the task passed.
    task.yield_point = UInt16(yieldPointNumber(("task" as StaticString).cString, ("end" as StaticString).cString))
    countOccurrence(task, Int(task.yield_point))
    task.state = UInt8(TASK_DONE.rawValue)
    finishTask(task)
}

private func finishTask(_ task: task_struct) -> Never {
    if kernel.interleaving == 0 { endRun(RUN_COMPLETE) }
    var next = decide(task, forced: true)
    if next == task.number && interruptWaits(of: nil) { next = decide(task, forced: true) }
    if next == task.number { endRun(nothingCanRun()) }
    switchTask(from: task, to: next, forced: true)
    fatalError("a finished task was resumed")
}

/// Gives each task of the machine a fresh fiber.
@inline(__always)
func startFibers(_ arena: Arena) {
    for number in 0..<Int(kernel.nr_tasks) {
        kernel.task(number).context = make_fcontext(arena.stackTop(number), Arena.stackSize, taskEntry)
    }
}

/// Lets task `number` run until the run ends or, with an external strategy, until the next decision.
@inline(__always)
func resume(_ number: Int) {
    if let progress = scheduler.progress { progress.pointee &+= 1 }
    let task = kernel.task(number)
    kernel.current = task
    arrive(jump_fcontext(task.context!, nil))
}

/// Runs one task alone, without any interleaving: the set-up of a machine.
///
/// - Returns: how it ended: `RUN_COMPLETE`, or why it could not go on.
public func runAlone(_ arena: Arena, task: task_struct) -> run_end {
    let strategy = scheduler.strategy
    defer { scheduler.strategy = strategy }
    scheduler.strategy = UInt8(STRATEGY_SEQUENTIAL.rawValue)
    kernel.interleaving = 0
    kernel.run_end = UInt8(RUN_GOES_ON.rawValue)
    task.context = make_fcontext(arena.stackTop(Int(task.number)), Arena.stackSize, taskEntry)
    resume(Int(task.number))
    return run_end(UInt32(kernel.run_end))
}

/// Runs the machine in `arena` from its template to the end under the scheduler's strategy.
@inline(__always)
public func runInterleaved(_ arena: Arena) -> run_end {
    kernel = arena.root
    arena.reset()
    scheduler.nr_decisions = 0
    scheduler.nr_cpu_choices = 0
    kernel.interleaving = 1
    kernel.run_end = UInt8(RUN_GOES_ON.rawValue)
    startFibers(arena)
    prepareStrategy()
    let first = firstTask()
    if scheduler.recording != 0 { recordStart(first) }
    resume(first)
    return run_end(UInt32(kernel.run_end))
}
