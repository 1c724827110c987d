// SPDX-License-Identifier: GPL-2.0-only
// The places that a pair is about: yield points in the functions that it changes, and those close to them.  What is
// passed in changed functions is counted, on each side, for whoever wants to know how much of a patch was run.

import CKernel
import Glibc

nonisolated(unsafe) private var changedFunctions: [String] = []
/// For each kernel operation, which of the changed functions it is.
nonisolated(unsafe) private var changedOperations: [Int?] = []
nonisolated(unsafe) private var nearLabels: [String] = []
nonisolated(unsafe) private var nearPlaces: [String] = []

/// Makes runs note which of these functions they entered: `kernel.reached` has a bit for each, in this order.
///
/// Nothing is close to them until `markPlacesNear` says so, and nothing is counted yet.
public func markChangedFunctions(_ functions: [String]) {
    changedFunctions = []
    for function in functions where !changedFunctions.contains(function) { changedFunctions.append(function) }
    changedFunctions = Array(changedFunctions.prefix(Int(MAX_CHANGED_FUNCTIONS)))
    changedOperations = Array(repeating: nil, count: Int(NR_KERNEL_OPS.rawValue))
    for number in changedOperations.indices {
        changedOperations[number] = changedFunctions.firstIndex(of: String(cString: kernel_op_name(UInt32(number))!))
    }
    scheduler.note_entry = { noteEntry($0) }
    (nearLabels, nearPlaces) = ([], [])
    clearCoverage()
    scheduler.covered().pointee.nr_places = 0
    for number in 0..<Int(scheduler.nr_yield_points) { markPlace(number) }
}

/// A table with the same functions, that tells of each entry of one that the pair changes, whether it has yield points or
/// not.
public func notingEntries(_ operations: kernel_ops) -> kernel_ops {
    let memory = UnsafeMutableRawPointer.allocate(byteCount: sizeof_kernel_ops(), alignment: 16)
    memory.copyMemory(from: unsafeBitCast(operations, to: UnsafeMutableRawPointer.self), byteCount: sizeof_kernel_ops())
    let table = unsafeBitCast(memory, to: kernel_ops.self)
    table.original = operations
    for (number, function) in changedOperations.enumerated() where function != nil {
        note_entries_of(table, UInt32(number))
    }
    return table
}

/// The functions that runs look for.
public var markedFunctions: [String] { changedFunctions }

/// Makes these places, and all others with one of these labels, places near changed functions.
public func markPlacesNear(labels: [String], places: [String]) {
    (nearLabels, nearPlaces) = (labels, places)
    for number in 0..<Int(scheduler.nr_yield_points) { markNear(number) }
}

func markPlace(_ number: Int) {
    let name = scheduler.name(number)
    name.pointee.changed = 0
    markNear(number)
    guard let function = changedFunctions.firstIndex(of: yieldPointFunction(number)) else { return }
    let coverage = scheduler.covered()
    let place = Int(min(coverage.pointee.nr_places, UInt32(MAX_CHANGED_PLACES) - 1))
    coverage_place(coverage, place).pointee = UInt16(number)
    coverage_function(coverage, place).pointee = UInt8(function)
    coverage.pointee.nr_places = UInt32(place) + 1
    name.pointee.changed = UInt8(place) + 1
}

private func markNear(_ number: Int) {
    let isNear = nearLabels.contains(yieldPointLabel(number)) || nearPlaces.contains(yieldPointName(number))
    scheduler.name(number).pointee.near = isNear ? 1 : 0
}

// MARK: - Counting

/// Notes that `task` stands at changed place `place`, counted from 1.
@inline(never)
func noteReached(_ place: Int, _ task: task_struct) {
    let coverage = scheduler.covered()
    let function = Int(coverage_function(coverage, place - 1).pointee)
    kernel.reached |= 1 << UInt64(function)
    guard scheduler.covering != 0 else { return }
    let last = coverage_last(coverage, Int(task.number), function)
    let op = coverage_last_op(coverage, Int(task.number), function)
    // The first place in an op is one of a new call, if the call was not noted.
    if op.pointee != task.op + 1 { last.pointee = 0 }
    coverage_branch(coverage, Int(scheduler.side), Int(last.pointee), place).pointee &+= 1
    (last.pointee, op.pointee) = (UInt8(place), task.op + 1)
}

private func noteEntry(_ operation: UInt32) {
    guard kernel.interleaving != 0, let function = changedOperations[Int(operation)] else { return }
    kernel.reached |= 1 << UInt64(function)
    guard scheduler.covering != 0 else { return }
    let coverage = scheduler.covered()
    coverage_calls(coverage, Int(scheduler.side), function).pointee += 1
    // What it passes next is its first place, wherever a call before this one ended.
    coverage_last(coverage, Int(kernel.current.number), function).pointee = 0
}

/// Counts the next run as one of side `side` (0 or 1); nil: not at all.
@inline(__always)
public func countCoverage(ofSide side: Int?) {
    guard let side else {
        scheduler.covering = 0
        return
    }
    (scheduler.side, scheduler.covering) = (UInt8(side), 1)
    // What was passed in the run before is no way to come from.
    let coverage = scheduler.covered()
    memset(coverage_last_op(coverage, 0, 0), 0, (Int(MAX_TASKS) + 1) * Int(MAX_CHANGED_FUNCTIONS) * 2)
}

/// Counts which functions the run that has just ended entered.
@inline(__always)
public func countEntries() {
    var rest = kernel.reached
    while rest != 0 {
        let function = rest.trailingZeroBitCount
        rest &= rest - 1
        coverage_entered(scheduler.covered(), Int(scheduler.side), function).pointee += 1
    }
}

private func clearCoverage() {
    memset(coverage_entered(scheduler.covered(), 0, 0), 0, 2 * Int(MAX_CHANGED_FUNCTIONS) * 8)
    memset(coverage_calls(scheduler.covered(), 0, 0), 0, 2 * Int(MAX_CHANGED_FUNCTIONS) * 8)
    let size = 2 * (Int(MAX_CHANGED_PLACES) + 1) * (Int(MAX_CHANGED_PLACES) + 1) * 8
    memset(coverage_branch(scheduler.covered(), 0, 0, 0), 0, size)
}
