// SPDX-License-Identifier: GPL-2.0-only
import CKernel
import Simulation

@testable import KernelModel

/// A machine whose kernel functions a test calls by itself, one after the other.
enum TestMachine {
    /// Slots can be mapped once a process; the last one is the unit tests'.
    nonisolated(unsafe) private static let arena = Arena(slot: Arena.slots - 1)!
    nonisolated(unsafe) private static let operations = makeOperationsTable(Era.v5_13.install)

    /// Boots a machine with one process, whose only thread is the current task, on CPU 0.
    static func boot(_ shape: MachineShape = MachineShape()) {
        let tasks = [TaskShape(process: 0, cpu: 0)]
        arena.boot(shape, tasks: tasks, operations: operations)
        kernel.current = kernel.task(0)
    }

    static func boot(pagevecSize: Int) {
        var shape = MachineShape()
        shape.pagevecSize = pagevecSize
        boot(shape)
    }
}

/// A new page, as anonymous memory has it: swap-backed and up to date.
func newPage(order: UInt32 = 0) -> page {
    let page = ops.alloc_pages(GFP_HIGHUSER_MOVABLE, order)!
    SetPageSwapBacked(page)
    SetPageUptodate(page)
    return page
}

func pages(on lru: lru_list) -> Int {
    kernel.stat(Int(lru.rawValue)).pointee
}

func statistic(_ item: node_stat_item) -> Int {
    kernel.stat(Int(item.rawValue)).pointee
}

func events(_ item: vm_event_item) -> UInt32 {
    kernel.event(Int(item.rawValue)).pointee
}

/// Pages of all nodes that are free.
func freePages() -> Int {
    (0..<Int(kernel.nr_nodes)).reduce(0) { $0 + Int(kernel.node($1).nr_free) }
}
