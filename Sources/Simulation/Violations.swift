// SPDX-License-Identifier: GPL-2.0-only
// Broken invariants: noted in the arena with the place, so that they are part of a run's outcome.

import CKernel

/// Notes that an invariant is broken, here and now.
///
/// The first few are kept with their place; the kinds are all kept.  The run goes on.
@inline(never)
public func reportViolation(_ kind: violation_kind, _ object: UInt, _ value: UInt) {
    let task = kernel.current
    kernel.violations |= 1 << kind.rawValue
    if Int32(kernel.nr_violations) < MAX_VIOLATIONS {
        kernel.broken(Int(kernel.nr_violations)).pointee = violation(
            kind: UInt8(kind.rawValue), task: task.number, op: task.op, yield_point: task.yield_point,
            object: object, value: value)
        kernel.nr_violations += 1
    }
    if scheduler.logging != 0 {
        appendLog(LOG_VIOLATION, event: UInt8(kind.rawValue), object: UInt64(object), value: UInt64(value))
    }
}

/// The kernel's BUG_ON(): notes the place by name and ends the run, as the kernel ends the task.
@inline(__always)
public func BUG_ON(_ condition: Bool, _ text: StaticString, _ function: StaticString = #function) {
    if _slowPath(condition) { bug(function.cString, text.cString) }
}

/// The kernel's VM_BUG_ON_PAGE(), which is on in every run.
@inline(__always)
public func VM_BUG_ON_PAGE(_ condition: Bool, _ text: StaticString, _ function: StaticString = #function) {
    if _slowPath(condition) { bug(function.cString, text.cString) }
}

/// The kernel's WARN_ON(): notes the place by name; the run goes on, as the kernel does.
public func WARN_ON(_ text: StaticString, _ function: StaticString = #function) {
    kernel.current.yield_point = UInt16(yieldPointNumber(function.cString, text.cString))
    reportViolation(VIOLATION_bug_on, 1, 0)
}

@inline(never)
func bug(_ function: UnsafePointer<CChar>, _ text: UnsafePointer<CChar>) {
    kernel.current.yield_point = UInt16(yieldPointNumber(function, text))
    reportViolation(VIOLATION_bug_on, 0, 0)
    endRun(RUN_BUG)
}

/// A walk went through a pmd that leads to no page table: the kernel would take freed memory for one.
@inline(never)
func noPageTable() -> Never {
    reportViolation(VIOLATION_freed_reachable, UInt(CACHE_page_table.rawValue), 0)
    endRun(RUN_BUG)
}
