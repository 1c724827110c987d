// SPDX-License-Identifier: GPL-2.0-only
// Strategies: who runs next.  A decision is a pure function of the seed and the name of the place (task,
// op, function, label, occurrence), so two versions of a kernel that pass the same places are scheduled
// alike, and where one lacks a place its task just goes on.

import CKernel

/// How a run picks between the tasks that could go on.
public enum Strategy: Sendable, Equatable {
    /// At each place a coin of the given chance decides whether to move on, and where to; to another task or, where
    /// that is the choice, to another CPU.
    case random(seed: UInt64, switchChance: Double)
    /// Probabilistic concurrency testing: the task of highest priority runs; at about `depth - 1` places of
    /// `steps` the running one falls behind (Burckhardt et al., ASPLOS 2010; change points are hashed).
    case pct(seed: UInt64, depth: Int, steps: Int)
    /// PCT whose change points lie in functions that the compared variants change, each passed with the first chance,
    /// and around them, with the second: what is new meets everything that others can do in between.
    case focused(seed: UInt64, changeChance: Double, nearChance: Double = 0)
    /// Partial order sampling: the task whose next step has the highest priority runs; steps that race with one that
    /// was taken are dealt new ones (Yuan, Yang and Gu, CAV 2018; steps race if they are at places of one label).
    case pos(seed: UInt64)
    /// Delay-bounded scheduling: tasks run in turn, each until it cannot go on; at up to `bound` hashed places of
    /// about `steps` the one whose turn it is is passed over (Emmi, Qadeer and Rakamaric, POPL 2011).
    case delay(seed: UInt64, bound: Int, steps: Int)
    case roundRobin
    /// The decisions in the scheduler's replay list; elsewhere the task goes on, and a task that cannot is
    /// followed by the lowest-numbered one that can.
    case replay
    /// An explorer decides.
    case external

    /// How often a task moves to another CPU where it may, but for random schedules: once in as many such places as a
    /// long call has.  Who moves more often mostly comes back.
    public static let moveChance = 0.04

    /// Makes the next runs use this strategy.
    public func install() {
        scheduler.change_threshold = 0
        scheduler.focus_threshold = 0
        scheduler.near_threshold = 0
        scheduler.move_threshold = threshold(Strategy.moveChance)
        switch self {
        case .random(let seed, let chance):
            start(STRATEGY_RANDOM, seed)
            scheduler.switch_threshold = threshold(chance)
            scheduler.move_threshold = scheduler.switch_threshold
        case .pct(let seed, let depth, let steps):
            start(STRATEGY_PCT, seed)
            scheduler.change_threshold = threshold(Strategy.changeChance(depth: depth, steps: steps))
            scheduler.focus_threshold = scheduler.change_threshold
            scheduler.near_threshold = scheduler.change_threshold
        case .focused(let seed, let changeChance, let nearChance):
            start(STRATEGY_PCT, seed)
            scheduler.focus_threshold = threshold(changeChance)
            scheduler.near_threshold = threshold(nearChance)
        case .pos(let seed):
            start(STRATEGY_POS, seed)
        case .delay(let seed, let bound, let steps):
            start(STRATEGY_DELAY, seed)
            scheduler.delay_bound = UInt32(bound)
            scheduler.change_threshold = threshold(Double(bound) / Double(max(steps, 1)))
        case .roundRobin: start(STRATEGY_ROUND_ROBIN)
        case .replay: start(STRATEGY_REPLAY)
        case .external: start(STRATEGY_EXTERNAL)
        }
    }

    private func start(_ kind: strategy_kind, _ seed: UInt64 = 0) {
        scheduler.strategy = UInt8(kind.rawValue)
        scheduler.seed = seed
    }

    /// How likely a place is a change point of PCT.
    public static func changeChance(depth: Int, steps: Int) -> Double {
        min(Double(max(depth - 1, 0)) / Double(max(steps, 1)), 1)
    }

    private func threshold(_ chance: Double) -> UInt32 {
        UInt32(min(max(chance, 0), 1) * Double(UInt32.max))
    }
}

@inline(__always)
func prepareStrategy() {
    switch strategy_kind(UInt32(scheduler.strategy)) {
    case STRATEGY_PCT: dealPriorities()
    case STRATEGY_POS: dealFirstPriorities()
    case STRATEGY_DELAY: scheduler.nr_delays = 0
    default: break
    }
}

