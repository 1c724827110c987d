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
    /// PCT whose change points lie in functions that the compared variants change, each passed with this chance:
    /// what is new meets everything that others can do in between.
    case focused(seed: UInt64, changeChance: Double)
    case roundRobin
    /// The decisions in the scheduler's replay list; elsewhere the task goes on, and a task that cannot is
    /// followed by the lowest-numbered one that can.
    case replay
    /// An explorer decides.
    case external

    /// How often a task moves to another CPU where it may, under PCT: once in as many such places as a long call has.
    /// Who moves more often mostly comes back.
    private static let moveChance = 0.04

    /// Makes the next runs use this strategy.
    public func install() {
        scheduler.move_threshold = 0
        switch self {
        case .random(let seed, let chance):
            scheduler.strategy = UInt8(STRATEGY_RANDOM.rawValue)
            scheduler.seed = seed
            scheduler.switch_threshold = threshold(chance)
            scheduler.move_threshold = scheduler.switch_threshold
        case .pct(let seed, let depth, let steps):
            scheduler.strategy = UInt8(STRATEGY_PCT.rawValue)
            scheduler.seed = seed
            scheduler.change_threshold = threshold(Double(max(depth - 1, 0)) / Double(max(steps, 1)))
            scheduler.focus_threshold = scheduler.change_threshold
            scheduler.move_threshold = threshold(Strategy.moveChance)
        case .focused(let seed, let chance):
            scheduler.strategy = UInt8(STRATEGY_PCT.rawValue)
            scheduler.seed = seed
            scheduler.change_threshold = 0
            scheduler.focus_threshold = threshold(chance)
            scheduler.move_threshold = threshold(Strategy.moveChance)
        case .roundRobin:
            scheduler.strategy = UInt8(STRATEGY_ROUND_ROBIN.rawValue)
        case .replay:
            scheduler.strategy = UInt8(STRATEGY_REPLAY.rawValue)
        case .external:
            scheduler.strategy = UInt8(STRATEGY_EXTERNAL.rawValue)
        }
    }

    private func threshold(_ chance: Double) -> UInt32 {
        UInt32(min(max(chance, 0), 1) * Double(UInt32.max))
    }
}

/// Initial PCT priorities lie above every lowered one.
private let initialPriority: UInt32 = 1 << 20

@inline(__always)
func prepareStrategy() {
    guard scheduler.strategy == UInt8(STRATEGY_PCT.rawValue) else { return }
    for number in 0..<Int(kernel.nr_tasks) {
        let hash = mix(scheduler.seed ^ UInt64(number) &* 0x9e37_79b9_7f4a_7c15)
        // The number breaks ties.
        kernel.task(number).priority = initialPriority + UInt32(hash & 0xffff) << 3 + UInt32(number)
    }
}

/// The task a run starts with.
@inline(__always)
func firstTask() -> Int {
    let runnable = runnableTasks()
    switch strategy_kind(UInt32(scheduler.strategy)) {
    case STRATEGY_RANDOM: return Int(rendezvous(runnable, key: mix(scheduler.seed)))
    case STRATEGY_PCT: return Int(highestPriority(runnable))
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
    case STRATEGY_ROUND_ROBIN: return decideInTurn(task)
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

private func decideByPriority(_ task: task_struct, _ forced: Bool) -> UInt8 {
    if !forced {
        let key = placeKey(task)
        let changed = scheduler.name(Int(task.yield_point)).pointee.changed != 0
        if UInt32(truncatingIfNeeded: key) < (changed ? scheduler.focus_threshold : scheduler.change_threshold) {
            task.priority = UInt32(key >> 48) << 3 + UInt32(task.number)
        }
    }
    return forced ? firstOther(task) : firstAhead(of: task)
}

/// The runnable task of highest priority besides `task`; `task` itself if there is none.
private func firstOther(_ task: task_struct) -> UInt8 {
    let runnable = runnableTasks() & ~(1 << UInt32(task.number))
    return runnable == 0 ? task.number : highestPriority(runnable)
}

/// The runnable task of highest priority; only those ahead of `task` are looked at.
private func firstAhead(of task: task_struct) -> UInt8 {
    var chosen = task
    for number in 0..<Int(kernel.nr_tasks) {
        let other = kernel.task(number)
        if other.priority > chosen.priority && isRunnable(other) { chosen = other }
    }
    return chosen.number
}

private func highestPriority(_ candidates: UInt32) -> UInt8 {
    var chosen = candidates.trailingZeroBitCount
    var rest = candidates
    while rest != 0 {
        let number = rest.trailingZeroBitCount
        rest &= rest - 1
        if kernel.task(number).priority > kernel.task(chosen).priority { chosen = number }
    }
    return UInt8(chosen)
}

private func decideInTurn(_ task: task_struct) -> UInt8 {
    let others = runnableTasks() & ~(1 << UInt32(task.number))
    let later = others & ~((2 << UInt32(task.number)) - 1)
    if later != 0 { return UInt8(later.trailingZeroBitCount) }
    return others == 0 ? task.number : UInt8(others.trailingZeroBitCount)
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
    let others = runnableTasks() & ~(1 << UInt32(task.number))
    return others == 0 ? task.number : UInt8(others.trailingZeroBitCount)
}

private func lowestOther(_ task: task_struct) -> UInt8 {
    let others = runnableTasks() & ~(1 << UInt32(task.number))
    return others == 0 ? task.number : UInt8(others.trailingZeroBitCount)
}