/// The task a run starts with.
@inline(__always)
func firstTask() -> Int {
    let runnable = runnableTasks()
    switch strategy_kind(UInt32(scheduler.strategy)) {
    case STRATEGY_RANDOM: return Int(rendezvous(runnable, key: mix(scheduler.seed)))
    case STRATEGY_PCT, STRATEGY_POS: return Int(highestPriority(runnable))
    case STRATEGY_DELAY: return Int(firstInTurn(runnable))
    case STRATEGY_REPLAY where scheduler.nr_replay > 0:
        // A decision to stay where one is, put first, names the task to start with.
        let first = scheduler.replayed(0).pointee
        return first.task == first.next && first.cpu == 0 ? Int(first.task) : runnable.trailingZeroBitCount
    default: return runnable.trailingZeroBitCount
    }
}

/// Who runs after this place; `task` itself if it goes on or if, when `forced`, nobody can.
@inline(__always)
func decide(_ task: task_struct, forced: Bool) -> UInt8 {
    switch strategy_kind(UInt32(scheduler.strategy)) {
    case STRATEGY_RANDOM: return decideRandomly(task, forced)
    case STRATEGY_PCT: return decideByPriority(task, forced)
    case STRATEGY_POS: return decideByStep(task, forced)
    case STRATEGY_DELAY: return decideByDelay(task, forced)
    case STRATEGY_ROUND_ROBIN: return nextInTurn(task)
    case STRATEGY_REPLAY: return decideAsRecorded(task, forced)
    case STRATEGY_EXTERNAL: return decideOutside(task, forced)
    default: return forced ? lowestOther(task) : task.number
    }
}

/// A hash of the seed and of the place where `task` stands.
@inline(__always)
func placeKey(_ task: task_struct) -> UInt64 {
    let point = Int(task.yield_point)
    let occurrence = UInt64(task.occurrence(point).pointee)
    return mix(scheduler.seed ^ scheduler.name(point).pointee.hash ^ UInt64(task.number) << 56 ^ occurrence << 32)
}

private func decideRandomly(_ task: task_struct, _ forced: Bool) -> UInt8 {
    let key = placeKey(task)
    if !forced && UInt32(truncatingIfNeeded: key) >= scheduler.switch_threshold { return task.number }
    let others = runnableTasks() & ~(1 << UInt32(task.number))
    return others == 0 ? task.number : rendezvous(others, key: key)
}

/// Rendezvous hashing: the choice stays the same when tasks (or CPUs) that were not chosen come or go.
func rendezvous(_ candidates: UInt32, key: UInt64) -> UInt8 {
    var best: UInt64 = 0
    var chosen: UInt8 = 0
    var rest = candidates
    while rest != 0 {
        let number = UInt8(rest.trailingZeroBitCount)
        rest &= rest - 1
        let weight = mix(key ^ UInt64(number + 1) &* 0x9e37_79b9_7f4a_7c15) | 1
        if weight > best { (best, chosen) = (weight, number) }
    }
    return chosen
}

private func decideAsRecorded(_ task: task_struct, _ forced: Bool) -> UInt8 {
    for index in 0..<Int(scheduler.nr_replay) {
        let recorded = scheduler.replayed(index).pointee
        if isPlace(of: recorded, task), (recorded.forced != 0) == forced, recorded.next != task.number,
            isRunnable(kernel.task(Int(recorded.next)))
        {
            return recorded.next
        }
    }
    return forced ? lowestOther(task) : task.number
}

/// Whether `task` stands where a decision was taken.
@inline(__always)
func isPlace(of recorded: decision, _ task: task_struct) -> Bool {
    recorded.task == task.number && recorded.op == task.op && recorded.yield_point == task.yield_point
        && recorded.occurrence == task.occurrence(Int(task.yield_point)).pointee & 0xff
}

/// A number that means "ask the explorer", which resumes whom it likes.
private func decideOutside(_ task: task_struct, _ forced: Bool) -> UInt8 {
    if scheduler.stepwise != 0 { return UInt8(MAX_TASKS) }
    let others = runnableTasks() & ~(1 << UInt32(task.number))
    return others == 0 ? task.number : UInt8(others.trailingZeroBitCount)
}

private func lowestOther(_ task: task_struct) -> UInt8 {
    let others = runnableTasks() & ~(1 << UInt32(task.number))
    return others == 0 ? task.number : UInt8(others.trailingZeroBitCount)
}
